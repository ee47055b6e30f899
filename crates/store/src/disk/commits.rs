//! Every commit leaves its number in every table, so that a start can prove that none is missing.
//!
//! The engine below takes some damage in a journal for the end of that journal: what was written behind it is gone
//! without a word, from those tables whose rows were not yet written out. The numbers lie in a ring in each table; before
//! one is overwritten, all tables are written out up to there.

#[cfg(test)]
mod tests;

use std::{collections::VecDeque, thread, time::Duration};

use fjall::{AbstractTree, Keyspace, OwnedWriteBatch};
use parking_lot::Mutex;

use super::{
    tables::Tables,
    value::{CommitValue, Value},
};

/// The numbers of a log's commits. One thread writes.
#[derive(Debug)]
pub(super) struct Commits {
    /// How many numbers a ring has room for.
    held: u64,
    numbers: Mutex<Numbers>,
}

#[derive(Debug, Default)]
struct Numbers {
    /// Of the last commit found at the start.
    found: u64,
    /// Up to here all tables were written out of the journals.
    flushed: u64,
    /// When writing out was last asked for.
    asked: u64,
    marks: VecDeque<Mark>,
    hole: Option<String>,
}

/// The engine's own number for the rows of one of our commits.
#[derive(Debug, Clone, Copy)]
struct Mark {
    number: u64,
    seqno: u64,
}

impl Commits {
    /// Reads the rings of `held` numbers, and finds out whether a commit is missing in one of them.
    pub(super) fn read(tables: [(&str, &Keyspace); TABLES], held: u64) -> Result<Self, fjall::Error> {
        let mut hole = None;
        let mut rings = Vec::with_capacity(TABLES);
        for (name, table) in tables {
            let mut ring = Vec::new();
            for row in table.prefix(COMMIT) {
                let (key, value) = row.into_inner()?;
                match CommitValue::unseal(&key, &value) {
                    Ok(commit) if *key == key_of(commit.number, held) => ring.push(commit),
                    _ => hole = Some(format!("the number of a commit in table {name} is damaged")),
                }
            }
            rings.push((name, ring));
        }
        let newest = rings.iter().flat_map(|(_, ring)| ring).max_by_key(|commit| commit.number);
        let CommitValue { number: last, flushed } = newest.copied().unwrap_or_default();
        for (name, ring) in &mut rings {
            ring.retain(|commit| commit.number > flushed);
            if ring.len() as u64 != last - flushed {
                ring.sort_by_key(|commit| commit.number);
                let expected = (flushed + 1..=last).zip(ring.iter().map(|commit| Some(commit.number)));
                let missing = expected.clone().find(|(number, found)| Some(*number) != *found);
                let missing = missing.map_or(flushed + 1 + ring.len() as u64, |(number, _)| number);
                hole = Some(format!("commit {missing} of {last} is missing in table {name}"));
            }
        }
        let numbers = Numbers { found: last, flushed, asked: flushed, hole, ..Numbers::default() };
        Ok(Self { held, numbers: Mutex::new(numbers) })
    }

    /// What is missing, if the log is not all that was written.
    pub(super) fn hole(&self) -> Option<String> {
        self.numbers.lock().hole.clone()
    }

    /// Goes on behind commit `number` of the log that these tables are a copy of.
    pub(super) fn go_on(&self, number: u64) {
        let mut numbers = self.numbers.lock();
        (numbers.found, numbers.flushed, numbers.asked) = (number, number, number);
    }

    /// The number of the last commit found at the start.
    pub(super) fn found(&self) -> u64 {
        self.numbers.lock().found
    }

