//! A reader's place in one log, and what follows it there: the heart of the core (rules 1 to 7 and 9).

use std::{collections::HashSet, sync::Arc};

use crate::{
    channel::Collected,
    cursor::{Part, Position},
    event::{Event, Gap, GapReason},
    fetch::Fetched,
    life::Life,
    limits::AHEAD_WAIT_MS,
    member::{Kind, Member},
    name::{ChannelName, Pattern},
    reader::{Budget, What},
};

/// The part of a set that lies in one log.
#[derive(Debug)]
pub(crate) struct Half {
    pub(crate) life: Arc<Life>,
    pub(crate) members: Vec<Member>,
    /// What the client has been handed: the last event or gap, or what it came with.
    pub(crate) told: Part,
    /// Everything of the set at or below has been looked at; at or above `told`.
    pub(crate) place: Position,
    /// The head when the reader was opened or last joined.
    pub(crate) goal: Position,
    pub(crate) ahead_since: Option<u64>,
    pub(crate) fetched: Option<Fetched>,
}

/// What a look at one log came to.
#[derive(Debug)]
pub(crate) enum HalfLook {
    /// Something for the client; everything up to the position is in it.
    Found(Vec<(What, Part)>, Position),
    Nothing,
    /// The store must be asked first.
    Below,
    /// The cursor is above the head; not before this time is that a reason to leave.
    Ahead(u64),
}

impl Half {
    pub(crate) fn new(life: Arc<Life>, members: Vec<Member>, told: Part) -> Self {
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
            let Some(events) = self.events(now, budget, &mut up_to) else { return HalfLook::Below };
            self.gaps(&events, up_to, &mut items);
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
            self.place = told.position;
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
        let kept = self.members.iter().filter(|member| !member.is_signal());
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
        if let Some(fetched) = &self.fetched {
            *up_to = fetched.complete_to.min(*up_to);
            events.extend(fetched.between(self.place, *up_to));
        }
        for member in &self.members {
            if self.fetched.as_ref().is_some_and(|fetched| fetched.covers(member.watch())) {
                continue;
            }
            member.events(self.place, up_to, budget.events, now, &mut events)?;
        }
        events.retain(|event| event.position <= *up_to);
        events.sort_unstable_by_key(|event| event.position);
        let fits = budget.fits(&events);
        if fits < events.len() {
            events.truncate(fits);
            *up_to = events.last().map_or(*up_to, |last| last.position);
        }
        Some(events)
    }

    /// Rule 4, after the range has been read: gaps of channels with events, and marks of channels without.
    fn gaps(&self, events: &[Arc<Event>], up_to: Position, items: &mut Vec<(Position, What)>) {
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
        let start = member.start_of(&event.channel, self.place);
        if event.prev <= start {
            return;
        }
        let first_of_its_name = member.space.options.forgettable && event.seq == event.position.number();
        let reason = if first_of_its_name { GapReason::Forgotten } else { GapReason::Trimmed };
        let lost = member.lost_before(event.seq, start);
        let of = Pattern::Channel(event.channel.clone());
        items.push((event.prev, self.gap(of, reason, event.prev, Some(event.seq), lost)));
    }

    fn marks(
        &self,
        member: &Member,
        up_to: Position,
        with_events: impl Fn(&ChannelName) -> bool,
        items: &mut Vec<(Position, What)>,
    ) {
        let mut marks: Vec<(Position, Option<(ChannelName, u64)>)> = Vec::new();
        let forgotten_to = member.space.forgotten_to();
        let mut has_record = false;
        match &member.kind {
            Kind::Channel(channel) if with_events(&channel.name) => return,
            Kind::Channel(channel) => {
                if let Some(head) = channel.head() {
                    has_record = true;
                    marks.push((head.trimmed_to, Some((channel.name.clone(), head.first_seq))));
                }
            }
            Kind::Prefix { prefix, .. } => {
                let index = member.space.index();
                let trimmed = index.iter().flat_map(|index| index.trimmed(prefix, self.place, up_to));
                let without = trimmed.filter(|(_, channel)| !with_events(&channel.name));
                marks.extend(without.filter_map(|(mark, channel)| {
                    Some((mark, Some((channel.name.clone(), channel.head()?.first_seq))))
                }));
            }
        }
        if !has_record {
            marks.push((forgotten_to, None));
        }
        if let Some(fetched) = &self.fetched {
            let own =
                fetched.marks.iter().filter(|(name, ..)| member.pattern.matches(name) && !with_events(name));
            marks.extend(own.map(|(name, mark, first_seq)| (*mark, Some((name.clone(), *first_seq)))));
        }
        marks.retain(|(mark, of)| {
            let start = match of {
                Some((name, _)) => member.start_of(name, self.place),
                None => self.place.max(member.floor).max(member.forgotten_floor),
            };
            start < *mark && *mark <= up_to
        });
        marks.sort_by_key(|(mark, _)| *mark);
        if let Some(gap) = self.gap_of_marks(member, marks) {
            items.push(gap);
        }
    }

    /// One mark is told as what it is; many under one prefix as one gap for all of it, at the lowest.
    fn gap_of_marks(
        &self,
        member: &Member,
        mut marks: Vec<(Position, Option<(ChannelName, u64)>)>,
    ) -> Option<(Position, What)> {
        if let Kind::Channel(_) = member.kind {
            // Several sources may know the same channel's mark; the highest is the latest.
            marks.drain(..marks.len().saturating_sub(1));
        }
        let forgotten = marks.iter().all(|(_, of)| of.is_none());
        let reason = if forgotten { GapReason::Forgotten } else { GapReason::Trimmed };
        let alone = marks.len() == 1;
        let (mark, of) = marks.into_iter().next()?;
        let what = match of {
            Some((name, first_seq)) if alone => {
                let lost = member.lost_before(first_seq, member.start_of(&name, self.place));
                self.gap(Pattern::Channel(name), reason, mark, Some(first_seq), lost)
            }
            _ => self.gap(member.pattern.clone(), reason, mark, None, None),
        };
        Some((mark, what))
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

impl Member {
    /// How many events a reader from `start` misses when the first one left has number `seq`: known from the start of
    /// a channel whose numbers begin with 1.
    fn lost_before(&self, seq: u64, start: Position) -> Option<u64> {
        (start == Position::START && !self.space.options.forgettable).then(|| seq.saturating_sub(1))
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
        let mut collect = |channel: &crate::channel::Channel| {
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
        };
        match &self.kind {
            Kind::Channel(channel) => collect(channel),
            Kind::Prefix { prefix, .. } => {
                let index = self.space.index();
                let mut changed = index.as_ref()?.changed(prefix, place.max(self.floor));
                for (_, channel) in changed.by_ref().take(CHANNELS_PER_LOOK_MAX) {
                    collect(channel)?;
                }
                changed.next().is_none().then_some(())
            }
        }
    }
}

/// Changed channels of one prefix that a look goes through; with more, the store is asked for the range at once.
pub(crate) const CHANNELS_PER_LOOK_MAX: usize = 64;
