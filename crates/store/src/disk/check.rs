//! Whether a log that was opened hangs together at its end, and is all that was vouched for.

use std::{
    collections::{BTreeSet, HashMap},
    ops::Bound::{Excluded, Included},
};

use sosik_core::{cursor::Position, name::ChannelName, store::StoreError};

use super::{
    commits::COMMIT,
    engine_error::unreadable,
    layout::{event_key, order_key, position_of},
    open::Found,
    tables::{Tables, View},
    value::{OrderValue, Value},
    witness::Witness,
};
use crate::held::BATCHES_HELD_MAX;

/// Says what is missing, if less was found than `witness` vouched for.
pub(super) fn less(found: &Found, witness: Option<Witness>) -> Option<String> {
    let Some(witness) = witness else {
        return Some(
            "its witness, which says how far it had come, is missing or cannot be read, so that nobody can vouch \
             for its end"
                .into(),
        );
    };
    let tail = found.tail;
    if witness.epoch != found.identity.epoch {
        return Some("its witness vouched for another epoch: the files are not those of its last run".into());
    }
    let compared = [
        ("position", witness.head.number(), tail.head.number()),
        ("batch", witness.batches, tail.batches),
        ("commit", witness.commits, tail.commits),
    ];
    let (what, vouched, found) = compared.into_iter().find(|(_, vouched, found)| found < vouched)?;
    Some(format!("it had vouched for everything up to {what} {vouched}, and ends at {what} {found}"))
}

/// Says what does not fit together among the last [`ROWS_CHECKED_MAX`] events, if anything.
///
/// A damaged event or row of the order is none of that: reads tell it in its place.
pub(super) fn end(tables: &Tables, found: &Found) -> Result<Option<String>, StoreError> {
    let commits = tables.commits.found();
    if commits != found.tail.commits {
        return Ok(Some(format!(
            "it says that commit {} was its last, and holds {commits}",
            found.tail.commits
        )));
    }
    Ok(match batches(found) {
        Some(why) => Some(why),
        None => End { view: tables.view(), found }.check()?,
    })
}

fn batches(found: &Found) -> Option<String> {
    let held = found.tail.batches.min(BATCHES_HELD_MAX as u64);
    let expected = found.tail.batches - held..found.tail.batches;
    if !found.batches.iter().map(|batch| batch.number).eq(expected) {
        return Some("the batches remembered last are not those that it ends with".into());
    }
    let last = found.batches.iter().flat_map(|batch| &batch.placed).map(|placed| placed.position).max();
    let beyond = last.filter(|last| *last > found.tail.head)?;
    Some(format!("a batch reaches position {}, behind the end of the log", beyond.number()))
}

struct End<'a> {
    view: View<'a>,
    found: &'a Found,
}

impl End<'_> {
    fn check(&self) -> Result<Option<String>, StoreError> {
        let mut positions = BTreeSet::new();
        let mut latest: HashMap<ChannelName, (Position, u64)> = HashMap::new();
        let (from, to) = (order_key(Position::START).to_vec(), COMMIT.to_vec());
        let rows = self.view.rows(&self.view.tables.order, Included(from), Excluded(to));
        for row in rows.rev().take(ROWS_CHECKED_MAX) {
            let what = || "the end of the order".to_owned();
            let (key, value) = row.into_inner().map_err(|error| unreadable(what(), error))?;
            let Some(position) = position_of(&key) else { continue };
            positions.insert(position);
            if let Ok(OrderValue { seq, channel }) = OrderValue::unseal(&key, &value) {
                latest.entry(channel).or_insert((position, seq));
            }
        }
        let beyond = positions.last().filter(|last| **last > self.found.tail.head);
        if let Some(last) = beyond {
            return Ok(Some(format!(
                "the order goes on behind the end of the log, to position {}",
                last.number()
            )));
        }
        let from = positions.first().copied().unwrap_or_default();
        for (channel, last) in latest {
            if let Some(why) = self.channel(&channel, last, &positions, from)? {
                return Ok(Some(why));
            }
        }
        Ok(None)
    }

    /// `last` is what the order says of the channel's last event, `positions` all that it names from `from` on.
    fn channel(
        &self,
        channel: &ChannelName,
        (position, seq): (Position, u64),
        positions: &BTreeSet<Position>,
        from: Position,
    ) -> Result<Option<String>, StoreError> {
        let name = |what: String| Ok(Some(format!("channel {channel}: {what}")));
        // One that is damaged is told by what reads it, and made anew by the next append.
        let Ok(record) = self.view.record(channel) else { return Ok(None) };
        let Some(record) = record else {
            let forgotten = self.found.removals.covers(channel, position);
            return if forgotten { Ok(None) } else { name("its record is missing".into()) };
        };
        let head = record.head;
        if head.position < position || (head.position == position && head.seq != seq) {
            let (own, other) = (head.position.number(), position.number());
            return name(format!("its record ends at position {own}, its events at {other}"));
        }
        let floor = record.floor().max(from);
        let (from, to) = (event_key(channel, floor), event_key(channel, Position::END));
        let rows = self.view.rows(&self.view.tables.events, Excluded(from), Included(to));
        let mut found = BTreeSet::new();
        for row in rows.take(ROWS_CHECKED_MAX) {
            let key = row.key().map_err(|error| unreadable(format!("events of {channel}"), error))?;
            let Some(position) = position_of(&key) else { continue };
            if !positions.contains(&position) {
                return name(format!("its event at position {} is missing in the order", position.number()));
            }
            found.insert(position);
        }
        // What a log had lost when its epoch began was told by that.
        if position > floor.max(self.found.identity.base) && !found.contains(&position) {
            return name(format!("its event at position {} is missing", position.number()));
        }
        Ok(None)
    }
}

/// Rows of the order that are checked at a start.
const ROWS_CHECKED_MAX: usize = 1_000;
