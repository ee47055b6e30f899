//! The first way through the core: publish, read, wait, page, join, with the real memory store.
#![allow(clippy::unwrap_used)]

use std::sync::{Arc, Mutex};

use sosik_core::{
    Budget, ChannelName, Data, Draft, Epoch, Error, Grant, Herald, Look, Namespace, Node, NodeOptions, Page,
    Pattern, Reader, Start, Verb, Verbs, WatchId, What, limits::CHANNELS_PER_READER_MAX,
};
use sosik_testkit::Memory;

#[derive(Debug, Default)]
struct Heard(Mutex<Vec<WatchId>>);

impl Herald for Heard {
    fn changed(&self, watch: WatchId) {
        self.0.lock().unwrap().push(watch);
    }
}

async fn node(namespaces: Vec<Namespace>) -> (Arc<Node>, Arc<Heard>) {
    let heard = Arc::new(Heard::default());
    let stores = [1, 2].map(|bits| Arc::new(Memory::new(Epoch::new(bits))) as Arc<dyn sosik_core::Store>);
    let node = Node::open(NodeOptions::new(namespaces, 7), stores, heard.clone()).await.unwrap();
    for id in sosik_core::LogId::ALL {
        let log = node.log(id).clone();
        #[allow(clippy::disallowed_methods)]
        tokio::spawn(async move { log.run().await });
    }
    (node, heard)
}

fn grant() -> Grant {
    Grant::anonymous(
        ["room:*", "match:*"].map(|text| (Pattern::parse(text).unwrap(), Verbs::from_iter(Verb::ALL))),
    )
}

async fn publish(node: &Node, channel: &str, text: &str) -> u64 {
    let draft = Draft::json(ChannelName::parse(channel).unwrap(), text.to_owned());
    node.publish(&grant(), vec![draft], 1).await.unwrap()[0].seq
}

async fn read(node: &Arc<Node>, set: &[&str], start: Start) -> Reader {
    let set: Vec<_> = set.iter().map(|text| Pattern::parse(text).unwrap()).collect();
    node.read(grant(), &set, start, 1).await.unwrap()
}

/// Everything that follows, as short texts, taken `step` items at a time.
async fn drain(reader: &mut Reader, step: usize) -> Vec<String> {
    let (mut page, mut out) = (Page::default(), Vec::new());
    loop {
        match reader.look(1, Budget { events: 3, bytes: 1000 }, &mut page).unwrap() {
            Look::Nothing => return out,
            Look::Below => reader.fetch().await.unwrap(),
            Look::Found => {
                let count = page.items.len().min(step);
                out.extend(page.items[..count].iter().map(|item| match &item.what {
                    What::Event(event) => match &event.data {
                        Data::Json(text) => format!("{}={}", event.channel, String::from_utf8_lossy(text)),
                        Data::Binary(_) => "binary".to_owned(),
                    },
                    What::Gap(gap) => format!("gap {} {:?} {:?}", gap.of, gap.reason, gap.next_seq),
                    What::CaughtUp => "caught up".to_owned(),
                    What::Joined(token) => format!("joined {token}"),
                }));
                reader.took(&page, count);
            }
        }
    }
}

#[tokio::test]
async fn events_are_read_once_and_in_order_however_they_are_taken() {
    let (node, heard) = node(vec![Namespace::new("room"), Namespace::new("match")]).await;
    for i in 0..10 {
        publish(&node, if i % 3 == 0 { "room:a" } else { "room:b" }, &i.to_string()).await;
    }
    for step in 1..5 {
        let mut reader = read(&node, &["room:a", "room:b"], Start::Beginning).await;
        let seen = drain(&mut reader, step).await;
        assert_eq!(seen.len(), 11);
        for (i, text) in seen[..10].iter().enumerate() {
            assert!(text.ends_with(&format!("={i}")), "{seen:?}");
        }
        assert_eq!(seen[10], "caught up");
    }
    let mut reader = read(&node, &["room:*"], Start::Last(4)).await;
    assert_eq!(drain(&mut reader, 9).await, ["room:a=6", "room:b=7", "room:b=8", "room:a=9", "caught up"]);
    assert!(heard.0.lock().unwrap().is_empty());
    publish(&node, "room:c", "10").await;
    assert_eq!(*heard.0.lock().unwrap(), reader.watches().collect::<Vec<_>>());
    assert_eq!(drain(&mut reader, 9).await, ["room:c=10"]);
}

