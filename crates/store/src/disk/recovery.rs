//! The way back for an engine that ran out of room in the middle of a write: opened anew from its directory, once there
//! is room, and held against what was acknowledged.

use std::{
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};

use sosik_core::store::StoreError;

use super::{
    open::{Found, find},
    shelf::Shelf,
    stage::Staged,
    tables::Tables,
    tally::clock,
    value::Tail,
    write_error::is_no_room,
};

/// An engine that takes no writes, and the commit that was under way.
pub(super) struct Stuck {
    /// `None` if none was begun.
    pub(super) commit: Option<Staged>,
    tried: Instant,
}

/// What came of a try.
pub(super) enum Recovered {
    /// Still no room.
    NotYet,
    /// Writes are taken again. The commit that was under way if it turned out to be stored.
    Again(Option<Staged>),
    /// The log is not what it was.
    Failed(String),
}

impl Stuck {
    pub(super) fn new(commit: Option<Staged>) -> Self {
        Self { commit, tried: clock() }
    }

    /// Opens the engine anew if there is room, and also without from time to time, because opening throws away what the
    /// engine left half-written. Readers wait meanwhile; `tail` is what was acknowledged.
    pub(super) fn recover(&mut self, shelf: &Shelf, tail: Tail) -> Recovered {
        let waited = self.tried.elapsed();
        if waited < TRIES_EACH || (!shelf.space.is_roomy() && waited < TRIES_WITHOUT_ROOM_EACH) {
            return Recovered::NotYet;
        }
        self.tried = clock();
        // Whoever reads at length is not waited for: all others would wait behind.
        let Some(mut engine) = shelf.engine.try_write_for(WAITS_FOR_READERS) else {
            return Recovered::NotYet;
        };
        // Its lock goes with it. Nothing else holds a part of it: all reads are under the lock above.
        drop(engine.take());
        let tables = match Tables::open(&shelf.path) {
            Ok(tables) => tables,
            Err(error) if is_no_room(&error) => return Recovered::NotYet,
            Err(error) => return Recovered::Failed(format!("it could not be opened again: {error}")),
        };
        let stored = match compare(&tables, shelf, tail, self.commit.as_ref()) {
            Ok(stored) => stored,
            Err(error) => return Recovered::Failed(error.to_string()),
        };
        shelf.state.lock().moment = tables.moment();
        *engine = Some(tables);
        shelf.tally.reopened.fetch_add(1, Relaxed);
        Recovered::Again(self.commit.take().filter(|_| stored))
    }
}

/// Whether `commit` is in the tables. They must hold what was acknowledged, and nothing else but it.
fn compare(tables: &Tables, shelf: &Shelf, tail: Tail, commit: Option<&Staged>) -> Result<bool, StoreError> {
    let Found { identity, tail: found, .. } = find(tables)?;
    let is_ours = (identity.epoch, identity.base) == (shelf.epoch, shelf.base);
    let stored = commit.is_some_and(|commit| found == commit.tail);
    let is_whole = tables.commits.hole().is_none();
    if !is_ours || !is_whole || (found != tail && !stored) {
        return Err(StoreError::Failed(
            "opened again it holds another log than what was acknowledged".into(),
        ));
    }
    Ok(stored)
}

/// How long one try waits for the reads under way, and so every other read for it.
const WAITS_FOR_READERS: Duration = Duration::from_millis(100);
/// The pause between two tries.
const TRIES_EACH: Duration = Duration::from_secs(1);
/// The pause between two tries while there is no room.
const TRIES_WITHOUT_ROOM_EACH: Duration = Duration::from_secs(15);
