//! A reader's place in one log, and what follows it there: the heart of the core (rules 1 to 7 and 9).

use std::{collections::HashSet, sync::Arc};

use smallvec::SmallVec;

use crate::{
    channel::{Channel, Collected},
    cursor::{Part, Position},
    event::{Event, Gap, GapReason},
    fetch::Fetched,
    life::Life,
    limits::AHEAD_WAIT_MS,
    member::{Kind, Member},
    name::{ChannelName, Pattern},
    page::{Budget, What},
};

/// The part of a set that lies in one log.
#[derive(Debug)]
pub(crate) struct Half {
    pub(crate) life: Arc<Life>,
    pub(crate) members: Members,
    /// What the client has been handed: the last event or gap, or what it came with.
    pub(crate) told: Part,
    /// Everything of the set at or below has been looked at; at or above `told`.
    pub(crate) place: Position,
    /// The head when the reader was opened or last joined.
    pub(crate) goal: Position,
    pub(crate) ahead_since: Option<u64>,
    /// Boxed: most readers live from the tails, and wait most of the time.
    pub(crate) fetched: Option<Box<Fetched>>,
}

/// One as a rule, and then in its place.
pub(crate) type Members = SmallVec<[Member; 1]>;

/// What a look at one log came to.
#[derive(Debug)]
pub(crate) enum HalfLook {
    /// Something for the client; everything up to the position is in it.
    Found(Vec<(What, Part)>, Position),
    /// The same, and events only: each has its own place.
    Events(Vec<Arc<Event>>, Position),
    Nothing,
    /// The store must be asked first.
    Below,
    /// The cursor is above the head; not before this time is that a reason to leave.
    Ahead(u64),
}

impl Half {
    pub(crate) fn new(life: Arc<Life>, mut members: Members, told: Part) -> Self {
        // Kept for as long as somebody waits.
        members.shrink_to_fit();
        let goal = life.head();
        let mut half =
            Self { life, members, told, place: told.position, goal, ahead_since: None, fetched: None };
        if half.is_foreign() {
            half.place = half.life.base;
        }
        half
    }

    /// What follows the place, up to `most` and the committed head, which is read once.
    pub(crate) fn look(&mut self, now: u64, budget: Budget, most: Position) -> HalfLook {
        let head = self.life.head();
        let foreign = self.is_foreign();
        if foreign {
            self.place = self.life.base;
        } else if self.place > head {
            return HalfLook::Ahead(*self.ahead_since.get_or_insert(now) + AHEAD_WAIT_MS);
        }
        self.ahead_since = None;
        let mut items = if foreign { self.epoch_gaps() } else { Vec::new() };
        if foreign && items.is_empty() {
            // Signals only: moved to the base without a word.
            self.told = self.part(self.life.base);
        }
        let most = most.min(head);
        while self.place < most || !items.is_empty() {
            let mut up_to = most;
            let Some(events) = self.events(now, budget, &mut up_to) else {
                // A member fell behind after the others were fetched: all of them are asked for again.
                self.fetched = None;
                return HalfLook::Below;
            };
            self.gaps(&events, up_to, &mut items);
            if items.is_empty() && !events.is_empty() {
                return HalfLook::Events(events, up_to.max(self.place));
            }
            items.extend(events.into_iter().map(|event| (event.position, What::Event(event))));
            if !items.is_empty() {
                return HalfLook::Found(self.in_order(items), up_to.max(self.place));
            }
            self.pass(up_to);
        }
        HalfLook::Nothing
    }

    /// The client has been handed everything up to `told`, and everything up to `place` was looked at.
    pub(crate) fn took(&mut self, told: Part, place: Position) {
        self.told = told;
        if told.epoch == self.life.epoch {
            self.pass(place.max(told.position));
        }
    }

    /// Goes back to what the client was handed, when the rest of a page could not be written.
    pub(crate) fn rewind(&mut self, told: Part) {
        self.told = told;
        if told.epoch == self.life.epoch {
            // Of several items at one position the earlier carry an older cursor; nothing lies between it and the place.
            self.place = self.place.max(told.position);
        }
    }

