//! What a channel's events say of its record, when that is lost or does not fit them.

use std::ops::Bound::{Excluded, Included};

use fjall::Guard;
use sosik_core::{cursor::Position, name::ChannelName, store::ChannelHead};

use super::{
    layout::{event_key, position_of, removal_of, removals_of},
    tables::View,
    value::{EventValue, Record, Value},
};

/// The events of a channel that are there, as far as they count for its record.
#[derive(Debug, Default)]
pub(super) struct Lineage {
    first: Option<Link>,
    last: Option<Link>,
}

/// One event of a channel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Link {
    pub(super) position: Position,
    pub(super) seq: u64,
    pub(super) prev: Position,
    /// Bytes of the channel's records before it, and with it.
    pub(super) bytes: (u64, u64),
}

impl Link {
    pub(super) fn new(position: Position, event: &EventValue) -> Self {
        let bytes = (event.before, event.before + event.body.len() as u64);
        Self { position, seq: event.seq, prev: event.prev, bytes }
    }
}

impl Lineage {
    /// Takes in the next event.
    pub(super) fn push(&mut self, link: Link) {
        self.first.get_or_insert(link);
        self.last = Some(link);
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.last.is_none()
    }

    /// Whether nothing of it lies above `position`.
    pub(super) fn ends_by(&self, position: Position) -> bool {
        self.last.is_none_or(|last| last.position <= position)
    }

    /// The record that fits: never behind an event, nor behind `known`. `None` if nothing is known of the channel.
    pub(super) fn record(&self, known: Option<Record>, removed_to: Position) -> Option<Record> {
        let (Some(first), Some(last)) = (self.first, self.last) else { return known };
        let mut record = known.unwrap_or_else(|| {
            let trimmed_to = first.prev.max(removed_to);
            let head = ChannelHead { trimmed_to, ..ChannelHead::default() };
            Record { head, ..Record::default() }
        });
        if record.head.position < last.position {
            (record.head.seq, record.head.position) = (last.seq, last.position);
        }
        record.bytes = record.bytes.max(last.bytes.1);
        record.head.first_seq = first.seq;
        // Of two lives of a name the later one counts anew.
        record.head.bytes = record.bytes.saturating_sub(first.bytes.0);
        Some(record)
    }
}

impl View<'_> {
    /// The record of `channel` from its events alone, if they prove it: trimming takes the oldest ones away, so the last
    /// one that is there is the last one that was.
    pub(super) fn proven(&self, channel: &ChannelName) -> Option<Record> {
        let removed_to = self.removed_to(channel)?;
        let (from, to) = (event_key(channel, removed_to), event_key(channel, Position::END));
        let mut rows = self.rows(&self.tables.events, Excluded(from), Included(to));
        let mut lineage = Lineage::default();
        let link = |row: Guard| {
            let (key, value) = row.into_inner().ok()?;
            Some(Link::new(position_of(&key)?, &EventValue::unseal(&key, &value).ok()?))
        };
        lineage.push(link(rows.next()?)?);
        if let Some(last) = rows.next_back() {
            lineage.push(link(last)?);
        }
        lineage.record(None, removed_to)
    }

    /// Up to where events of the channel are about to be taken away.
    pub(super) fn removed_to(&self, channel: &ChannelName) -> Option<Position> {
        let mut to = Position::START;
        for row in self.rows_with(&self.tables.meta, &removals_of(channel)) {
            to = to.max(removal_of(&row.key().ok()?)?.1);
        }
        Some(to)
    }
}
