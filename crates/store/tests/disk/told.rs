//! What readers are told of damage on the disk: a gap in the place of what is gone, and everything else.

use std::sync::Arc;

use sosik_core::{
    Budget, ChannelName, Draft, Epoch, Grant, Herald, History, LogId, Look, Namespace, Node, NodeOptions,
    Page, Pattern, Position, Side, Start, Store, Verb, Verbs, WatchId, What, record,
    store::{Batch, Entry, Place},
};
use sosik_store::Memory;
use sosik_testkit::store_suite::block_on;

use crate::{kit::Scratch, tamper::tamper};

#[derive(Debug)]
struct Nobody;

impl Herald for Nobody {
    fn changed(&self, _: WatchId) {}
}

/// Five events at the positions 1 to 5.
async fn five(scratch: &Scratch) {
    let draft = Draft::json(ChannelName::parse("room:a").unwrap(), "1");
    let entries = (0..5).map(|i| Entry {
        channel: draft.channel.clone(),
        place: if i == 0 { Place::After { seq: 1, prev: Position::START } } else { Place::Behind(i - 1) },
        body: record::encode(&draft, "", 1, false),
        kept: true,
    });
    scratch.open().append(Batch::new(1, entries.collect())).await.unwrap();
}

fn grant() -> Grant {
    Grant::anonymous([(Pattern::parse("room:*").unwrap(), Verbs::from_iter(Verb::ALL))])
}

/// Events as their position, gaps as `!` and where they stand.
async fn read(node: &Arc<Node>, pattern: &str) -> String {
    let set = [Pattern::parse(pattern).unwrap()];
    let mut reader = node.read(grant(), &set, Start::Beginning, 1).await.unwrap();
    let (mut page, mut told) = (Page::default(), Vec::new());
    for _ in 0..100 {
        match reader.look(1, Budget { events: 99, bytes: 99_999 }, &mut page).unwrap() {
            Look::Nothing => return told.join(" "),
            Look::Below => reader.fetch().await.unwrap(),
            Look::Found => {
                told.extend(page.items.iter().filter_map(|item| match &item.what {
                    What::Event(event) => Some(event.position.number().to_string()),
                    What::Gap(gap) => Some(format!("!{}", gap.part.position.number())),
                    What::CaughtUp | What::Joined(_) => None,
                }));
                reader.took(&page, page.items.len());
            }
        }
    }
    panic!("looks for ever");
}

/// The same of the channel's past, from its end.
async fn look_back(node: &Arc<Node>) -> String {
    let channel = ChannelName::parse("room:a").unwrap();
    let (mut cursor, mut told) = (None, Vec::new());
    for _ in 0..100 {
        let page = node.history(&grant(), &channel, Side::Before(cursor), 9, 1).await.unwrap();
        let History { gap, events, cursor: next, more } = page;
        told.extend(events.iter().rev().map(|event| event.position.number().to_string()));
        told.extend(gap.map(|gap| format!("!{}", gap.part.position.number())));
        if !more {
            told.reverse();
            return told.join(" ");
        }
        cursor = Some(next);
    }
    panic!("asks for ever");
}

/// What is damaged, what a reader is told then, and what history says: there what lies side by side is one gap, at the
/// newest of it.
const CASES: [(&[u8], &str, &str); 7] = [
    (&[], "1 2 3 4 5", "1 2 3 4 5"),
    (&[1], "!1 2 3 4 5", "!1 2 3 4 5"),
    (&[3], "1 2 !3 4 5", "1 2 !3 4 5"),
    (&[5], "1 2 3 4 !5", "1 2 3 4 !5"),
    (&[2, 4], "1 !2 3 !4 5", "1 !2 3 !4 5"),
    (&[2, 3, 4], "1 !2 !3 !4 5", "1 !4 5"),
    (&[1, 2, 3, 4, 5], "!1 !2 !3 !4 !5", "!5"),
];

// Mutants, each planted and seen to fail: the core leaves an event that it cannot read out of what it found; the store
// leaves it out of its page.
#[test]
fn damage_is_told_in_its_place_to_readers_of_channels_and_prefixes_and_in_history() {
    block_on(async {
        for (damaged, told, looked_back) in CASES {
            let scratch = Scratch::new();
            five(&scratch).await;
            tamper(&scratch, "events", |key, value| {
                if damaged.contains(&key[key.len() - 1]) {
                    value[30] ^= 1;
                }
                true
            });
            let mut room = Namespace::new("room");
            room.log = LogId::Disk;
            let stores: [Arc<dyn Store>; 2] =
                [Arc::new(scratch.open()), Arc::new(Memory::new(Epoch::new(2)))];
            let node = Node::open(NodeOptions::new(vec![room], 1), stores, Arc::new(Nobody)).await.unwrap();
            assert_eq!(read(&node, "room:a").await, told, "channel, {damaged:?}");
            assert_eq!(read(&node, "room:*").await, told, "prefix, {damaged:?}");
            assert_eq!(look_back(&node).await, looked_back, "history, {damaged:?}");
        }
    });
}
