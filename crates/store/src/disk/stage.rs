//! What one commit is going to write, built up from jobs that wait together.

use std::collections::BTreeSet;

use fjall::OwnedWriteBatch;
use hashbrown::HashMap;
use sosik_core::{
    cursor::{Epoch, LogId, Position},
    name::ChannelName,
    record,
    store::{Batch, ChannelHead, Entry, Memo, Placed, StoreError, Stored},
};

use super::{
    layout::{batch_key, event_key, mark_key, order_key, record_key, removal_key},
    memos::{Before, Memos, Windows},
    records::Records,
    tables::{Tables, View},
    value::{BatchValue, EventValue, OrderValue, Record, Tail, Value},
};
use crate::held::{BATCHES_HELD_MAX, Batches, Guards, places};

/// Jobs on their way into one commit. Each sees those before it.
pub(super) struct Stage<'a> {
    view: View<'a>,
    writes: OwnedWriteBatch,
    /// Those of the last commits.
    known: &'a Records,
    records: HashMap<ChannelName, Looked>,
    marks: HashMap<Box<str>, Position>,
    /// Each channel once.
    changed: Vec<ChannelName>,
    batches: HashMap<u128, Vec<Placed>>,
    memos: Memos,
    epoch: Epoch,
    tail: Tail,
    news: News,
    room: bool,
}

/// What is to be known of a commit once it is synced.
#[derive(Default)]
pub(super) struct Staged {
    /// Where the log ends then.
    pub(super) tail: Tail,
    pub(super) news: News,
    pub(super) batches: HashMap<u128, Vec<Placed>>,
    /// Those that change.
    pub(super) windows: Windows,
    /// Those that change; `None` for a channel that has none any more.
    pub(super) records: Vec<(ChannelName, Option<Record>)>,
}

/// A record as it is by now.
#[derive(Default)]
struct Looked {
    record: Option<Record>,
    changed: bool,
}

/// What a commit makes visible.
#[derive(Default)]
pub(super) struct News {
    pub(super) events: Vec<Stored>,
    pub(super) removed: Vec<Removed>,
}

/// Events of a channel that are marked as gone, up to `to`.
pub(super) enum Removed {
    Trimmed { channel: ChannelName, to: Position, first_seq: u64 },
    Forgotten { channel: ChannelName, to: Position, mark: Position },
}

impl<'a> Stage<'a> {
    /// Without `room` it takes no events, only marks.
    pub(super) fn new(tables: &'a Tables, known: &'a Records, tail: Tail, epoch: Epoch, room: bool) -> Self {
        Self {
            view: tables.view(),
            writes: tables.batch(),
            known,
            records: HashMap::new(),
            marks: HashMap::new(),
            changed: Vec::new(),
            batches: HashMap::new(),
            memos: Memos::default(),
            epoch,
            tail: tail.following(),
            news: News::default(),
            room,
        }
    }

    /// Places all of `batch` or nothing. `before` are the batches of earlier commits.
    pub(super) fn append(&mut self, batch: Batch, before: &Batches) -> Result<Vec<Placed>, StageError> {
        let stored = before.placed(batch.id).or_else(|| self.batches.get(&batch.id).map(|placed| &**placed));
        if let Some(placed) = stored {
            return Err(StageError::Duplicate(placed.to_vec()));
        }
        if !self.room {
            return Err(StageError::Full);
        }
        let mut guards = Own { next: self.tail.head, stage: self };
        let places = places(&batch.entries, &mut guards).map_err(|_| guards.unreadable(&batch.entries))?;
        let places = places.ok_or(StageError::Conflict)?;
        let over =
            batch.memos.iter().map(|memo| self.over(memo, &batch.entries)).collect::<Result<_, _>>()?;
        let placed: Vec<_> = places.iter().map(|&(placed, _)| placed).collect();
        for (Entry { channel, body, kept, .. }, (Placed { position, seq }, prev)) in
            batch.entries.into_iter().zip(places)
        {
            self.insert(Stored { position, channel, seq, prev, body, kept });
        }
        self.memos.write(batch.memos, over, &placed);
        self.remember(batch.id, &placed);
        Ok(placed)
    }

