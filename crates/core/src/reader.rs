//! A reader: a set of channels and a place in each log it touches. It asks, and is never pushed to.

use std::{collections::VecDeque, sync::Arc};

use smallvec::SmallVec;

use crate::{
    cursor::{Cursor, LogId, Part, Position},
    error::Error,
    event::Event,
    grant::{Grant, Verb},
    half::{Half, HalfLook},
    herald::WatchId,
    limits::{AHEAD_WAIT_MS, BACKLOGS_MAX, CHANNELS_PER_READER_MAX},
    name::Pattern,
    node::Node,
    page::{Budget, Item, Page, Source, What},
    start::Start,
};

/// One reader's place in a set of channels, over both logs.
#[derive(Debug)]
pub struct Reader {
    node: Arc<Node>,
    /// Shared by all who have it: there may be one for everybody.
    grant: Arc<Grant>,
    /// One per log that the set touches, disk before memory.
    pub(crate) halves: Halves,
    /// The half to look at first, so that a busy log cannot starve the other.
    turn: usize,
    caught_up: bool,
    backlogs: VecDeque<Backlog>,
    /// The token of a join that is done and has not been written yet.
    joined: Option<u64>,
    generation: u64,
}

/// One as a rule, and then in its place.
pub(crate) type Halves = SmallVec<[Half; 1]>;

/// Channels that joined with a cursor below the reader's place: read up to that place first, then part of the set.
#[derive(Debug)]
struct Backlog {
    token: u64,
    reader: Reader,
}

/// What a look came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// The page has items. Say what was written with [`Reader::took`] before the next look.
    Found,
    /// Nothing follows; wait for the herald.
    Nothing,
    /// Something follows that is not in memory: await [`Reader::fetch`], then look again.
    Below,
}

/// Which channels of a join are followed at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Joined {
    /// All: they are part of the set.
    Now,
    /// They have a backlog; [`What::Joined`] with the token tells when they are part of the set.
    Later,
}

impl Reader {
    pub(crate) fn new(node: Arc<Node>, grant: Arc<Grant>, halves: Halves) -> Self {
        let backlogs = VecDeque::new();
        Self { node, grant, halves, turn: 0, caught_up: false, backlogs, joined: None, generation: 0 }
    }

    /// What the client holds: complete for its set. `None` while the set is empty.
    pub fn cursor(&self) -> Option<Cursor> {
        (!self.halves.is_empty()).then(|| Cursor::new(self.halves.iter().map(|half| half.told)))
    }

