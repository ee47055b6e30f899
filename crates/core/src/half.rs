//! A reader's place in one log, and what follows it there: the heart of the core (rules 1 to 7 and 9).

mod marks;

use std::sync::Arc;

pub(crate) use marks::Mark;
use smallvec::SmallVec;

use crate::{
    channel::{Channel, Collected},
    cursor::{Part, Position},
    event::{Event, GapReason},
    fetch::Fetched,
    life::Life,
    limits::AHEAD_WAIT_MS,
    member::{Kind, Member},
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