    fn pass(&mut self, place: Position) {
        self.place = place;
        self.members.iter_mut().for_each(|member| member.passed(place));
        if self.fetched.as_ref().is_some_and(|fetched| fetched.complete_to <= place) {
            self.fetched = None;
        }
    }

    /// The cursor is of another life of the log, or claims what a store that is alone has never given.
    pub(crate) fn is_foreign(&self) -> bool {
        self.told.epoch != self.life.epoch
            || self.told.position > self.life.head()
                && self.life.store.given().is_some_and(|given| self.told.position > given)
    }

    pub(crate) fn part(&self, position: Position) -> Part {
        Part { log: self.life.log, epoch: self.life.epoch, position }
    }

    /// Rule 9: one gap per member, at the base.
    fn epoch_gaps(&self) -> Vec<(Position, What)> {
        let base = self.life.base;
        let kept = self.members.iter().filter(|member| !member.is_signal() && member.floor <= base);
        let gap = |member: &Member| {
            let head = match &member.kind {
                Kind::Channel(channel) => channel.head(),
                Kind::Prefix { .. } => None,
            };
            let next_seq = head.and_then(|head| match head.position <= base {
                true => Some(head.seq + 1),
                false => (base == Position::START).then_some(head.first_seq),
            });
            (base, self.gap(member.pattern.clone(), GapReason::Epoch, base, next_seq, None))
        };
        kept.map(gap).collect()
    }

    /// Events of the set in `(place, up_to]`, by position; `up_to` falls when the budget or memory ends earlier.
    /// `None` when the store must be asked first.
    fn events(&mut self, now: u64, budget: Budget, up_to: &mut Position) -> Option<Vec<Arc<Event>>> {
        let mut events = Vec::new();
        let limit = budget.events.max(1);
        if let Some(fetched) = &self.fetched {
            *up_to = fetched.complete_to.min(*up_to);
            let mut wanted = fetched.between(self.place, *up_to);
            events.extend(wanted.by_ref().take(limit));
            if let (Some(_), Some(last)) = (wanted.next(), events.last()) {
                *up_to = last.position;
            }
            // What is marked as gone by now must not stand above its mark, which would then be passed in silence.
            self.life.retain_kept(&mut events);
        }
        for member in &self.members {
            if self.fetched.as_ref().is_some_and(|fetched| fetched.covers(member.watch())) {
                continue;
            }
            member.events(self.place, up_to, limit, now, &mut events)?;
        }
        events.retain(|event| event.position <= *up_to);
        events.sort_unstable_by_key(|event| event.position);
        // A channel and a prefix that covers it may both be followed, if they were asked for one after the other.
        events.dedup_by_key(|event| event.position);
        let fits = budget.fits(&events);
        if fits < events.len() {
            events.truncate(fits);
            *up_to = events.last().map_or(*up_to, |last| last.position);
        }
        Some(events)
    }

    /// Rule 4, after the range has been read: gaps of channels with events, and marks of channels without.
    fn gaps(&self, events: &[Arc<Event>], up_to: Position, items: &mut Vec<(Position, What)>) {
        if let ([Member { kind: Kind::Channel(_), .. }], Some(first)) =
            (&self.members[..], events.iter().find(|event| !event.signal))
        {
            // One channel: what follows its first event is linked to it.
            if first.prev > self.place {
                self.gap_before(first, items);
            }
            return;
        }
        let mut seen: HashSet<&ChannelName> = HashSet::new();
        for event in events.iter().filter(|event| !event.signal) {
            if event.prev > self.place && (events.len() == 1 || seen.insert(&event.channel)) {
                self.gap_before(event, items);
            } else if events.len() > 1 {
                seen.insert(&event.channel);
            }
        }
        for member in self.members.iter().filter(|member| !member.is_signal()) {
            let with_events = |name: &ChannelName| match events {
                [event] => event.channel == *name,
                _ => seen.contains(name),
            };
            self.marks(member, up_to, with_events, items);
        }
    }

