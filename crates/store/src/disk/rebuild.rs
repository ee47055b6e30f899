//! Making the order and the records of a log with a hole fit its events, in place.

use std::collections::HashMap;

use bytes::Bytes;
use fjall::OwnedWriteBatch;
use sosik_core::{
    cursor::{Epoch, LogId, Position},
    name::ChannelName,
    record,
    store::{StoreError, Stored},
};

use super::{
    engine_error::unreadable,
    layout::{batch_key, channel_of, event_of, marked_by, order_key, position_of, record_key, window_key},
    lineage::{Lineage, Link},
    open::Found,
    tables::{Tables, View},
    value::{EventValue, OrderValue, Record, Tail, Value},
};
use crate::held::BATCHES_HELD_MAX;

/// Reads all events, and writes what is missing of their rows in the order and of the records of their channels. Answers
/// where the log ends, and how many records were written. Nothing is taken away: an event that is missing or damaged is told in its place.
pub(super) fn mend(tables: &Tables, found: &Found) -> Result<(Tail, u64), StoreError> {
    let (view, writes) = (tables.view(), Writes::new(tables, found.tail));
    let mut mend = Mend { view, found, writes, tail: found.tail, ordered: HashMap::new(), rebuilt: 0 };
    mend.ordered()?;
    mend.events()?;
    mend.eventless()?;
    mend.batches()?;
    mend.windows()?;
    mend.writes.flush()?;
    mend.view = tables.view();
    mend.records()?;
    Ok((Tail { commits: mend.writes.tail.commits, ..mend.tail }, mend.rebuilt))
}

struct Mend<'a> {
    view: View<'a>,
    found: &'a Found,
    writes: Writes<'a>,
    tail: Tail,
    /// What the order names as the last event of each channel whose events are still to be read.
    ordered: HashMap<ChannelName, (u64, Position)>,
    /// Records that were written.
    rebuilt: u64,
}