#[tokio::test]
async fn retention_is_told_as_a_gap_and_last_tells_none() {
    let mut small = Namespace::new("room");
    small.events_max = 4;
    let (node, _) = node(vec![small]).await;
    for i in 1..=10 {
        publish(&node, "room:a", &i.to_string()).await;
    }
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    let mut reader = read(&node, &["room:a"], Start::Beginning).await;
    assert_eq!(
        drain(&mut reader, 9).await,
        ["gap room:a Trimmed Some(7)", "room:a=7", "room:a=8", "room:a=9", "room:a=10", "caught up"]
    );
    let mut reader = read(&node, &["room:a"], Start::Last(100)).await;
    assert_eq!(drain(&mut reader, 9).await, ["room:a=7", "room:a=8", "room:a=9", "room:a=10", "caught up"]);
}

#[tokio::test]
async fn a_backlog_comes_before_its_channel_joins() {
    let (node, _) = node(vec![Namespace::new("room"), Namespace::new("match")]).await;
    for i in 1..=5 {
        publish(&node, "room:a", &i.to_string()).await;
        publish(&node, "room:b", &i.to_string()).await;
    }
    let mut reader = read(&node, &["room:a"], Start::Now).await;
    assert_eq!(drain(&mut reader, 9).await, ["caught up"]);
    let before = reader.cursor();
    let joined = reader.join(&[Pattern::parse("room:b").unwrap()], Start::Beginning, 1, 42).await.unwrap();
    assert_eq!(joined, sosik_core::Joined::Later);
    publish(&node, "room:a", "6").await;
    publish(&node, "room:b", "6").await;
    let seen = drain(&mut reader, 2).await;
    assert_eq!(
        seen,
        [
            "room:a=6",
            "room:b=1",
            "room:b=2",
            "room:b=3",
            "room:b=4",
            "room:b=5",
            "room:b=6",
            "joined 42",
            "caught up"
        ],
        "the cursor before was {before:?}"
    );
}

// Mutant: `tidy` keeping what has no record -> names that were only asked for stay for ever.
#[tokio::test]
async fn asking_for_names_costs_nothing_for_long() {
    let (node, _) = node(vec![Namespace::new("room")]).await;
    publish(&node, "room:kept", "1").await;
    let held = read(&node, &["room:held"], Start::Now).await;
    for i in 0..500 {
        drop(read(&node, &[&format!("room:{i}")], Start::Now).await);
    }
    let log = node.log(sosik_core::LogId::Memory);
    assert_eq!(log.figures().channels, 502);
    node.tick(60_000);
    assert_eq!(log.figures().channels, 2);
    drop(held);
}

// Mutants: the limit of `join` after its look through the set; `leave` without one -> a frame of 1 MiB of names is
// compared with a thousand members, a second of work.
#[tokio::test]
async fn a_set_above_the_limit_is_refused_before_it_is_looked_at() {
    let (node, _) = node(vec![Namespace::new("room")]).await;
    let mut reader = read(&node, &["room:a"], Start::Now).await;
    let set = vec![Pattern::parse("room:a").unwrap(); CHANNELS_PER_READER_MAX + 1];
    assert!(matches!(reader.join(&set, Start::Now, 1, 1).await, Err(Error::Limit { .. })));
    assert!(matches!(reader.leave(&set), Err(Error::Limit { .. })));
    assert_eq!(reader.leave(&set[1..]), Ok(()));
}
