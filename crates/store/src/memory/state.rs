//! The maps of a log in memory, and the guards of its appends.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    convert::Infallible,
    ops::Bound::{Excluded, Included},
};

use hashbrown::HashMap;
use sosik_core::{
    cursor::{Epoch, LogId, Position},
    figures::StoreFigures,
    name::ChannelName,
    record,
    store::{
        AppendError, Appended, Batch, ChannelHead, Entry, Level, NamespaceHead, Page, PageLimit, Placed,
        Scope, Stored,
    },
};

use super::{REMOVED_AT_ONCE_MAX, SIGNALS_HELD_BYTES_MAX, SIGNALS_HELD_MAX, memos::Memos};
use crate::held::{self, Batches, Guards, NoticePlace, Notices, Recent};

pub(super) struct State {
    step: Box<dyn FnMut() -> u64 + Send>,
    last: Option<Stored>,
    /// Kept events; signals lie in `signals`.
    order: BTreeMap<Position, Stored>,
    /// Of the records in `order`.
    kept_bytes: u64,
    signals: Recent,
    spaces: HashMap<Box<str>, Space>,
    batches: Batches,
    notices: Notices,
    pub(super) memos: Memos,
}

/// What a step of trimming has taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trimmed {
    Nothing,
    /// There is more.
    Some,
    All,
}

impl State {
    pub(super) fn new(step: impl FnMut() -> u64 + Send + 'static) -> Self {
        Self {
            step: Box::new(step),
            last: None,
            order: BTreeMap::new(),
            kept_bytes: 0,
            signals: Recent::new(SIGNALS_HELD_MAX, SIGNALS_HELD_BYTES_MAX),
            spaces: HashMap::new(),
            batches: Batches::default(),
            notices: Notices::default(),
            memos: Memos::default(),
        }
    }

    pub(super) fn given(&self) -> Position {
        self.last.as_ref().map_or(Position::START, |last| last.position)
    }

    pub(super) fn figures(&self) -> StoreFigures {
        let kept_events = self.order.len() as u64;
        StoreFigures { kept_events, kept_bytes: self.kept_bytes, ..StoreFigures::default() }
    }

    /// 0 also for a last event that is no record, as tests write them.
    pub(super) fn last_time(&self, epoch: Epoch) -> u64 {
        let last = self.last.as_ref().and_then(|last| record::decode(LogId::Memory, epoch, last).ok());
        last.map_or(0, |event| event.time)
    }

    pub(super) fn append(&mut self, batch: Batch, epoch: Epoch) -> Result<Vec<Placed>, AppendError> {
        if let Some(placed) = self.batches.placed(batch.id) {
            let appended = Appended { placed: placed.to_vec(), level: Level::Memory };
            return Err(AppendError::Duplicate(appended));
        }
        let mut guards = Own { position: self.given(), state: self };
        let Ok(places) = held::places(&batch.entries, &mut guards);
        let places = places.ok_or(AppendError::Conflict)?;
        let placed: Vec<_> = places.iter().map(|&(placed, _)| placed).collect();
        for (Entry { channel, body, kept, .. }, (Placed { position, seq }, prev)) in
            batch.entries.into_iter().zip(places)
        {
            self.insert(Stored { position, channel, seq, prev, body, kept });
        }
        self.batches.push(batch.id, &placed);
        if !batch.memos.is_empty() {
            let time = self.last_time(epoch);
            self.memos.write(batch.memos, &placed, time);
        }
        Ok(placed)
    }

    fn insert(&mut self, event: Stored) {
        let space = self.spaces.entry_ref(event.channel.namespace()).or_default();
        let channel = space.channels.entry(event.channel.clone()).or_default();
        (channel.seq, channel.position) = (event.seq, event.position);
        self.last = Some(event.clone());
        if event.kept {
            channel.kept.push_back((event.position, event.seq));
            channel.bytes += event.body.len() as u64;
            self.kept_bytes += event.body.len() as u64;
            space.order.insert(event.position);
            self.order.insert(event.position, event);
        } else {
            self.signals.push(event);
        }
    }

    /// Takes away the oldest events at or below `to`, as many as go at once.
    pub(super) fn trim(&mut self, name: &ChannelName, to: Position) -> Trimmed {
        let Some(space) = self.spaces.get_mut(name.namespace()) else { return Trimmed::Nothing };
        let Some(channel) = space.channels.get_mut(name) else { return Trimmed::Nothing };
        let asked = to.min(channel.position);
        if asked <= channel.trimmed_to {
            return Trimmed::Nothing;
        }
        let last = channel.kept.get(REMOVED_AT_ONCE_MAX - 1).map_or(asked, |(position, _)| *position);
        let to = asked.min(last);
        channel.trimmed_to = to;
        while let Some((position, _)) = channel.kept.pop_front_if(|(position, _)| *position <= to) {
            space.order.remove(&position);
            let bytes = self.order.remove(&position).map_or(0, |event| event.body.len() as u64);
            channel.bytes -= bytes;
            self.kept_bytes -= bytes;
        }
        self.notices.trimmed(name, to, channel.head().first_seq);
        self.signals.remove(name, to);
        if to < asked { Trimmed::Some } else { Trimmed::All }
    }

    pub(super) fn forget(&mut self, name: &ChannelName) -> Position {
        let Some(space) = self.spaces.get_mut(name.namespace()) else { return Position::START };
        let Some(channel) = space.channels.remove(name) else { return space.forgotten_to };
        space.forgotten_to = space.forgotten_to.max(channel.position);
        self.notices.forgotten(name, space.forgotten_to);
        for (position, _) in &channel.kept {
            space.order.remove(position);
            self.order.remove(position);
        }
        self.kept_bytes -= channel.bytes;
        self.signals.remove(name, channel.position);
        space.forgotten_to
    }

