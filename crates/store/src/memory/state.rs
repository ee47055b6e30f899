//! The maps of a log in memory, and the guards of its appends.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    ops::Bound::{Excluded, Included},
};

use sosik_core::{
    cursor::{Epoch, LogId, Position},
    name::ChannelName,
    record,
    store::{
        AppendError, Appended, Batch, Change, ChannelHead, Entry, Level, NamespaceHead, Page, PageLimit,
        Place, Placed, Stored,
    },
};

use super::{
    BATCHES_HELD_MAX, SIGNALS_HELD_BYTES_MAX, SIGNALS_HELD_MAX,
    notices::{self, Notice, Notices},
};

pub(super) struct State {
    step: Box<dyn FnMut() -> u64 + Send>,
    last: Option<Stored>,
    /// Kept events; signals lie in `signals`.
    order: BTreeMap<Position, Stored>,
    signals: Signals,
    spaces: HashMap<Box<str>, Space>,
    batches: Batches,
    notices: Notices,
}

impl State {
    pub(super) fn new(step: impl FnMut() -> u64 + Send + 'static) -> Self {
        Self {
            step: Box::new(step),
            last: None,
            order: BTreeMap::new(),
            signals: Signals::default(),
            spaces: HashMap::new(),
            batches: Batches::default(),
            notices: Notices::default(),
        }
    }

    pub(super) fn given(&self) -> Position {
        self.last.as_ref().map_or(Position::START, |last| last.position)
    }

    /// 0 also for a last event that is no record, as tests write them.
    pub(super) fn last_time(&self, epoch: Epoch) -> u64 {
        let last = self.last.as_ref().and_then(|last| record::decode(LogId::Memory, epoch, last).ok());
        last.map_or(0, |event| event.time)
    }

    pub(super) fn append(&mut self, batch: Batch) -> Result<Vec<Placed>, AppendError> {
        if let Some(placed) = self.batches.placed(batch.id) {
            let appended = Appended { placed: placed.to_vec(), level: Level::Memory };
            return Err(AppendError::Duplicate(appended));
        }
        let places = self.places(&batch.entries).ok_or(AppendError::Conflict)?;
        let placed: Vec<_> = places.iter().map(|&(placed, _)| placed).collect();
        for (Entry { channel, body, kept, .. }, (Placed { position, seq }, prev)) in
            batch.entries.into_iter().zip(places)
        {
            self.insert(Stored { position, channel, seq, prev, body, kept });
        }
        self.batches.push(batch.id, &placed);
        Ok(placed)
    }

    /// The place and `prev` of each entry, if all guards hold. Changes nothing but the next position.
    fn places(&mut self, entries: &[Entry]) -> Option<Vec<(Placed, Position)>> {
        let mut position = self.given();
        let mut places: Vec<(Placed, Position)> = Vec::with_capacity(entries.len());
        let mut latest: HashMap<&ChannelName, usize> = HashMap::new();
        for (index, Entry { channel, place, .. }) in entries.iter().enumerate() {
            position = Position::new(position.number() + (self.step)().max(1));
            let earlier = latest.insert(channel, index);
            let (seq, prev) = match *place {
                Place::Behind(of) => {
                    let of = earlier.filter(|&earlier| earlier == of as usize)?;
                    (places[of].0.seq + 1, places[of].0.position)
                }
                _ if earlier.is_some() => return None,
                Place::After { seq, prev } => {
                    let record =
                        self.record(channel).map_or((0, Position::START), |own| (own.seq, own.position));
                    (record.0.checked_add(1) == Some(seq) && record.1 == prev).then_some((seq, prev))?
                }
                Place::First { prev } => {
                    let mark =
                        self.spaces.get(channel.namespace()).map_or(Position::START, |own| own.forgotten_to);
                    let fits = self.record(channel).is_none() && mark == prev;
                    fits.then_some((position.number(), prev))?
                }
            };
            places.push((Placed { position, seq }, prev));
        }
        Some(places)
    }

    fn insert(&mut self, event: Stored) {
        let space = self.spaces.entry(event.channel.namespace().into()).or_default();
        let channel = space.channels.entry(event.channel.clone()).or_default();
        (channel.seq, channel.position) = (event.seq, event.position);
        self.last = Some(event.clone());
        if event.kept {
            channel.kept.push_back((event.position, event.seq));
            space.order.insert(event.position);
            self.order.insert(event.position, event);
        } else {
            channel.signals = true;
            self.signals.push(event);
        }
    }

