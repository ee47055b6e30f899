//! Taking away, bit by bit, the events that are marked as gone. Readers do not see them meanwhile.

use std::{
    collections::VecDeque,
    ops::Bound::{Excluded, Included},
};

use sosik_core::{cursor::Position, name::ChannelName, store::StoreError};

use super::{
    REMOVED_AT_ONCE_MAX,
    layout::{REMOVAL, event_key, order_key, position_of, removal_key, removal_of},
    stage::Removed,
    tables::{Tables, damaged, unreadable},
    write_error::WriteError,
};

/// What is still to be taken away, oldest mark first.
#[derive(Default)]
pub(super) struct Removals {
    waiting: VecDeque<(ChannelName, Position)>,
}

impl Removals {
    /// Those that an earlier run did not finish.
    pub(super) fn read(tables: &Tables) -> Result<Self, StoreError> {
        let what = || "the list of removals".to_owned();
        let rows = tables.view().rows_with(&tables.meta, &[REMOVAL]);
        let waiting = rows.map(|row| {
            let key = row.key().map_err(|error| unreadable(what(), error))?;
            removal_of(&key).ok_or_else(|| damaged(what()))
        });
        Ok(Self { waiting: waiting.collect::<Result<_, _>>()? })
    }

    pub(super) fn extend(&mut self, removed: &[Removed]) {
        self.waiting.extend(removed.iter().map(|removed| match removed {
            Removed::Trimmed { channel, to, .. } | Removed::Forgotten { channel, to, .. } => {
                (channel.clone(), *to)
            }
        }));
    }

    /// Takes away some, and answers whether there may be more. Not synced: the mark is, and what a crash leaves is
    /// found in the list again. It may use the reserve, because it is what makes room.
    pub(super) fn step(&mut self, tables: &Tables) -> Result<bool, WriteError> {
        let Some((channel, to)) = self.waiting.front() else { return Ok(false) };
        match some(tables, channel, *to) {
            Ok(true) => drop(self.waiting.pop_front()),
            Ok(false) => {}
            // It stays on the list; the next start tries again.
            Err(Why::Read) => drop(self.waiting.pop_front()),
            Err(Why::Write(error)) => return Err(error),
        }
        Ok(true)
    }
}

enum Why {
    Read,
    Write(WriteError),
}

/// Takes away at most [`REMOVED_AT_ONCE_MAX`] events, and answers whether that was all.
fn some(tables: &Tables, channel: &ChannelName, to: Position) -> Result<bool, Why> {
    let (from, end) = (event_key(channel, Position::START), event_key(channel, to));
    let mut writes = tables.batch();
    let mut count = 0;
    for row in tables.view().rows(&tables.events, Excluded(from), Included(end)).take(REMOVED_AT_ONCE_MAX) {
        let key = row.key().map_err(|_| Why::Read)?;
        let position = position_of(&key).ok_or(Why::Read)?;
        writes.remove(&tables.order, order_key(position));
        writes.remove(&tables.events, key);
        count += 1;
    }
    let done = count < REMOVED_AT_ONCE_MAX;
    if done {
        writes.remove(&tables.meta, removal_key(channel, to));
    }
    tables.settle().and_then(|()| tables.commit_unsynced(writes)).map_err(Why::Write)?;
    Ok(done)
}
