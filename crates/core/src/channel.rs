//! One channel: its record, and its newest events in memory.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;
use tokio::sync::OnceCell;

use crate::{
    cursor::Position,
    event::Event,
    herald::WatchId,
    limits::{SIGNAL_TTL_MS, SIGNALS_MAX, TAIL_BYTES_MAX, TAIL_EVENTS_MAX},
    name::ChannelName,
    retention::most,
    space::Namespace,
    store::ChannelHead,
};

/// A channel as this node knows it. Shared by its readers and publishers.
#[derive(Debug)]
pub(crate) struct Channel {
    pub(crate) name: ChannelName,
    pub(crate) watch: WatchId,
    pub(crate) signal: bool,
    /// Filled once the record has been read from the store.
    pub(crate) loaded: OnceCell<()>,
    pub(crate) followers: AtomicU32,
    /// Greatest of last position and `trimmed_to`: tells without the lock that there is nothing new.
    newest: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    head: Option<ChannelHead>,
    /// Whether the store's record has been taken in, so that `head.first_seq` is true.
    loaded: bool,
    /// In order, without holes, complete above `floor` up to the log's head.
    tail: VecDeque<Arc<Event>>,
    tail_bytes: usize,
    floor: Position,
    /// The channel was forgotten with everything at or below: an older record comes too late.
    forgotten_to: Position,
}

/// What a channel's memory has for a reader.
#[derive(Debug)]
pub(crate) enum Collected {
    /// The events wanted; `more` when the limit cut them off.
    Events { more: bool },
    /// Some of what is wanted is below the tail.
    Below,
}

impl Channel {
    /// A channel of which nothing is known but that every event above `followed` will be told.
    pub(crate) fn new(name: ChannelName, watch: WatchId, signal: bool, followed: Position) -> Self {
        Self {
            name,
            watch,
            signal,
            loaded: OnceCell::new(),
            followers: AtomicU32::new(0),
            newest: AtomicU64::new(0),
            state: Mutex::new(State {
                head: None,
                loaded: false,
                tail: VecDeque::new(),
                tail_bytes: 0,
                floor: followed,
                forgotten_to: Position::START,
            }),
        }
    }

    /// Takes in the record that the store has. Events told meanwhile are newer and stay.
    pub(crate) fn load(&self, stored: Option<ChannelHead>) {
        let mut state = self.state.lock();
        let first_time = !std::mem::replace(&mut state.loaded, true);
        let stored = stored.filter(|stored| stored.position > state.forgotten_to);
        let told = state.head.take();
        state.head = match (stored, told) {
            (Some(stored), Some(told)) => Some(ChannelHead {
                seq: told.seq.max(stored.seq),
                position: told.position.max(stored.position),
                trimmed_to: told.trimmed_to.max(stored.trimmed_to),
                first_seq: told.first_seq.max(stored.first_seq),
                bytes: stored.bytes + told.bytes,
            }),
            // It has begun since the store was asked.
            (None, Some(told)) => {
                let first = state.tail.front().map_or(told.seq + 1, |first| first.seq);
                Some(ChannelHead { first_seq: told.first_seq.max(first), ..told })
            }
            (stored, None) => stored,
        };
        let last = stored.map_or(Position::START, |stored| stored.position);
        if state.tail.is_empty() && first_time {
            state.floor = state.floor.min(last);
        }
        self.remember_newest(&state);
    }

    /// Takes in an event that the log told, with the bytes of its record.
    pub(crate) fn push(&self, event: Arc<Event>, bytes: usize) {
        let mut state = self.state.lock();
        let first_seq = if state.loaded { event.seq } else { 0 };
        let head = state.head.get_or_insert_with(|| ChannelHead { first_seq, ..ChannelHead::default() });
        if event.seq > head.seq {
            (head.seq, head.position) = (event.seq, event.position);
            head.bytes += bytes as u64;
        }
        if state.tail.is_empty() {
            state.floor = event.prev;
        }
        state.tail_bytes += event.data.bytes().len();
        state.tail.push_back(event);
        self.shrink(&mut state);
        self.remember_newest(&state);
    }

    /// An event of the channel cannot be read: what is older must come from the store again.
    pub(crate) fn push_unreadable(&self, seq: u64, position: Position) {
        let mut state = self.state.lock();
        let head = state.head.get_or_insert_default();
        (head.seq, head.position) = (seq, position);
        state.tail.clear();
        (state.tail_bytes, state.floor) = (0, position);
        self.remember_newest(&state);
    }

    fn shrink(&self, state: &mut State) {
        let events_max = if self.signal { SIGNALS_MAX } else { TAIL_EVENTS_MAX };
        while state.tail.len() > events_max || (state.tail_bytes > TAIL_BYTES_MAX && state.tail.len() > 1) {
            state.pop_front();
        }
    }

    /// Everything at or below `to` is gone.
    pub(crate) fn trimmed(&self, to: Position, first_seq: u64) {
        let mut state = self.state.lock();
        if to <= state.forgotten_to {
            // Told late: the channel has been forgotten since.
            return;
        }
        let head = state.head.get_or_insert_default();
        head.trimmed_to = head.trimmed_to.max(to);
        head.first_seq = head.first_seq.max(first_seq);
        while state.tail.front().is_some_and(|event| event.position <= to) {
            state.pop_front();
        }
        self.remember_newest(&state);
    }

    /// The channel is forgotten: it has no record any more, and a later event of the name starts anew. Answers whether
    /// that is still so.
    pub(crate) fn forgotten(&self, mark: Position) -> bool {
        let mut state = self.state.lock();
        if state.head.is_some_and(|head| head.position > mark) {
            // Told late: this is a later channel of the name.
            return false;
        }
        state.head = None;
        state.tail.clear();
        (state.tail_bytes, state.floor) = (0, mark);
        state.forgotten_to = state.forgotten_to.max(mark);
        self.newest.store(0, Ordering::Release);
        true
    }

