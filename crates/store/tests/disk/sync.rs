//! Syncs, seen from outside: `kill -9` cannot show them, because the system keeps what was written. Needs `strace`.

use std::{
    env, fs,
    future::poll_fn,
    io::Write,
    path::Path,
    pin::{Pin, pin},
    process::{Command, Stdio},
    task::Poll,
};

use sosik_core::{
    cursor::Position,
    store::{AppendError, Batch, Place, Scope, Store, StoreError},
};
use sosik_store::{Disk, disk::WRITES_QUEUED_MAX};
use sosik_testkit::store_suite::{ALL, Listener, block_on, channel, entry};

use crate::kit::{Scratch, append, child, child_directory, next, options, whole};

/// Runs `test` in a child under strace with `options`; answers what it said, and the calls it made.
fn traced(scratch: &Scratch, test: &str, options: &[&str]) -> (String, Vec<String>) {
    let log = Scratch::new();
    fs::create_dir(log.path()).unwrap();
    let trace = log.path().join("trace");
    let mut program = Command::new("strace");
    program.args(["-f", "-y", "-e", "trace=write,fsync,fdatasync", "-o"]).arg(&trace).args(options);
    program.arg(env::current_exe().unwrap());
    let mut program = child(program, test, scratch.path());
    let ran = program.stderr(Stdio::inherit()).output();
    let ran = ran.expect("strace is installed (apt-get install strace)");
    let said = String::from_utf8(ran.stdout).unwrap();
    assert!(ran.status.success(), "{said}");
    (said, fs::read_to_string(&trace).unwrap().lines().map(str::to_owned).collect())
}

// Mutants: the answer sent before the commit; a commit without a sync; a second sync -> all fail.
#[test]
fn each_append_is_acknowledged_after_one_sync_that_began_after_its_write() {
    let scratch = Scratch::new();
    let (_, calls) = traced(&scratch, "sync::appends_one_by_one", &[]);
    let acks: Vec<_> = (0..calls.len()).filter(|&at| calls[at].contains("\"ack ")).collect();
    assert_eq!(acks.len(), APPENDS, "{calls:#?}");
    for pair in acks.windows(2) {
        let between = &calls[pair[0]..pair[1]];
        let at = |what: fn(&str) -> bool| between.iter().rposition(|call| what(call));
        let written = at(|call| call.contains("write(") && call.contains(".jnl>")).unwrap();
        let began = at(|call| call.contains("sync(") && call.contains(".jnl>")).expect("no sync");
        let ended = at(|call| call.contains("sync") && call.ends_with("= 0")).expect("no end of the sync");
        assert!(written < began && began <= ended, "{between:#?}");
        let syncs = between.iter().filter(|call| call.contains("sync(")).count();
        assert_eq!(syncs, 1, "{between:#?}");
    }
}

/// Not a test of its own: a child of the one above.
#[test]
fn appends_one_by_one() {
    let Some(directory) = child_directory() else { return };
    block_on(async {
        let store = open(&directory);
        for id in 0..APPENDS {
            let position = append(&store, id as u128, "room:a").await.position;
            say(&format!("ack {}", position.number()));
        }
    });
}

// Mutants: the head moved before the commit; a failed sync answered as success; a commit visible before its sync; a
// channel's record written by itself; no look at what was written when there is no room -> all fail.
#[test]
fn a_failed_sync_is_final_and_shows_nothing_of_what_it_covered() {
    // A sync that finds no room has given up what it was to write, like any other.
    for error in ["EIO", "ENOSPC"] {
        let scratch = Scratch::new();
        // Counted per thread: the writer's own syncs.
        let inject = format!("inject=fdatasync:error={error}:when={}+", SYNCED + 1);
        let (said, calls) = traced(&scratch, "sync::appends_until_a_sync_fails", &["-e", &inject]);
        assert!(said.contains("as it should be"), "{said}");
        assert!(calls.iter().any(|call| call.contains("(INJECTED)")));
    }
}

/// Not a test of its own: a child of the one above.
#[test]
fn appends_until_a_sync_fails() {
    let Some(directory) = child_directory() else { return };
    block_on(async {
        let store = open(&directory);
        let mut listener = Listener::new(&store, Position::START, Default::default());
        let mut last = Position::START;
        for id in 0..SYNCED as u128 {
            last = append(&store, id, "room:a").await.position;
        }
        listener.until(last).await;
        let late = [next(&store, "room:a", last, "late", true).await];
        let waiting = entry(&channel("room:new"), Place::First { prev: Position::START }, "", true);
        for entries in [late.to_vec(), vec![waiting], late.to_vec()] {
            let answer = store.append(Batch::new(fastrand::u128(..), entries)).await;
            assert_eq!(answer, Err(AppendError::Failed));
        }
        let error = store.trim(&channel("room:a"), last).await.unwrap_err();
        assert!(matches!(&error, StoreError::Failed(why) if why.contains("sync")), "{error}");
        assert!(store.forget(&channel("room:a")).await.is_err());
        assert_eq!(whole(&store, "room:a").await.events.len(), SYNCED);
        let head = store.channel(&channel("room:a")).await.unwrap().unwrap();
        assert_eq!(head.position, last, "its record has gone on");
        assert_eq!(store.channel(&channel("room:new")).await, Ok(None));
        assert_eq!(Store::open(&store).await.unwrap().head, last);
        assert_eq!(store.given(), Some(last));
        assert!(!listener.glance().await, "something was told");
        say("as it should be");
    });
}

