//! Rings that are gone round many times.
#![allow(clippy::unwrap_used)]

use std::{
    env,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    thread,
};

use sosik_core::cursor::Epoch;
use sosik_testkit::Scratch;

use super::{COMMIT, CommitValue, Value, key_of};
use crate::disk::{
    open::{Ready, open_holding},
    value::Tail,
};

/// A log with small rings.
struct Log {
    ready: Ready,
    tail: Tail,
}

impl Log {
    fn open(path: &Path) -> Self {
        let ready = open_holding(path, Epoch::new(fastrand::u64(..)), HELD).unwrap();
        assert_eq!(ready.renewed, None);
        let tail = ready.found.tail;
        assert_eq!(ready.tables.commits.found(), if tail.commits == 1 { 0 } else { tail.commits });
        Self { ready, tail }
    }

    fn commit(&mut self) -> u64 {
        self.tail = self.tail.following();
        self.ready.tables.commit(self.ready.tables.batch(), self.tail).unwrap();
        self.tail.commits
    }

    /// What the newest commit has left in each table.
    fn newest(&self) -> Vec<CommitValue> {
        let key = key_of(self.tail.commits, HELD);
        let tables = self.ready.tables.all().into_iter();
        let found = tables.map(|(_, table)| table.get(key).unwrap().unwrap());
        found.map(|value| CommitValue::unseal(&key, &value).unwrap()).collect()
    }

    /// Whether all is written out up to `number`, after a while.
    fn is_flushed(&self, number: u64) -> bool {
        (0..LOOKS_MAX).any(|_| {
            let mut numbers = self.ready.tables.commits.numbers.lock();
            numbers.advance(super::persisted(&self.ready.tables));
            if numbers.flushed >= number {
                return true;
            }
            drop(numbers);
            thread::sleep(super::PAUSE);
            false
        })
    }
}

// Mutants: numbers from before what is written out counted at the start; the place in the ring by another number than
// its size -> fails.
#[test]
fn no_commit_is_taken_for_missing_however_often_the_ring_is_gone_round() {
    let scratch = Scratch::new();
    let mut rng = fastrand::Rng::with_seed(1);
    let mut last = 0;
    while last < 20 * HELD {
        let mut log = Log::open(scratch.path());
        for _ in 0..rng.u64(1..3 * HELD) {
            last = log.commit();
            let newest = log.newest();
            assert!(newest.iter().all(|commit| *commit == newest[0] && commit.number == last));
            assert!(last - newest[0].flushed <= HELD, "{:?} has overwritten one", newest[0]);
        }
        let rows = log.ready.tables.all().map(|(_, table)| table.prefix(COMMIT).count() as u64);
        assert!(rows.iter().all(|rows| *rows <= HELD), "{rows:?}");
    }
    assert_eq!(Log::open(scratch.path()).tail.commits, last);
}

// Mutant: nothing asked for at half -> nothing is ever written out, and the ring stalls at its end.
#[test]
fn at_half_of_the_ring_the_tables_are_written_out() {
    let scratch = Scratch::new();
    let mut log = Log::open(scratch.path());
    while log.commit() < HELD / 2 {}
    assert!(log.is_flushed(HELD / 2));
    while log.commit() < HELD {}
    assert!(log.is_flushed(HELD));
}

// Mutant: not waited for -> a number is overwritten, and the next start misses it.
#[test]
fn a_number_is_not_overwritten_before_it_is_written_out() {
    let scratch = Scratch::new();
    let mut log = Log::open(scratch.path());
    // Writing out was asked for, and came to nothing.
    log.ready.tables.commits.numbers.lock().asked = HELD;
    while log.commit() < HELD {}
    assert_eq!(log.newest()[0].flushed, 0);
    log.commit();
    assert!(log.newest()[0].flushed > 0);
    let last = log.tail.commits;
    drop(log);
    assert_eq!(Log::open(scratch.path()).tail.commits, last);
}

#[test]
fn a_kill_anywhere_in_the_ring_costs_no_commit() {
    let scratch = Scratch::new();
    let mut rng = fastrand::Rng::with_seed(2);
    for _ in 0..KILLS {
        let mut program = Command::new(env::current_exe().unwrap());
        program.args([CHILD, "--exact", "--nocapture", "--test-threads=1"]);
        program.env(DIRECTORY, scratch.path());
        let mut running = program.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(running.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut said = || lines.by_ref().find_map(|line| line.strip_prefix("commit ")?.parse::<u64>().ok());
        let mut last = said().unwrap();
        for _ in 0..rng.u64(..2 * HELD) {
            last = said().unwrap();
        }
        running.kill().unwrap();
        running.wait().unwrap();
        last = std::iter::from_fn(said).last().unwrap_or(last);
        assert!(Log::open(scratch.path()).tail.commits >= last);
    }
}

/// Not a test of its own: the child of the one above.
#[test]
fn commits_until_it_is_killed() {
    let Some(directory) = env::var_os(DIRECTORY) else { return };
    let mut log = Log::open(Path::new(&directory));
    loop {
        println!("commit {}", log.commit());
    }
}

const HELD: u64 = 64;
const KILLS: usize = 12;
/// Of [`super::PAUSE`] each.
const LOOKS_MAX: u64 = 20_000;
const CHILD: &str = "disk::commits::tests::commits_until_it_is_killed";
const DIRECTORY: &str = "SOSIK_COMMITS_TEST_DIRECTORY";