    /// Signals older than their time to live give their memory back.
    pub(crate) fn expire(&self, now: u64) {
        let mut state = self.state.lock();
        while state.tail.front().is_some_and(|event| event.time + SIGNAL_TTL_MS <= now) {
            state.pop_front();
        }
    }

    /// The record, if the channel has one.
    pub(crate) fn head(&self) -> Option<ChannelHead> {
        self.state.lock().head
    }

    /// Whether there may be something above `cursor`; no lock.
    pub(crate) fn is_newer_than(&self, cursor: Position) -> bool {
        self.newest.load(Ordering::Acquire) > cursor.number()
    }

    /// Whether there is neither an event nor a mark above `place`; no lock. `forgotten_to` is the mark of its namespace.
    pub(crate) fn is_quiet(&self, place: Position, forgotten_to: Position) -> bool {
        match self.newest.load(Ordering::Acquire) {
            0 => forgotten_to <= place,
            newest => newest <= place.number(),
        }
    }

    /// Whether an event above `after` is still kept somewhere but is not in memory.
    pub(crate) fn is_below(&self, after: Position) -> bool {
        !self.signal && self.state.lock().is_below(after)
    }

    /// Puts the events in `(after, up_to]` behind `out`, at most `limit` of them.
    pub(crate) fn collect(
        &self,
        after: Position,
        up_to: Position,
        limit: usize,
        now: u64,
        out: &mut Vec<Arc<Event>>,
    ) -> Collected {
        let state = self.state.lock();
        if !self.signal && state.is_below(after) {
            return Collected::Below;
        }
        let from = state.tail.partition_point(|event| event.position <= after);
        let mut wanted = state
            .tail
            .range(from..)
            .take_while(|event| event.position <= up_to)
            .filter(|event| !self.signal || event.time + SIGNAL_TTL_MS > now);
        out.extend(wanted.by_ref().take(limit).cloned());
        Collected::Events { more: wanted.next().is_some() }
    }

    /// Positions and `prev` of the newest `count` events, newest first, if memory has that many or all there are.
    pub(crate) fn newest(&self, count: usize) -> Option<Vec<(Position, Position)>> {
        let state = self.state.lock();
        let trimmed_to = state.head.map_or(Position::START, |head| head.trimmed_to);
        if state.tail.len() < count && state.is_below(trimmed_to) {
            return None;
        }
        Some(state.tail.iter().rev().take(count).map(|event| (event.position, event.prev)).collect())
    }

    /// Whether it may hold more than the namespace allows.
    pub(crate) fn is_over(&self, options: &Namespace) -> bool {
        let state = self.state.lock();
        let head = state.head.filter(|_| state.loaded && !self.signal);
        head.is_some_and(|head| {
            head.events() > most(options.events_max) || head.bytes > most(options.bytes_max)
        })
    }

    /// Bytes of the records kept, at most: what was removed is not known before [`Channel::know_bytes`].
    pub(crate) fn bytes(&self) -> u64 {
        self.state.lock().head.map_or(0, |head| head.bytes)
    }

    /// The store has said how many bytes there are, after [`Channel::bytes`] were `estimated`.
    pub(crate) fn know_bytes(&self, estimated: u64, known: u64) {
        if let Some(head) = &mut self.state.lock().head {
            head.bytes = known + head.bytes.saturating_sub(estimated);
        }
    }

    fn remember_newest(&self, state: &State) {
        let newest = state.head.map_or(0, |head| head.position.max(head.trimmed_to).number());
        self.newest.store(newest, Ordering::Release);
    }
}

impl State {
    /// Whether an event above `after` is still kept somewhere but is not in the tail.
    fn is_below(&self, after: Position) -> bool {
        let Some(head) = self.head else { return false };
        let asked = after.max(head.trimmed_to);
        self.floor > asked && head.position > asked
    }

    fn pop_front(&mut self) {
        if let Some(event) = self.tail.pop_front() {
            self.tail_bytes -= event.data.bytes().len();
            self.floor = event.position;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::atomic::AtomicU64;

    use super::*;

    fn forgotten_at(mark: u64) -> Channel {
        let watch = WatchId::next(&AtomicU64::new(0));
        let channel = Channel::new(ChannelName::parse("shot:a").unwrap(), watch, false, Position::new(mark));
        assert!(channel.forgotten(Position::new(mark)));
        channel
    }

    fn head(position: u64) -> ChannelHead {
        ChannelHead { seq: 3, position: Position::new(position), first_seq: 1, ..ChannelHead::default() }
    }

    // Mutant: `load` takes whatever the store said -> a reader compares with a record that is gone.
    #[test]
    fn a_record_that_was_read_before_it_was_forgotten_comes_too_late() {
        let channel = forgotten_at(10);
        channel.load(Some(head(8)));
        assert_eq!(channel.head(), None);
        let channel = forgotten_at(10);
        channel.load(Some(head(12)));
        assert_eq!(channel.head(), Some(head(12)), "a later channel of the name");
        assert!(!channel.forgotten(Position::new(10)), "told once more");
        assert_eq!(channel.head(), Some(head(12)));
    }

    // Mutant: `trimmed` makes a record where there is none -> the next event is numbered from 1.
    #[test]
    fn a_trim_that_was_begun_before_the_channel_was_forgotten_comes_too_late() {
        let channel = forgotten_at(10);
        channel.trimmed(Position::new(9), 3);
        assert_eq!(channel.head(), None);
    }
}