    fn record(&self, name: &ChannelName) -> Option<&Channel> {
        self.spaces.get(name.namespace())?.channels.get(name)
    }

    pub(super) fn head(&self, name: &ChannelName) -> Option<ChannelHead> {
        self.record(name).map(Channel::head)
    }

    pub(super) fn namespace(&self, namespace: &str) -> NamespaceHead {
        self.spaces.get(namespace).map_or_else(NamespaceHead::default, |space| NamespaceHead {
            channels: space.channels.iter().map(|(name, channel)| (name.clone(), channel.head())).collect(),
            forgotten_to: space.forgotten_to,
        })
    }

    pub(super) fn page(
        &self,
        name: &ChannelName,
        after: Position,
        up_to: Position,
        limit: PageLimit,
    ) -> Page {
        let Some(channel) = self.record(name) else { return self.forward([], after, up_to, limit) };
        let first = channel.kept.partition_point(|(position, _)| *position <= after);
        let positions = channel.kept.range(first..).map(|(position, _)| *position);
        let mut page = self.forward(positions, after, up_to, limit);
        channel.mark(&mut page);
        page
    }

    pub(super) fn range(&self, scope: &Scope, after: Position, up_to: Position, limit: PageLimit) -> Page {
        if after >= up_to {
            return self.forward([], after, up_to, limit);
        }
        let asked = (Excluded(after), Included(up_to));
        match scope {
            Scope::All => {
                let positions = self.order.range(asked).map(|(position, _)| *position);
                self.forward(positions, after, up_to, limit)
            }
            Scope::Namespace(namespace) => {
                let positions = self.spaces.get(namespace).map(|space| space.order.range(asked).copied());
                self.forward(positions.into_iter().flatten(), after, up_to, limit)
            }
            Scope::Prefix(prefix) => {
                let space = self.spaces.get(prefix.namespace());
                let positions = space.map(|space| space.order.range(asked).copied()).into_iter().flatten();
                let own = positions.filter(|position| scope.has(&self.order[position].channel));
                self.forward(own, after, up_to, limit)
            }
        }
    }

    pub(super) fn before(&self, name: &ChannelName, before: Position, limit: PageLimit) -> Page {
        let Some(channel) = self.record(name) else { return Page::default() };
        let end = channel.kept.partition_point(|(position, _)| *position < before);
        let positions = channel.kept.range(..end).rev().map(|(position, _)| *position);
        let mut page = Page::default();
        if let Some(last) = self.fill(&mut page, positions, limit) {
            page.complete_to = last;
        }
        channel.mark(&mut page);
        page
    }

    /// Positions from above `after`; nothing above what was given can be vouched for.
    fn forward(
        &self,
        positions: impl IntoIterator<Item = Position>,
        after: Position,
        up_to: Position,
        limit: PageLimit,
    ) -> Page {
        let mut page = Page::default();
        let positions = positions.into_iter().take_while(|&position| position <= up_to);
        let cut_off = self.fill(&mut page, positions, limit);
        page.complete_to = cut_off.unwrap_or_else(|| up_to.min(self.given()).max(after));
        page
    }

    /// Fills `page`, and answers the last position in it if more would have followed.
    fn fill(
        &self,
        page: &mut Page,
        positions: impl Iterator<Item = Position>,
        limit: PageLimit,
    ) -> Option<Position> {
        let mut bytes = 0;
        for position in positions {
            let event = &self.order[&position];
            bytes += event.body.len();
            if let Some(last) = page.events.last()
                && (page.events.len() >= limit.events || bytes > limit.bytes)
            {
                return Some(last.position);
            }
            page.events.push(event.clone());
        }
        None
    }

    pub(super) fn order(&self) -> &BTreeMap<Position, Stored> {
        &self.order
    }

    pub(super) fn signals(&self) -> &BTreeMap<Position, Stored> {
        self.signals.held()
    }

    pub(super) fn notices(&self) -> &Notices {
        &self.notices
    }

    pub(super) fn notice_place(&self, after: Position) -> NoticePlace {
        self.notices.place(after, self.given())
    }
}

/// The guards of a batch, held against the maps. Changes nothing but the next position.
struct Own<'a> {
    state: &'a mut State,
    position: Position,
}

impl Guards for Own<'_> {
    type Error = Infallible;

    fn last(&mut self, channel: &ChannelName) -> Result<Option<(u64, Position)>, Infallible> {
        Ok(self.state.record(channel).map(|own| (own.seq, own.position)))
    }

    fn mark(&mut self, namespace: &str) -> Result<Position, Infallible> {
        Ok(self.state.spaces.get(namespace).map_or(Position::START, |own| own.forgotten_to))
    }

    fn next(&mut self) -> Position {
        self.position = Position::new(self.position.number() + (self.state.step)().max(1));
        self.position
    }
}

#[derive(Default)]
struct Space {
    channels: HashMap<ChannelName, Channel>,
    order: BTreeSet<Position>,
    forgotten_to: Position,
}

#[derive(Default)]
struct Channel {
    seq: u64,
    position: Position,
    trimmed_to: Position,
    bytes: u64,
    kept: VecDeque<(Position, u64)>,
}

impl Channel {
    fn head(&self) -> ChannelHead {
        let first_seq = self.kept.front().map_or(self.seq + 1, |(_, seq)| *seq);
        let Self { seq, position, trimmed_to, bytes, .. } = *self;
        ChannelHead { seq, position, trimmed_to, first_seq, bytes }
    }

    fn mark(&self, page: &mut Page) {
        let head = self.head();
        (page.trimmed_to, page.first_seq) = (head.trimmed_to, head.first_seq);
    }
}