impl Mend<'_> {
    fn ordered(&mut self) -> Result<(), StoreError> {
        for row in self.view.all_rows(&self.view.tables.order) {
            let (key, value) = row.into_inner().map_err(|error| unreadable("the order".into(), error))?;
            let Some(position) = position_of(&key) else { continue };
            self.reach(position);
            if let Ok(OrderValue { seq, channel }) = OrderValue::unseal(&key, &value) {
                self.ordered.insert(channel, (seq, position));
            }
        }
        Ok(())
    }

    /// Channels of which the order alone is left.
    fn eventless(&mut self) -> Result<(), StoreError> {
        let left: Vec<_> = self.ordered.keys().cloned().collect();
        left.iter().try_for_each(|channel| self.record(channel, &Lineage::default()))
    }

    fn events(&mut self) -> Result<(), StoreError> {
        let mut current: Option<(ChannelName, Position, Lineage)> = None;
        for row in self.view.all_rows(&self.view.tables.events) {
            let (key, value) = row.into_inner().map_err(|error| unreadable("the events".into(), error))?;
            let Some((channel, position)) = event_of(&key) else { continue };
            self.reach(position);
            let Ok(event) = EventValue::unseal(&key, &value) else { continue };
            self.order(&channel, position, event.seq)?;
            let link = Link::new(position, &event);
            if position > self.found.tail.head {
                self.tail.last_time = self.tail.last_time.max(time_of(&channel, link, event.body));
            }
            if current.as_ref().is_none_or(|(own, ..)| *own != channel) {
                if let Some((channel, _, lineage)) = current.take() {
                    self.record(&channel, &lineage)?;
                }
                let floor = self.floor(&channel);
                current = Some((channel, floor, Lineage::default()));
            }
            if let Some((_, floor, lineage)) = &mut current
                && position > *floor
            {
                lineage.push(link);
            }
        }
        current.map_or(Ok(()), |(channel, _, lineage)| self.record(&channel, &lineage))
    }

    /// What is there of the channel at or below is marked as gone, or of an earlier life of the name.
    fn floor(&self, channel: &ChannelName) -> Position {
        let known = self.view.stored_record(channel).unwrap_or_default().unwrap_or_default();
        known.floor().max(self.view.removed_to(channel).unwrap_or_default())
    }

    fn order(&mut self, channel: &ChannelName, position: Position, seq: u64) -> Result<(), StoreError> {
        let (key, row) = (order_key(position), OrderValue { seq, channel: channel.clone() });
        let there = self.view.value(&self.view.tables.order, &key, String::new);
        if there.is_ok_and(|there| there.as_ref() == Some(&row)) {
            return Ok(());
        }
        let table = &self.view.tables.order;
        self.writes.put(|batch| batch.insert(table, key, row.seal(&key)))
    }

    fn record(&mut self, channel: &ChannelName, lineage: &Lineage) -> Result<(), StoreError> {
        let removed_to = self.view.removed_to(channel).unwrap_or_default();
        let ordered = self.ordered.remove(channel).filter(|(_, position)| *position > removed_to);
        // One that is damaged is made from nothing but what is read here.
        let known = self.view.stored_record(channel).unwrap_or_default();
        if known.is_none() && lineage.ends_by(removed_to) && ordered.is_none() {
            return Ok(());
        }
        let mut record = lineage.record(known, removed_to).unwrap_or_default();
        if let Some((seq, position)) = ordered.filter(|(_, position)| *position > record.head.position) {
            (record.head.seq, record.head.position) = (seq, position);
            if lineage.is_empty() {
                record.head.first_seq = seq + 1;
            }
        }
        if known == Some(record) {
            return Ok(());
        }
        self.rebuilt += 1;
        let (table, key) = (&self.view.tables.channels, record_key(channel));
        self.writes.put(|batch| batch.insert(table, &*key, record.seal(&key)))
    }

    /// The log ends behind all that any record or mark names, and keeps what they say.
    fn records(&mut self) -> Result<(), StoreError> {
        self.tail.kept = (0, 0);
        for row in self.view.all_rows(&self.view.tables.channels) {
            let (key, value) = row.into_inner().map_err(|error| unreadable("the records".into(), error))?;
            if channel_of(&key).is_some() {
                let Ok(Record { head, born, .. }) = Record::unseal(&key, &value) else { continue };
                self.reach(head.position);
                self.tail.removed_to = self.tail.removed_to.max(head.trimmed_to).max(born);
                self.tail.kept = (self.tail.kept.0 + head.events(), self.tail.kept.1 + head.bytes);
            } else if marked_by(&key).is_some() {
                let Ok(mark) = Position::unseal(&key, &value) else { continue };
                self.reach(mark);
                self.tail.removed_to = self.tail.removed_to.max(mark);
            }
        }
        Ok(())
    }

    /// Batches of the old epoch are forgotten: who might send one again went with the last run.
    fn batches(&mut self) -> Result<(), StoreError> {
        self.tail.batches = 0;
        for batch in &self.found.batches {
            batch.placed.iter().for_each(|placed| self.tail.head = self.tail.head.max(placed.position));
            let key = batch_key((batch.number % BATCHES_HELD_MAX as u64) as u32);
            let table = &self.view.tables.meta;
            self.writes.put(|writes| writes.remove(table, &*key))?;
        }
        Ok(())
    }

    /// Memos may be missing as well: a key that is not there may have been stored.
    fn windows(&mut self) -> Result<(), StoreError> {
        for ((kind, namespace), mut window) in self.found.windows.clone() {
            window.held.since = self.tail.last_time;
            let (table, key) = (self.view.tables.memos(kind), window_key(&namespace));
            self.writes.put(|writes| writes.insert(table, &*key, window.seal(&key)))?;
        }
        Ok(())
    }

    fn reach(&mut self, position: Position) {
        self.tail.head = self.tail.head.max(position);
    }
}

/// Writes, in commits of a bounded size. Until the last one is done they say of the log's end what was found.
pub(super) struct Writes<'a> {
    tables: &'a Tables,
    batch: OwnedWriteBatch,
    count: usize,
    pub(super) tail: Tail,
}

impl<'a> Writes<'a> {
    /// The log ends at `tail`, or behind it.
    pub(super) fn new(tables: &'a Tables, tail: Tail) -> Self {
        let commits = tail.commits.max(tables.commits.found());
        Self { tables, batch: tables.batch(), count: 0, tail: Tail { commits, ..tail } }
    }

    pub(super) fn put(&mut self, write: impl FnOnce(&mut OwnedWriteBatch)) -> Result<(), StoreError> {
        write(&mut self.batch);
        self.count += 1;
        if self.count < WRITES_AT_ONCE { Ok(()) } else { self.flush() }
    }

    pub(super) fn flush(&mut self) -> Result<(), StoreError> {
        let batch = std::mem::replace(&mut self.batch, self.tables.batch());
        (self.count, self.tail) = (0, self.tail.following());
        let written = self.tables.commit(batch, self.tail);
        written.map_err(|error| StoreError::Failed(format!("what was mended cannot be written: {error}")))
    }
}

/// The time of an event, milliseconds since 1970; 0 if it is not one of ours.
pub(super) fn time_of(channel: &ChannelName, Link { position, seq, prev, .. }: Link, body: Bytes) -> u64 {
    let stored = Stored { position, channel: channel.clone(), seq, prev, body, kept: true };
    record::decode(LogId::Disk, Epoch::new(0), &stored).map_or(0, |event| event.time)
}

const WRITES_AT_ONCE: usize = 1_000;