    pub(super) fn trim(&mut self, name: &ChannelName, to: Position) -> bool {
        let Some(space) = self.spaces.get_mut(name.namespace()) else { return false };
        let Some(channel) = space.channels.get_mut(name) else { return false };
        let to = to.min(channel.position);
        if to <= channel.trimmed_to {
            return false;
        }
        channel.trimmed_to = to;
        channel.notice = Some(self.notices.trimmed(name, channel.notice));
        while let Some((position, _)) = channel.kept.pop_front_if(|(position, _)| *position <= to) {
            space.order.remove(&position);
            self.order.remove(&position);
        }
        if channel.signals {
            self.signals.remove(name, to);
        }
        true
    }

    pub(super) fn forget(&mut self, name: &ChannelName) -> Position {
        let Some(space) = self.spaces.get_mut(name.namespace()) else { return Position::START };
        let Some(channel) = space.channels.remove(name) else { return space.forgotten_to };
        space.forgotten_to = space.forgotten_to.max(channel.position);
        self.notices.forgotten(name, space.forgotten_to, channel.notice);
        for (position, _) in &channel.kept {
            space.order.remove(position);
            self.order.remove(position);
        }
        if channel.signals {
            self.signals.remove(name, channel.position);
        }
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

    pub(super) fn range(&self, namespace: &str, after: Position, up_to: Position, limit: PageLimit) -> Page {
        let space = self.spaces.get(namespace).filter(|_| after < up_to);
        let positions = space.map(|space| space.order.range((Excluded(after), Included(up_to))).copied());
        self.forward(positions.into_iter().flatten(), after, up_to, limit)
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
        &self.signals.held
    }

    pub(super) fn follow_notices(&self, after: Position) -> notices::Place {
        self.notices.place(after, self.given())
    }

    /// Adds at most `most` notices to `changes`. `Some(true)` if no more follow, `None` if some are no longer held.
    pub(super) fn notices_after(
        &self,
        place: &mut notices::Place,
        most: usize,
        changes: &mut Vec<Change>,
    ) -> Option<bool> {
        for (number, notice) in self.notices.after(*place)? {
            if changes.len() >= most {
                return Some(false);
            }
            let (mark, change) = match notice {
                Notice::Forgotten(channel, mark) => {
                    (*mark, Change::Forgotten { channel: channel.clone(), mark: *mark })
                }
                Notice::Trimmed(channel) => {
                    let Some(ChannelHead { trimmed_to: to, first_seq, .. }) = self.head(channel) else {
                        continue;
                    };
                    (to, Change::Trimmed { channel: channel.clone(), to, first_seq })
                }
            };
            if place.pass(number, mark) {
                changes.push(change);
            }
        }
        Some(true)
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
    kept: VecDeque<(Position, u64)>,
    signals: bool,
    /// The number of its notice of being trimmed.
    notice: Option<u64>,
}

impl Channel {
    fn head(&self) -> ChannelHead {
        let first_seq = self.kept.front().map_or(self.seq + 1, |(_, seq)| *seq);
        ChannelHead { seq: self.seq, position: self.position, trimmed_to: self.trimmed_to, first_seq }
    }

    fn mark(&self, page: &mut Page) {
        let head = self.head();
        (page.trimmed_to, page.first_seq) = (head.trimmed_to, head.first_seq);
    }
}

/// The newest signals of all channels.
#[derive(Default)]
struct Signals {
    held: BTreeMap<Position, Stored>,
    bytes: usize,
}

impl Signals {
    fn push(&mut self, signal: Stored) {
        self.bytes += signal.body.len();
        self.held.insert(signal.position, signal);
        while self.held.len() > SIGNALS_HELD_MAX || self.bytes > SIGNALS_HELD_BYTES_MAX {
            let Some((_, oldest)) = self.held.pop_first() else { break };
            self.bytes -= oldest.body.len();
        }
    }

    fn remove(&mut self, channel: &ChannelName, to: Position) {
        self.held.retain(|position, signal| {
            let stays = *position > to || signal.channel != *channel;
            self.bytes -= if stays { 0 } else { signal.body.len() };
            stays
        });
    }
}

/// Where the newest batches were stored.
#[derive(Default)]
struct Batches {
    held: HashMap<u128, Box<[Placed]>>,
    ids: VecDeque<u128>,
}

impl Batches {
    fn placed(&self, id: u128) -> Option<&[Placed]> {
        self.held.get(&id).map(|placed| &**placed)
    }

    fn push(&mut self, id: u128, placed: &[Placed]) {
        self.held.insert(id, placed.into());
        self.ids.push_back(id);
        if self.ids.len() > BATCHES_HELD_MAX
            && let Some(oldest) = self.ids.pop_front()
        {
            self.held.remove(&oldest);
        }
    }
}