    fn gap_before(&self, event: &Event, items: &mut Vec<(Position, What)>) {
        let member = self.members.iter().find(|member| member.pattern.matches(&event.channel));
        let Some(member) = member else { return };
        let mark = Mark::before(member, &event.channel, event.seq, event.position, event.prev);
        if self.tells(member, &mark, event.prev) {
            items.push(self.gap_at(member, mark, true));
        }
    }

    /// Marks of a member's channels without events in the page.
    fn marks(
        &self,
        member: &Member,
        up_to: Position,
        with_events: impl Fn(&ChannelName) -> bool,
        items: &mut Vec<(Position, What)>,
    ) {
        let mut marks: Vec<Mark> = Vec::new();
        let mut has_record = false;
        let in_page = |at: Position| at > self.place && at <= up_to;
        match &member.kind {
            Kind::Channel(channel) if with_events(&channel.name) => return,
            Kind::Channel(channel) => {
                if let Some(head) = channel.head() {
                    has_record = true;
                    if in_page(head.trimmed_to) {
                        marks.push(Mark::trimmed(&channel.name, head.trimmed_to, head.first_seq));
                    }
                }
            }
            Kind::Prefix { prefix, .. } => {
                let index = member.space.index();
                let trimmed = index.iter().flat_map(|index| index.trimmed(prefix, self.place, up_to));
                let without = trimmed.filter(|(_, channel)| !with_events(&channel.name));
                marks.extend(without.filter_map(|(mark, channel)| {
                    Some(Mark::trimmed(&channel.name, mark, channel.head()?.first_seq))
                }));
            }
        }
        if !has_record {
            let at = member.space.forgotten_to();
            if in_page(at) {
                marks.push(Mark { at, of: None, reason: GapReason::Forgotten, of_others: true });
            }
        }
        if let Some(fetched) = &self.fetched {
            let own = |name: &ChannelName| member.pattern.matches(name) && !with_events(name);
            marks.extend(
                fetched
                    .marks
                    .iter()
                    .filter(|mark| mark.of.as_ref().is_some_and(|(name, _)| own(name)))
                    .cloned(),
            );
        }
        marks.retain(|mark| self.tells(member, mark, up_to));
        marks.sort_by_key(|mark| mark.at);
        if let Kind::Channel(_) = member.kind {
            // Several sources may know the same channel's mark; the highest is the latest.
            marks.drain(..marks.len().saturating_sub(1));
        }
        let alone = marks.len() == 1;
        if let Some(lowest) = marks.into_iter().next() {
            items.push(self.gap_at(member, lowest, alone));
        }
    }

    /// Whether `member` has `mark` to tell in a page up to `up_to`. Of several that a channel belongs to, the first one
    /// tells.
    fn tells(&self, member: &Member, mark: &Mark, up_to: Position) -> bool {
        if mark.at <= self.place || mark.at > up_to {
            return false;
        }
        let (floor, forgets) = member.forgotten_floor;
        if mark.of_others && mark.at <= floor && member.space.forgets() == forgets {
            return false;
        }
        match &mark.of {
            None => mark.at > member.floor,
            Some((name, _)) => {
                let first = self.members.iter().find(|own| own.pattern.matches(name));
                mark.at > self.start_of(name) && first.is_some_and(|first| std::ptr::eq(first, member))
            }
        }
    }

    /// Where reading of `channel` starts: at the lowest place of those members that it belongs to.
    fn start_of(&self, channel: &ChannelName) -> Position {
        let own = self.members.iter().filter(|member| member.pattern.matches(channel));
        own.map(|member| member.start_of(channel, self.place)).min().unwrap_or(self.place)
    }

    /// One mark is told as what it is; many under one prefix as one gap for all of it, at the lowest.
    fn gap_at(&self, member: &Member, mark: Mark, alone: bool) -> (Position, What) {
        let Mark { at, of, reason, .. } = mark;
        let what = match of {
            Some((name, next_seq)) if alone => {
                let lost = member.lost_before(next_seq, self.start_of(&name));
                self.gap(Pattern::Channel(name), reason, at, Some(next_seq), lost)
            }
            _ => self.gap(member.pattern.clone(), reason, at, None, None),
        };
        (at, what)
    }