    /// Marks the channel's events at or below `to` as gone.
    pub(super) fn trim(&mut self, channel: &ChannelName, to: Position) -> Result<(), StoreError> {
        let Some(mut record) = self.record(channel)? else { return Ok(()) };
        let to = to.min(record.head.position);
        if to <= record.head.trimmed_to {
            return Ok(());
        }
        let before = record.head;
        let kept = self.view.kept_above(channel, to, record.bytes)?;
        let (first_seq, bytes) = kept.unwrap_or((record.head.seq + 1, 0));
        (record.head.trimmed_to, record.head.first_seq, record.head.bytes) = (to, first_seq, bytes);
        self.keep_less(before, record.head);
        self.change(channel, Some(record));
        self.remove(channel, to, to);
        self.news.removed.push(Removed::Trimmed { channel: channel.clone(), to, first_seq });
        Ok(())
    }

    /// Takes the channel's record away, and marks all of its events as gone. Answers the namespace's mark.
    pub(super) fn forget(&mut self, channel: &ChannelName) -> Result<Position, StoreError> {
        let mark = self.mark(channel.namespace())?;
        let Some(record) = self.record(channel)? else { return Ok(mark) };
        let to = record.head.position;
        self.keep_less(record.head, ChannelHead { first_seq: record.head.seq + 1, bytes: 0, ..record.head });
        let mark = mark.max(to);
        self.marks.insert(channel.namespace().into(), mark);
        let key = mark_key(channel.namespace());
        self.writes.insert(&self.view.tables.channels, &*key, mark.seal(&key));
        self.change(channel, None);
        self.remove(channel, to, mark);
        self.news.removed.push(Removed::Forgotten { channel: channel.clone(), to, mark });
        Ok(mark)
    }

    /// Whether there is anything to write.
    pub(super) fn is_empty(&self) -> bool {
        self.news.events.is_empty() && self.news.removed.is_empty()
    }

    /// The whole as one batch. `windows` are those of the memos as they were.
    pub(super) fn finish(mut self, windows: &Windows) -> (OwnedWriteBatch, Staged) {
        if let Some(last) = self.news.events.last() {
            let time = record::decode(LogId::Disk, self.epoch, last).map_or(0, |event| event.time);
            self.tail.last_time = self.tail.last_time.max(time);
        }
        let table = &self.view.tables.channels;
        let mut records = Vec::with_capacity(self.changed.len());
        for channel in std::mem::take(&mut self.changed) {
            let key = record_key(&channel);
            let record = self.looked(&channel);
            match record {
                Some(record) => self.writes.insert(table, &*key, record.seal(&key)),
                None => self.writes.remove(table, &*key),
            }
            records.push((channel, record));
        }
        let windows = self.memos.finish(&self.view, &mut self.writes, self.tail, windows);
        let Self { writes, tail, news, batches, .. } = self;
        (writes, Staged { tail, news, batches, windows, records })
    }

    /// Reads nothing: the guards have, so that a batch is staged whole or not at all.
    fn insert(&mut self, event: Stored) {
        let Stored { position, seq, prev, kept, .. } = event;
        let before = self.looked(&event.channel);
        let born = || self.marks.get(event.channel.namespace()).copied().unwrap_or_default();
        let mut record = before.unwrap_or_else(|| Record { born: born(), ..Record::default() });
        let head = &mut record.head;
        if before.is_none() || head.first_seq > head.seq {
            head.first_seq = if kept { seq } else { seq + 1 };
        }
        (head.seq, head.position) = (seq, position);
        let before = record.bytes;
        if kept {
            let bytes = event.body.len() as u64;
            record.bytes += bytes;
            record.head.bytes += bytes;
            self.tail.kept = (self.tail.kept.0 + 1, self.tail.kept.1 + bytes);
        }
        self.change(&event.channel, Some(record));
        if kept {
            let key = event_key(&event.channel, position);
            let value = EventValue { seq, prev, before, body: event.body.clone() };
            self.writes.insert(&self.view.tables.events, &*key, value.seal(&key));
            let (key, value) = (order_key(position), OrderValue { seq, channel: event.channel.clone() });
            self.writes.insert(&self.view.tables.order, key, value.seal(&key));
        }
        self.tail.head = position;
        self.news.events.push(event);
    }

