//! `kill -9` in the middle of appends.

use std::{
    collections::BTreeMap,
    env,
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
};

use sosik_core::{
    cursor::Position,
    store::{AppendError, Batch, Place, Store},
};
use sosik_store::Disk;
use sosik_testkit::store_suite::{ALL, block_on, channel, entry, space};
use tokio::task::JoinSet;

use crate::kit::{Scratch, child, child_directory, next, options, whole};

/// What a child said before it was killed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Said {
    id: u128,
    seq: u64,
}

// Mutants: the acknowledgement sent before the commit -> acknowledged events are missing; the tail not written; batches
// forgotten at the start -> all fail.
#[test]
fn every_acknowledged_append_is_in_its_place_after_kill_9() {
    let scratch = Scratch::new();
    let mut acknowledged: BTreeMap<(String, u64), Said> = BTreeMap::new();
    let mut trimmed: BTreeMap<String, u64> = BTreeMap::new();
    let mut epoch = None;
    for cycle in 0..CYCLES {
        run_and_kill(&scratch, fastrand::usize(5..150), &mut acknowledged, &mut trimmed);
        block_on(async {
            let store = scratch.open();
            let opened = Store::open(&store).await.unwrap();
            assert_eq!(*epoch.get_or_insert(opened.epoch), opened.epoch);
            for writer in 0..WRITERS {
                check(&store, &format!("room:{writer}"), &acknowledged, &trimmed).await;
            }
            let Some(last) = acknowledged.values().max_by_key(|said| said.seq) else { return };
            let wrong = Place::After { seq: 1, prev: Position::START };
            let entries = vec![entry(&channel("room:0"), wrong, "", true)];
            let again = store.append(Batch::new(last.id, entries)).await;
            assert!(matches!(again, Err(AppendError::Duplicate(_))), "cycle {cycle}: {again:?}");
        });
    }
    assert!(acknowledged.len() > CYCLES, "hardly anything was acknowledged: {}", acknowledged.len());
}

fn run_and_kill(
    scratch: &Scratch,
    lines: usize,
    acknowledged: &mut BTreeMap<(String, u64), Said>,
    trimmed: &mut BTreeMap<String, u64>,
) {
    let program = Command::new(env::current_exe().unwrap());
    let mut program = child(program, "crash::appends_until_it_is_killed", scratch.path());
    let mut running = program.stdout(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(running.stdout.take().unwrap()).lines();
    let mut count = 0;
    while let Some(Ok(line)) = said.next() {
        let words: Vec<_> = line.split(' ').collect();
        match words[..] {
            ["ack", name, position, seq, id] => {
                let place = (name.to_owned(), position.parse().unwrap());
                let said = Said { id: id.parse().unwrap(), seq: seq.parse().unwrap() };
                assert_eq!(acknowledged.insert(place, said), None, "{line}: a place was given twice");
            }
            ["trim", name, to] => {
                trimmed.insert(name.to_owned(), to.parse().unwrap());
            }
            _ => continue,
        }
        count += 1;
        if count == lines {
            // What is in the pipe already was said before: it is read on.
            running.kill().unwrap();
        }
    }
    running.wait().unwrap();
    assert!(count >= lines, "the child ended by itself");
}

/// Everything acknowledged is there, and what is there hangs together.
async fn check(
    store: &Disk,
    name: &str,
    acknowledged: &BTreeMap<(String, u64), Said>,
    trimmed: &BTreeMap<String, u64>,
) {
    let page = whole(store, name).await;
    let mark = page.trimmed_to.number();
    assert!(mark >= trimmed.get(name).copied().unwrap_or(0), "an acknowledged trim is undone");
    let head = store.channel(&channel(name)).await.unwrap().unwrap_or_default();
    let mut before = (page.first_seq.saturating_sub(1), page.trimmed_to);
    for event in &page.events {
        assert_eq!((event.seq, event.prev), (before.0 + 1, before.1));
        before = (event.seq, event.position);
    }
    assert_eq!((head.seq, head.position), before);
    let own = acknowledged.range((name.to_owned(), mark + 1)..=(name.to_owned(), u64::MAX));
    for ((_, position), said) in own {
        let found = page.events.iter().find(|event| event.position.number() == *position);
        let found = found.unwrap_or_else(|| panic!("{name} lost what was acknowledged at {position}"));
        let expected = entry(&channel(name), Place::Behind(0), &said.id.to_string(), true);
        assert_eq!((found.seq, &found.body), (said.seq, &expected.body));
    }
    let range = store.range(space("room"), Position::START, Position::END, ALL).await.unwrap();
    assert!(range.events.iter().filter(|event| event.channel.as_str() == name).eq(&page.events));
}

/// Not a test of its own: the child of the one above.
#[test]
fn appends_until_it_is_killed() {
    let Some(directory) = child_directory() else { return };
    let store = Disk::open(&directory, options()).unwrap();
    let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    threads.block_on(async {
        let mut writers = JoinSet::new();
        for writer in 0..WRITERS {
            writers.spawn(write(store.clone(), format!("room:{writer}")));
        }
        writers.join_all().await;
    });
}

async fn write(store: Disk, name: String) {
    loop {
        let id = fastrand::u128(..);
        let entries = vec![next(&store, &name, Position::START, &id.to_string(), true).await];
        let placed = store.append(Batch::new(id, entries)).await.unwrap().placed[0];
        say(&format!("ack {name} {} {} {id}", placed.position.number(), placed.seq));
        if placed.seq % 16 == 0 {
            store.trim(&channel(&name), placed.position).await.unwrap();
            say(&format!("trim {name} {}", placed.position.number()));
        }
    }
}

/// One line by one write: a killed process leaves no half of it.
fn say(line: &str) {
    // The parent may be gone; then nobody listens.
    let _ = std::io::stdout().lock().write_all(format!("{line}\n").as_bytes());
}

const CYCLES: usize = 25;
const WRITERS: usize = 4;