    fn gap(
        &self,
        of: Pattern,
        reason: GapReason,
        at: Position,
        next_seq: Option<u64>,
        lost: Option<u64>,
    ) -> What {
        What::Gap(Gap { of, reason, part: self.part(at), next_seq, lost })
    }

    /// Items by position, an event before a gap; of those at one position only the last carries it.
    fn in_order(&self, mut items: Vec<(Position, What)>) -> Vec<(What, Part)> {
        items.sort_by_key(|(position, what)| (*position, matches!(what, What::Gap(_))));
        let mut before = self.told;
        let mut ordered = Vec::with_capacity(items.len());
        let mut rest = items.into_iter().peekable();
        while let Some((position, what)) = rest.next() {
            if rest.peek().is_none_or(|(next, _)| *next != position) {
                before = self.part(position);
            }
            ordered.push((what, before));
        }
        ordered
    }
}

/// Up to here something is gone: of one channel, with the first number after it, or of any channel without a record.
#[derive(Debug, Clone)]
pub(crate) struct Mark {
    at: Position,
    of: Option<(ChannelName, u64)>,
    reason: GapReason,
    /// Whether it is certain that no event of the channel's own stood there: it is its namespace's mark.
    of_others: bool,
}

impl Mark {
    pub(crate) fn trimmed(channel: &ChannelName, at: Position, first_seq: u64) -> Self {
        Self { at, of: Some((channel.clone(), first_seq)), reason: GapReason::Trimmed, of_others: false }
    }

    /// What is gone if the event with this number is the first of its channel that a reader finds.
    pub(crate) fn before(
        member: &Member,
        channel: &ChannelName,
        seq: u64,
        position: Position,
        prev: Position,
    ) -> Self {
        let first = member.space.options.forgettable && seq == position.number();
        let reason = if first { GapReason::Forgotten } else { GapReason::Trimmed };
        // The numbers of a channel that had every position since its first equal them too.
        let of_others = first && prev.number().checked_add(1) != Some(seq);
        Self { at: prev, of: Some((channel.clone(), seq)), reason, of_others }
    }
}

impl Member {
    /// How many events a reader from `start` misses when the first one left has number `seq`: known from the start of
    /// a channel whose numbers begin with 1.
    fn lost_before(&self, seq: u64, start: Position) -> Option<u64> {
        (start == Position::START && !self.space.options.forgettable).then(|| seq.saturating_sub(1))
    }

    /// As [`Member::events`], of one of its channels.
    #[inline]
    fn collect(
        &self,
        channel: &Channel,
        place: Position,
        up_to: &mut Position,
        limit: usize,
        now: u64,
        out: &mut Vec<Arc<Event>>,
    ) -> Option<()> {
        let start = self.start_of(&channel.name, place);
        if !channel.is_newer_than(start) {
            return Some(());
        }
        match channel.collect(start, *up_to, limit, now, out) {
            Collected::Below => return None,
            Collected::Events { more: true } => *up_to = out.last()?.position.min(*up_to),
            Collected::Events { more: false } => {}
        }
        Some(())
    }

    /// Puts the member's events above `place` behind `out`; `up_to` falls where the limit cut a channel off.
    fn events(
        &self,
        place: Position,
        up_to: &mut Position,
        limit: usize,
        now: u64,
        out: &mut Vec<Arc<Event>>,
    ) -> Option<()> {
        match &self.kind {
            Kind::Channel(channel) => self.collect(channel, place, up_to, limit, now, out),
            Kind::Prefix { prefix, .. } => {
                let index = self.space.index();
                let mut changed = index.as_ref()?.changed(prefix, place.max(self.floor));
                // Signals are nowhere but in memory.
                let most = if self.is_signal() { usize::MAX } else { CHANNELS_PER_LOOK_MAX };
                for (_, channel) in changed.by_ref().take(most) {
                    self.collect(channel, place, up_to, limit, now, out)?;
                }
                changed.next().is_none().then_some(())
            }
        }
    }
}

/// Changed channels of one prefix that a look goes through; with more, the store is asked for the range at once.
pub(crate) const CHANNELS_PER_LOOK_MAX: usize = 64;