    /// What `memo` is written over. One that cannot be read takes the channel with it that it is about.
    fn over(&self, memo: &Memo, entries: &[Entry]) -> Result<Before, StageError> {
        let own = memo.entries.iter().map(|&entry| entries[entry as usize].channel.clone());
        self.memos.look(&self.view, memo).map_err(|_| StageError::Unreadable(own.take(1).collect()))
    }

    fn remember(&mut self, id: u128, placed: &[Placed]) {
        let number = self.tail.batches;
        self.tail.batches += 1;
        let key = batch_key((number % BATCHES_HELD_MAX as u64) as u32);
        let value = BatchValue { number, id, placed: placed.to_vec() };
        self.writes.insert(&self.view.tables.meta, &*key, value.seal(&key));
        self.batches.insert(id, value.placed);
    }

    fn remove(&mut self, channel: &ChannelName, to: Position, mark: Position) {
        self.tail.removed_to = self.tail.removed_to.max(mark);
        self.writes.insert(&self.view.tables.meta, removal_key(channel, to), []);
    }

    /// A channel that held what `before` says holds what `after` says.
    fn keep_less(&mut self, before: ChannelHead, after: ChannelHead) {
        let (events, bytes) = &mut self.tail.kept;
        *events = events.saturating_sub(before.events() - after.events());
        *bytes = bytes.saturating_sub(before.bytes.saturating_sub(after.bytes));
    }

    fn change(&mut self, channel: &ChannelName, record: Option<Record>) {
        let looked = self.records.entry(channel.clone()).or_default();
        looked.record = record;
        if !std::mem::replace(&mut looked.changed, true) {
            self.changed.push(channel.clone());
        }
    }

    /// The record of a channel that was looked at before.
    fn looked(&self, channel: &ChannelName) -> Option<Record> {
        self.records.get(channel).and_then(|looked| looked.record)
    }

    fn record(&mut self, channel: &ChannelName) -> Result<Option<Record>, StoreError> {
        if let Some(looked) = self.records.get(channel) {
            return Ok(looked.record);
        }
        let record = match self.known.get(channel) {
            Some(record) => Some(record),
            None => self.view.record(channel)?,
        };
        self.records.insert(channel.clone(), Looked { record, changed: false });
        Ok(record)
    }

    fn mark(&mut self, namespace: &str) -> Result<Position, StoreError> {
        if let Some(known) = self.marks.get(namespace) {
            return Ok(*known);
        }
        let mark = self.view.mark(namespace)?;
        self.marks.insert(namespace.into(), mark);
        Ok(mark)
    }
}

/// Why a batch was not staged.
pub(super) enum StageError {
    Conflict,
    Duplicate(Vec<Placed>),
    /// It would have to go into the reserve.
    Full,
    /// The records of these channels could not be read.
    Unreadable(BTreeSet<ChannelName>),
}

/// The guards of a batch, held against the tables and what is staged.
struct Own<'a, 'b> {
    stage: &'a mut Stage<'b>,
    next: Position,
}

impl Own<'_, '_> {
    /// All channels whose guards cannot be read, so that a batch need not come again for each of them.
    fn unreadable(&mut self, entries: &[Entry]) -> StageError {
        let channels =
            entries.iter().map(|entry| &entry.channel).filter(|channel| self.last(channel).is_err());
        StageError::Unreadable(channels.cloned().collect())
    }
}

impl Guards for Own<'_, '_> {
    type Error = StoreError;

    fn last(&mut self, channel: &ChannelName) -> Result<Option<(u64, Position)>, StoreError> {
        let record = self.stage.record(channel)?;
        if record.is_none() {
            // Where a new record begins, see `Stage::insert`.
            self.stage.mark(channel.namespace())?;
        }
        Ok(record.map(|Record { head: ChannelHead { seq, position, .. }, .. }| (seq, position)))
    }

    fn mark(&mut self, namespace: &str) -> Result<Position, StoreError> {
        self.stage.mark(namespace)
    }

    fn next(&mut self) -> Position {
        self.next = Position::new(self.next.number() + 1);
        self.next
    }
}
