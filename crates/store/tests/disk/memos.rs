//! What is remembered of producers and keys, over restarts, kills and damage.

use std::{
    env,
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use sosik_core::{
    Data, Draft, Epoch, Error, Grant, Herald, Key, LogId, Namespace, Node, NodeOptions, Once, Pattern,
    Position, Producer, Publish, Published, Verb, Verbs, WatchId, record,
    store::{Keep, MemoKind, MemosHeld, Remembered, Store},
};
use sosik_store::{Disk, Memory};
use sosik_testkit::store_suite::{
    block_on, channel,
    memos::{Diary, any, memo_key},
};
use tokio::{task::JoinSet, time::timeout};

use crate::{
    kit::{Scratch, child, child_directory, options},
    tamper::tamper,
};

// Mutant: the windows not read at the start -> counted from 0.
#[test]
fn what_is_remembered_and_since_when_is_the_same_after_a_restart() {
    block_on(async {
        for seed in 0..4 {
            let scratch = Scratch::new();
            let mut store = scratch.open();
            let mut rng = fastrand::Rng::with_seed(seed);
            let mut diary = Diary::from(1_000);
            for _ in 0..12 {
                for _ in 0..rng.usize(1..8) {
                    any(&mut diary, &store, &mut rng).await;
                }
                let held = |store: &Disk| {
                    [MemoKind::Producer, MemoKind::Key].map(|kind| store.memos_held(kind, "room"))
                };
                let before = held(&store);
                drop(store);
                store = scratch.open();
                assert_eq!(held(&store), before);
                diary.check(&store).await;
            }
        }
    });
}

const LONG: Keep = Keep { most: u64::MAX, ms: u64::MAX };

// Mutant: a damaged memo read as none -> the publish would be stored again.
#[test]
fn a_damaged_memo_is_answered_as_one_that_nobody_can_read_and_stays_so() {
    block_on(async {
        let scratch = Scratch::new();
        let store = scratch.open();
        let mut diary = Diary::from(1);
        let key = |name| memo_key(MemoKind::Key, "room", name);
        diary.write(&store, 1, &[(key("a"), vec![0]), (key("b"), vec![0])], LONG).await;
        drop(store);
        tamper(&scratch, "keys", |key, value| {
            if key == b"mroom\0a" {
                value[9] ^= 1;
            }
            true
        });
        let store = scratch.open();
        let unreadable = Some(Remembered { value: Default::default(), placed: Vec::new() });
        for _ in 0..2 {
            let found = store.recall(vec![key("a"), key("b"), key("c")]).await.unwrap();
            assert_eq!(
                (&found[0], found[1].as_ref().unwrap().placed.len(), &found[2]),
                (&unreadable, 1, &None)
            );
            diary.write(&store, 1, &[(key("a"), vec![0])], LONG).await;
        }
    });
}

// Mutant: a damaged window begun anew -> keys that were let go of count as never seen.
#[test]
fn a_damaged_window_is_counted_anew_and_vouches_for_nothing_before() {
    block_on(async {
        let scratch = Scratch::new();
        let store = scratch.open();
        let mut diary = Diary::from(500);
        let key = |number: u32| memo_key(MemoKind::Key, "room", &number.to_string());
        for number in 0..5 {
            diary.now += 1;
            diary.write(&store, 1, &[(key(number), vec![0])], LONG).await;
        }
        assert_eq!(store.memos_held(MemoKind::Key, "room"), MemosHeld { count: 5, since: 0 });
        drop(store);
        tamper(&scratch, "keys", |key, value| {
            if key == b"wroom" {
                value[9] ^= 1;
            }
            true
        });
        let store = scratch.open();
        assert_eq!(store.memos_held(MemoKind::Key, "room"), MemosHeld { count: 5, since: 505 });
        diary.check(&store).await;
        for number in 5..9 {
            diary.now += 1;
            diary.write(&store, 1, &[(key(number), vec![0])], Keep { most: 3, ..LONG }).await;
        }
        diary.later(&store).await;
        diary.check(&store).await;
        assert_eq!(store.memos_held(MemoKind::Key, "room").count, 3);
    });
}

/// A node over the log in a directory, with nobody to tell.
async fn node(store: Disk) -> (Arc<Node>, JoinSet<()>) {
    #[derive(Debug)]
    struct Nobody;
    impl Herald for Nobody {
        fn changed(&self, _: WatchId) {}
    }
    let mut room = Namespace::new("room");
    room.log = LogId::Disk;
    let memory: Arc<dyn Store> = Arc::new(Memory::new(Epoch::new(1)));
    let options = NodeOptions::new(vec![room], fastrand::u64(..));
    let node = Node::open(options, [Arc::new(store), memory], Arc::new(Nobody)).await.unwrap();
    let mut logs = JoinSet::new();
    let log = node.log(LogId::Disk).clone();
    logs.spawn(async move { log.run().await });
    (node, logs)
}

/// Publish `number` of one publisher: by its producer's sequence if `number` is odd, under a key if it is even.
async fn publish(node: &Node, number: u64) -> Result<Vec<Published>, Error> {
    let (name, once) = if number % 2 == 1 {
        ("room:p", Once::Producer(Producer { id: "p".into(), epoch: 1, seq: number / 2 + 1 }))
    } else {
        ("room:k", Once::Key(Key { text: format!("k{number}").into(), made_at: Some(NOW + number) }))
    };
    let verbs = Verbs::from_iter(Verb::ALL);
    let grant = Grant::anonymous(vec![(Pattern::parse("room:*").unwrap(), verbs)]);
    let drafts = vec![Draft::json(channel(name), number.to_string())];
    node.publish(&grant, Publish { drafts, once: Some(once) }, NOW + number).await
}

// Mutant: memos in a synced commit of their own before that of the events -> a duplicate of nothing, which is never
// answered.
#[test]
fn a_publish_sent_again_after_kill_9_is_stored_once() {
    let scratch = Scratch::new();
    let mut acknowledged: Vec<(u64, u64)> = Vec::new();
    for _ in 0..CYCLES {
        run_and_kill(&scratch, fastrand::usize(1..60), &mut acknowledged);
    }
    let last = acknowledged.last().unwrap().0;
    block_on(async {
        let store = scratch.open();
        let (node, _logs) = node(store.clone()).await;
        for &(number, position) in acknowledged.iter().rev().take(100) {
            let again = publish(&node, number).await.unwrap()[0];
            assert_eq!((again.position.number(), again.duplicate), (position, true), "publish {number}");
        }
        for (name, first) in [("room:p", 1), ("room:k", 2)] {
            let mut numbers = Vec::new();
            let mut after = Position::START;
            loop {
                let limit = sosik_testkit::store_suite::ALL;
                let page = store.page(&channel(name), after, Position::END, limit).await.unwrap();
                let Some(last) = page.events.last() else { break };
                after = last.position;
                numbers.extend(page.events.iter().map(number_of));
            }
            let expected = (first..).step_by(2).take_while(|&number| number <= last + 1);
            let expected: Vec<u64> = expected.take(numbers.len()).collect();
            assert_eq!(numbers, expected, "{name}: once, and in order");
            assert!(numbers.last().is_some_and(|number| number + 2 > last), "{name} ends at {numbers:?}");
        }
    });
    assert!(last > CYCLES as u64, "hardly anything was acknowledged");
}

fn number_of(stored: &sosik_core::store::Stored) -> u64 {
    let event = record::decode(LogId::Disk, Epoch::new(0), stored).unwrap();
    let Data::Json(text) = &event.data else { panic!("{event:?}") };
    std::str::from_utf8(text).unwrap().parse().unwrap()
}

fn run_and_kill(scratch: &Scratch, lines: usize, acknowledged: &mut Vec<(u64, u64)>) {
    let program = Command::new(env::current_exe().unwrap());
    let mut program = child(program, "memos::publishes_until_it_is_killed", scratch.path());
    // What was acknowledged last is sent again first, and whatever was under way behind it.
    let from = acknowledged.last().map_or(1, |(number, _)| *number);
    let mut running = program.env(FROM, from.to_string()).stdout(Stdio::piped()).spawn().unwrap();
    let mut count = 0;
    for line in BufReader::new(running.stdout.take().unwrap()).lines().map_while(Result::ok) {
        let Some(words) = line.strip_prefix("ack ") else { continue };
        let words: Vec<u64> = words.split(' ').map(|word| word.parse().unwrap()).collect();
        let (number, position, duplicate) = (words[0], words[1], words[2]);
        match acknowledged.last() {
            Some(&(last, at)) if last == number => assert_eq!((position, duplicate), (at, 1), "{line}"),
            last => {
                assert_eq!(number, last.map_or(1, |(last, _)| last + 1));
                acknowledged.push((number, position));
            }
        }
        count += 1;
        if count == lines {
            // Anywhere within the next publish.
            std::thread::sleep(Duration::from_micros(fastrand::u64(..3_000)));
            running.kill().unwrap();
        }
    }
    running.wait().unwrap();
    assert!(count >= lines, "the child ended by itself");
}

/// Not a test of its own: the child of the one above.
#[test]
fn publishes_until_it_is_killed() {
    let Some(directory) = child_directory() else { return };
    let from = env::var(FROM).unwrap().parse().unwrap();
    block_on(async {
        let (node, _logs) = node(Disk::open(&directory, options()).unwrap()).await;
        for number in from.. {
            // Without a clock a duplicate of nothing would wait for its event for ever.
            let placed = timeout(Duration::from_secs(20), publish(&node, number)).await;
            let placed = placed.expect("answered").unwrap()[0];
            let line =
                format!("\nack {number} {} {}\n", placed.position.number(), u8::from(placed.duplicate));
            // The parent may be gone; then nobody listens.
            let _ = std::io::stdout().lock().write_all(line.as_bytes());
        }
    });
}

/// Milliseconds since 1970.
const NOW: u64 = 1_760_000_000_000;
const FROM: &str = "SOSIK_DISK_TEST_FROM";
const CYCLES: usize = 25;
