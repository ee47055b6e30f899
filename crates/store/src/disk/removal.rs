//! Taking away, bit by bit, the events that are marked as gone. Readers do not see them meanwhile.

use std::{
    collections::VecDeque,
    ops::Bound::{Excluded, Included},
};

use fjall::OwnedWriteBatch;
use sosik_core::{cursor::Position, name::ChannelName, store::StoreError};

use super::{
    REMOVED_AT_ONCE_MAX,
    engine_error::unreadable,
    layout::{REMOVAL, event_key, order_key, position_of, removal_key, removal_of},
    stage::Removed,
    tables::{Tables, damaged},
    value::Tail,
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

    /// Whether the channel's event at `position` is about to be taken away.
    pub(super) fn covers(&self, channel: &ChannelName, position: Position) -> bool {
        self.waiting.iter().any(|(own, to)| own == channel && position <= *to)
    }

    pub(super) fn extend(&mut self, removed: &[Removed]) {
        self.waiting.extend(removed.iter().map(|removed| match removed {
            Removed::Trimmed { channel, to, .. } | Removed::Forgotten { channel, to, .. } => {
                (channel.clone(), *to)
            }
        }));
    }

    /// Whether there is nothing to take away.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes away at most [`REMOVED_AT_ONCE_MAX`] events, in one commit that ends the log at `tail`, and answers whether there
    /// was one. It may use the reserve, because it is what makes room.
    pub(super) fn step(&mut self, tables: &Tables, tail: Tail) -> Result<bool, WriteError> {
        let mut writes = tables.batch();
        let (mut left, mut done) = (REMOVED_AT_ONCE_MAX, 0);
        for (channel, to) in &self.waiting {
            match some(tables, &mut writes, (channel, *to), left) {
                Ok(count) if count < left => {
                    left -= count;
                    writes.remove(&tables.meta, removal_key(channel, *to));
                }
                Ok(_) => break,
                // It stays on the list; the next start tries again.
                Err(Unreadable) => {}
            }
            done += 1;
            if done == MARKS_AT_ONCE_MAX {
                break;
            }
        }
        let is_any = !writes.is_empty();
        if is_any {
            tables.settle().and_then(|()| tables.commit(writes, tail))?;
        }
        self.waiting.drain(..done);
        Ok(is_any)
    }
}

struct Unreadable;

/// Takes away at most `most` events of a channel, and answers how many.
fn some(
    tables: &Tables,
    writes: &mut OwnedWriteBatch,
    (channel, to): (&ChannelName, Position),
    most: usize,
) -> Result<usize, Unreadable> {
    let (from, end) = (event_key(channel, Position::START), event_key(channel, to));
    let mut count = 0;
    for row in tables.view().rows(&tables.events, Excluded(from), Included(end)).take(most) {
        let key = row.key().map_err(|_| Unreadable)?;
        let position = position_of(&key).ok_or(Unreadable)?;
        writes.remove(&tables.order, order_key(position));
        writes.remove(&tables.events, key);
        count += 1;
    }
    Ok(count)
}

/// Marks that are worked off at once.
const MARKS_AT_ONCE_MAX: usize = 256;