// Mutant: the state locked across a commit -> a read comes after the sync.
#[test]
fn a_slow_sync_holds_up_writes_alone_and_not_without_bound() {
    let scratch = Scratch::new();
    block_on(async {
        let store = scratch.open();
        for id in 0..SYNCED as u128 {
            append(&store, id, "room:a").await;
        }
    });
    let inject = format!("inject=fdatasync:delay_enter={SLOW_US}");
    let (said, _) = traced(&scratch, "sync::reads_while_syncs_are_slow", &["-e", &inject]);
    assert!(said.contains("as it should be"), "{said}");
}

/// Not a test of its own: a child of the one above.
#[test]
fn reads_while_syncs_are_slow() {
    let Some(directory) = child_directory() else { return };
    block_on(async {
        let store = open(&directory);
        let last = store.given().unwrap();
        let late = Batch::new(100, vec![next(&store, "room:a", last, "late", true).await]);
        let mut append = pin!(store.append(late));
        assert!(is_pending(&mut append).await);
        read_everything(&store, last).await;
        assert!(is_pending(&mut append).await, "a read has waited for the sync of an append");
        let placed = append.await.unwrap().placed[0];

        let (room, to) = (channel("room:a"), whole(&store, "room:a").await.events[0].position);
        let mut trim = pin!(store.trim(&room, to));
        assert!(is_pending(&mut trim).await);
        read_everything(&store, placed.position).await;
        assert!(is_pending(&mut trim).await, "a read has waited for the sync of a mark");
        trim.await.unwrap();

        let first = Place::First { prev: Position::START };
        let mut appends: Vec<_> = (0..WRITES_QUEUED_MAX + REFUSED)
            .map(|at| {
                Batch::new(1_000 + at as u128, vec![entry(&channel(&format!("many:{at}")), first, "", true)])
            })
            .map(|batch| store.append(batch))
            .collect();
        let (mut waiting, mut refused) = (Vec::new(), 0);
        for mut append in appends.drain(..) {
            match poll_once(&mut append).await {
                None => waiting.push(append),
                Some(Err(AppendError::Unavailable)) => refused += 1,
                Some(other) => panic!("{other:?}"),
            }
            if waiting.len() == 1 {
                // Time for the first one to come to its sync.
                read_everything(&store, placed.position).await;
            }
        }
        assert!((1..=REFUSED).contains(&refused), "{refused} were refused");
        for append in waiting {
            append.await.unwrap();
        }
        say("as it should be");
    });
}

/// All kinds of reads, and a follower that finds what it is told in the tables.
async fn read_everything(store: &Disk, last: Position) {
    let mut listener = Listener::new(store, Position::START, Default::default());
    listener.until(last).await;
    for _ in 0..20 {
        let room = channel("room:a");
        assert!(store.channel(&room).await.unwrap().is_some());
        assert!(!whole(store, "room:a").await.events.is_empty());
        assert!(!store.before(&room, Position::END, ALL).await.unwrap().events.is_empty());
        assert!(
            !store.range(Scope::All, Position::START, Position::END, ALL).await.unwrap().events.is_empty()
        );
        assert_eq!(store.namespace("room").await.unwrap().channels.len(), 1);
        assert_eq!(Store::open(store).await.unwrap().head, last);
        assert!(!store.figures().failed);
    }
}

async fn is_pending<T>(future: &mut (impl Future<Output = T> + Unpin)) -> bool {
    poll_once(future).await.is_none()
}

async fn poll_once<T>(future: &mut (impl Future<Output = T> + Unpin)) -> Option<T> {
    poll_fn(|context| match Pin::new(&mut *future).poll(context) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

fn open(directory: &Path) -> Disk {
    Disk::open(directory, options()).unwrap()
}

/// By one write of its own, so that it is one call in the trace.
fn say(line: &str) {
    std::io::stdout().lock().write_all(format!("{line}\n").as_bytes()).unwrap();
}

const APPENDS: usize = 30;
const SYNCED: usize = 4;
/// What a slow sync takes, in microseconds: far more than the reads that are made meanwhile.
const SLOW_US: u32 = 1_500_000;
const REFUSED: usize = 50;