    /// Everything followed, for the wait lists. Changes with [`Reader::generation`].
    pub fn watches(&self) -> impl Iterator<Item = WatchId> + '_ {
        let joining = self.backlogs.iter().flat_map(|backlog| &backlog.reader.halves);
        self.halves.iter().chain(joining).flat_map(|half| &half.members).map(|member| member.watch())
    }

    /// Raised whenever the set changes.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// How many channels and prefixes are followed or about to be.
    pub fn len(&self) -> usize {
        self.watches().count()
    }

    /// Whether nothing is followed.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// When a look is due even if nothing changes, milliseconds since 1970: a cursor above the head, or the grant's end.
    pub fn due(&self) -> Option<u64> {
        let joining = self.backlogs.iter().flat_map(|backlog| &backlog.reader.halves);
        let ahead = self.halves.iter().chain(joining).filter_map(|half| half.ahead_since);
        ahead.map(|since| since + AHEAD_WAIT_MS).chain(self.grant.until).min()
    }

    /// Whether the cursor is above this node's head: what it asks for may come within moments.
    pub fn is_ahead(&self) -> bool {
        self.halves.iter().any(|half| half.ahead_since.is_some())
    }

    /// Whether its grant still holds. Errors: [`Error::Expired`], [`Error::Revoked`].
    pub fn check(&self, now: u64) -> Result<(), Error> {
        self.grant.check(now)
    }

    /// Whether it follows one set from one cursor, and nothing joins.
    pub(crate) fn is_alone(&self) -> bool {
        !self.halves.is_empty() && self.backlogs.is_empty() && self.joined.is_none()
    }

    /// What follows. Never waits. Errors end the reader: the grant is over, or [`Error::Rebalance`].
    pub fn look(&mut self, now: u64, budget: Budget, page: &mut Page) -> Result<Look, Error> {
        page.items.clear();
        page.source = Source::Nothing;
        self.check(now)?;
        if self.halves.iter().any(|half| half.life.is_over()) {
            return Err(Error::Rebalance);
        }
        if let Some(token) = self.joined {
            self.tell_joined(token, page);
            return Ok(Look::Found);
        }
        let (mut below, mut ahead) = (false, false);
        for i in 0..self.halves.len() {
            let at = (self.turn + i) % self.halves.len();
            match self.halves[at].look(now, budget, Position::END) {
                HalfLook::Found(items, up_to) => {
                    self.fill(page, at, items);
                    page.source = Source::Half { at, up_to };
                    self.turn = at + 1;
                    return Ok(Look::Found);
                }
                HalfLook::Events(events, up_to) => {
                    self.fill_events(page, events);
                    page.source = Source::Half { at, up_to };
                    self.turn = at + 1;
                    return Ok(Look::Found);
                }
                HalfLook::Below => below = true,
                HalfLook::Ahead(until) if now >= until => return Err(Error::Rebalance),
                HalfLook::Ahead(_) => ahead = true,
                HalfLook::Nothing => {}
            }
        }
        match self.look_at_backlog(now, budget, page)? {
            Look::Nothing if below => Ok(Look::Below),
            // Above the head nobody knows whether everything is there.
            Look::Nothing if ahead => Ok(Look::Nothing),
            Look::Nothing => Ok(self.look_at_goal(page)),
            found => Ok(found),
        }
    }

    /// Reads what the last look found below memory. One page; at most [`crate::limits::PAGE_READS_MAX`] run per node.
    pub async fn fetch(&mut self) -> Result<(), Error> {
        let node = self.node.clone();
        let backlog = self.backlogs.front_mut().map(|backlog| &mut backlog.reader.halves);
        for half in self.halves.iter_mut().chain(backlog.into_iter().flatten()) {
            if half.is_behind() {
                half.fetch(node.page_reads()).await?;
            }
        }
        Ok(())
    }

    /// The first `count` items of `page` were written (a frame that was begun counts: its rest is the caller's to keep).
    pub fn took(&mut self, page: &Page, count: usize) {
        let all = count == page.items.len();
        let last = page.items[..count].iter().rev().find_map(|item| item.part);
        match page.source {
            Source::Nothing => {}
            Source::CaughtUp => self.caught_up = count > 0,
            Source::Joined => self.joined = self.joined.filter(|_| count == 0),
            Source::Half { at, up_to } => take(&mut self.halves[at], last, up_to, all),
            Source::Backlog { at, up_to } => {
                if let Some(backlog) = self.backlogs.front_mut() {
                    take(&mut backlog.reader.halves[at], last, up_to, all);
                }
            }
        }
    }

    /// Follows more channels from `start`; `token` comes back in [`What::Joined`] when there is a backlog.
    pub async fn join(
        &mut self,
        set: &[Pattern],
        start: Start,
        now: u64,
        token: u64,
    ) -> Result<Joined, Error> {
        if self.len() + set.len() > CHANNELS_PER_READER_MAX {
            return Err(Error::Limit { what: "channels on one connection", most: CHANNELS_PER_READER_MAX });
        }
        for pattern in set {
            self.grant.allows(Verb::Read, pattern, now)?;
            let joining = self.backlogs.iter().flat_map(|backlog| &backlog.reader.halves);
            let mut members = self.halves.iter().chain(joining).flat_map(|half| &half.members);
            if members.any(|member| member.pattern.covers(pattern)) {
                return Err(Error::Already(pattern.clone()));
            }
        }
        if self.backlogs.len() >= BACKLOGS_MAX {
            return Err(Error::Limit { what: "backlogs waiting on one connection", most: BACKLOGS_MAX });
        }
        let at_now = matches!(start, Start::Now);
        let joining = self.node.read(self.grant.clone(), set, start, now).await?;
        self.generation += 1;
        self.caught_up = false;
        self.halves.iter_mut().for_each(|half| half.goal = half.life.head());
        if !at_now && self.is_below_place(&joining) {
            self.backlogs.push_back(Backlog { token, reader: joining });
            return Ok(Joined::Later);
        }
        self.merge(joining, at_now);
        Ok(Joined::Now)
    }

    /// Follows channels no longer. Errors: [`Error::NotFollowed`], [`Error::Limit`], and then nothing has changed.
    pub fn leave(&mut self, set: &[Pattern]) -> Result<(), Error> {
        if set.len() > CHANNELS_PER_READER_MAX {
            return Err(Error::Limit { what: "channels on one connection", most: CHANNELS_PER_READER_MAX });
        }
        for pattern in set {
            let joining = self.backlogs.iter().flat_map(|backlog| &backlog.reader.halves);
            let mut members = self.halves.iter().chain(joining).flat_map(|half| &half.members);
            if !members.any(|member| member.pattern == *pattern) {
                return Err(Error::NotFollowed(pattern.clone()));
            }
        }
        let joining = self.backlogs.iter_mut().flat_map(|backlog| &mut backlog.reader.halves);
        for half in self.halves.iter_mut().chain(joining) {
            half.members.retain(|member| !set.contains(&member.pattern));
            // What was fetched may hold events of channels that are gone from the set.
            half.fetched = None;
        }
        self.halves.retain(|half| !half.members.is_empty());
        for backlog in &mut self.backlogs {
            backlog.reader.halves.retain(|half| !half.members.is_empty());
        }
        self.generation += 1;
        Ok(())
    }

    fn is_below_place(&self, joining: &Reader) -> bool {
        joining.halves.iter().any(|new| {
            let own = self.halves.iter().find(|own| own.life.log == new.life.log);
            own.is_some_and(|own| new.is_foreign() || new.place < own.place)
        })
    }

    /// Takes the other reader's channels into the set, each from where that reader stands.
    fn merge(&mut self, joining: Reader, at_now: bool) {
        for mut new in joining.halves {
            match self.halves.iter_mut().find(|own| own.life.log == new.life.log) {
                None => self.halves.push(new),
                Some(own) => {
                    // At `now` and with nothing left to deliver below it, the client's cursor may say so already.
                    if at_now && own.place >= new.place && own.told.epoch == new.told.epoch {
                        own.told.position = own.told.position.max(new.told.position);
                    }
                    let place = new.place;
                    new.members.iter_mut().for_each(|member| member.floor = member.floor.max(place));
                    own.members.append(&mut new.members);
                    own.fetched = None;
                }
            }
        }
        self.halves.sort_by_key(|half| half.life.log);
        self.generation += 1;
    }

    /// The oldest backlog, up to the place of the set; when it is there, its channels join.
    fn look_at_backlog(&mut self, now: u64, budget: Budget, page: &mut Page) -> Result<Look, Error> {
        let Some(backlog) = self.backlogs.front_mut() else { return Ok(Look::Nothing) };
        let mut arrived = true;
        for (at, half) in backlog.reader.halves.iter_mut().enumerate() {
            if half.life.is_over() {
                return Err(Error::Rebalance);
            }
            let most = place_in(&self.halves, half.life.log).unwrap_or(half.place);
            match half.look(now, budget, most) {
                HalfLook::Found(items, up_to) => {
                    let cursor = Cursor::new(self.halves.iter().map(|half| half.told));
                    let item = |(what, part)| Item { what, cursor: Some(cursor.clone()), part: Some(part) };
                    page.items.extend(items.into_iter().map(item));
                    page.source = Source::Backlog { at, up_to };
                    return Ok(Look::Found);
                }
                HalfLook::Events(events, up_to) => {
                    let cursor = Cursor::new(self.halves.iter().map(|half| half.told));
                    page.items.extend(events.into_iter().map(|event| {
                        let part = Some(event.part());
                        Item { what: What::Event(event), cursor: Some(cursor.clone()), part }
                    }));
                    page.source = Source::Backlog { at, up_to };
                    return Ok(Look::Found);
                }
                HalfLook::Below => return Ok(Look::Below),
                HalfLook::Ahead(until) if now >= until => return Err(Error::Rebalance),
                HalfLook::Nothing | HalfLook::Ahead(_) => arrived &= half.place >= most,
            }
        }
        if !arrived {
            return Ok(Look::Nothing);
        }
        let Some(Backlog { token, reader }) = self.backlogs.pop_front() else { return Ok(Look::Nothing) };
        self.merge(reader, false);
        self.joined = Some(token);
        self.tell_joined(token, page);
        Ok(Look::Found)
    }

    fn tell_joined(&self, token: u64, page: &mut Page) {
        page.items.push(Item { what: What::Joined(token), cursor: self.cursor(), part: None });
        page.source = Source::Joined;
    }

    fn look_at_goal(&mut self, page: &mut Page) -> Look {
        let passed = self.halves.iter().all(|half| half.place >= half.goal) && self.backlogs.is_empty();
        if self.caught_up || !passed || self.halves.is_empty() {
            return Look::Nothing;
        }
        page.items.push(Item { what: What::CaughtUp, cursor: self.cursor(), part: None });
        page.source = Source::CaughtUp;
        Look::Found
    }

    fn fill_events(&self, page: &mut Page, events: Vec<Arc<Event>>) {
        let alone = self.halves.len() == 1;
        let mut cursor = match alone {
            true => Cursor::default(),
            false => Cursor::new(self.halves.iter().map(|half| half.told)),
        };
        page.items.extend(events.into_iter().map(|event| {
            let part = event.part();
            let cursor = (!alone).then(|| {
                cursor.set(part);
                cursor.clone()
            });
            Item { what: What::Event(event), cursor, part: Some(part) }
        }));
    }

    fn fill(&self, page: &mut Page, at: usize, items: Vec<(What, Part)>) {
        let mut cursor = Cursor::new(self.halves.iter().map(|half| half.told));
        let alone = self.halves.len() == 1;
        debug_assert!(at < self.halves.len());
        page.items.extend(items.into_iter().map(|(what, part)| {
            cursor.set(part);
            let own = matches!(&what, What::Event(event) if alone && event.part() == part);
            Item { what, cursor: (!own).then(|| cursor.clone()), part: Some(part) }
        }));
    }
}

fn take(half: &mut Half, last: Option<Part>, up_to: Position, all: bool) {
    match last {
        Some(last) if all => half.took(last, up_to),
        Some(last) => half.rewind(last),
        None => {}
    }
}

fn place_in(halves: &[Half], log: LogId) -> Option<Position> {
    halves.iter().find(|half| half.life.log == log).map(|half| half.place)
}