    /// Puts `number` into `batch`, for every table. Waits until what it overwrites is written out.
    pub(super) fn stamp(
        &self,
        tables: &Tables,
        batch: &mut OwnedWriteBatch,
        number: u64,
    ) -> Result<(), fjall::Error> {
        let mut flushed = self.numbers.lock().flushed;
        if number > flushed + self.held {
            self.wait(tables, number - self.held, number - 1)?;
            flushed = self.numbers.lock().flushed;
        }
        let key = key_of(number, self.held);
        let value = CommitValue { number, flushed }.seal(&key);
        for (_, table) in tables.all() {
            batch.insert(table, key, &*value);
        }
        Ok(())
    }

    /// Commit `number` is written: from time to time asks the engine to write out.
    pub(super) fn written(&self, tables: &Tables, number: u64) {
        if number.is_multiple_of(self.held / MARKS) {
            self.mark(tables, number);
            let asked = self.numbers.lock().asked;
            if number >= asked + self.held / 2 {
                // What fails here is asked for again, at the latest by the commit that has to wait for it.
                let _ = self.ask(tables, number);
            }
        }
    }

    /// Writes out all tables, of which commit `last` was the last one, and declares that nothing before is missing any
    /// more. The next commit says so.
    pub(super) fn settle(&self, tables: &Tables, last: u64) -> Result<(), fjall::Error> {
        self.mark(tables, last);
        self.ask(tables, last)?;
        self.wait(tables, last, last)?;
        self.numbers.lock().hole = None;
        Ok(())
    }

    fn mark(&self, tables: &Tables, number: u64) {
        let seqno = tables.meta.tree.get_highest_seqno().unwrap_or_default();
        let mut numbers = self.numbers.lock();
        numbers.marks.push_back(Mark { number, seqno });
        numbers.advance(persisted(tables));
    }

    fn ask(&self, tables: &Tables, number: u64) -> Result<(), fjall::Error> {
        for (_, table) in tables.all() {
            table.rotate_memtable()?;
        }
        self.numbers.lock().asked = number;
        Ok(())
    }

    /// Waits until all tables are written out up to `number`; commit `last` was the last one. An engine that cannot says so.
    fn wait(&self, tables: &Tables, number: u64, last: u64) -> Result<(), fjall::Error> {
        for round in 1_u64.. {
            let mut numbers = self.numbers.lock();
            numbers.advance(persisted(tables));
            if numbers.flushed >= number {
                return Ok(());
            }
            drop(numbers);
            if round % ROUNDS_OF_A_TRY == 0 {
                // Fails if the threads that write out have ended; otherwise they are slow, or what was asked got lost.
                tables.alive()?;
                self.mark(tables, last);
                self.ask(tables, last)?;
            }
            thread::sleep(PAUSE);
        }
        Ok(())
    }
}

impl Numbers {
    fn advance(&mut self, persisted: u64) {
        while let Some(mark) = self.marks.front().filter(|mark| mark.seqno <= persisted) {
            self.flushed = mark.number;
            self.marks.pop_front();
        }
    }
}

/// Up to which of the engine's numbers all tables are written out.
fn persisted(tables: &Tables) -> u64 {
    let all = tables.all().map(|(_, table)| table.tree.get_highest_persisted_seqno().unwrap_or_default());
    all.into_iter().min().unwrap_or_default()
}

fn key_of(number: u64, held: u64) -> [u8; 4] {
    let [.., high, low] = (number % held).to_be_bytes();
    [COMMIT[0], COMMIT[1], high, low]
}

/// Commits whose numbers are held in each table. Costs about 60 bytes each in every table, and reading them at a start.
pub const COMMITS_HELD_MAX: u64 = 32_768;
/// What the keys of the numbers begin with: above every position that is given, and no beginning of a name.
pub(super) const COMMIT: &[u8; 2] = &[0xff, 0xff];
/// How often in one round of the ring is looked at what is written out.
const MARKS: u64 = 32;
/// The pause between two looks at what is written out, when a commit has to wait for it.
const PAUSE: Duration = Duration::from_millis(1);
/// Looks after which the engine is asked again.
const ROUNDS_OF_A_TRY: u64 = 1_000;
/// How many tables there are.
pub(super) const TABLES: usize = 6;
