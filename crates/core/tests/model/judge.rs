//! What a client has been told: each thing is compared with what happened.

use std::collections::{HashMap, HashSet};

use sosik_core::{
    ChannelName, Cursor, Epoch, Event, Gap, GapReason, Item, LogId, Part, Pattern, Position, What, record,
};

use crate::{
    asked::{Asked, Wanted},
    kit::{Truth, truth::Fact},
    world::World,
};

/// Believes nothing.
pub(crate) struct Judge {
    /// The client's.
    pub(crate) number: u64,
    pub(crate) set: Vec<Asked>,
    /// What the client would come back with.
    pub(crate) cursor: Option<Cursor>,
    /// Everything delivered, ever.
    delivered: HashSet<(Epoch, Position)>,
    /// Told to be gone.
    covered: HashSet<(Epoch, Position)>,
    /// Channels whose next hole is excused if it was made before the clock said so.
    excused: HashMap<(Epoch, ChannelName), u64>,
    /// Members of which a gap of another epoch must be told before anything else of their log.
    owed: Vec<(LogId, Pattern)>,
    /// Last position of an item, by log: of the feed and of the backlog.
    feed: HashMap<(LogId, bool), Position>,
    /// Delivered since the reader was opened, outside of backlogs.
    in_feed: HashSet<(Epoch, Position)>,
    /// Heads of both logs when the reader was opened or last joined.
    goal: [Position; 2],
    caught_up: bool,
}

impl Judge {
    pub(crate) fn new(number: u64) -> Self {
        Self {
            number,
            set: Vec::new(),
            cursor: None,
            delivered: HashSet::new(),
            covered: HashSet::new(),
            excused: HashMap::new(),
            owed: Vec::new(),
            feed: HashMap::new(),
            in_feed: HashSet::new(),
            goal: Default::default(),
            caught_up: false,
        }
    }

    /// A new reader of the set stands at `cursor`.
    pub(crate) fn opened(&mut self, world: &World, cursor: Option<Cursor>) {
        self.cursor = cursor;
        let cursor = self.cursor.clone().unwrap_or_default();
        let logs: HashSet<_> = self.set.iter().map(|asked| asked.log).collect();
        assert_eq!(cursor.parts().len(), logs.len(), "a cursor has one part for each log of the set");
        self.feed.clear();
        self.in_feed.clear();
        self.goal = heads(world);
        self.caught_up = false;
    }

    /// The set was asked for behind `cursor`: each part of an earlier life owes its members a gap.
    pub(crate) fn came_back(&mut self, world: &World, cursor: &Cursor) {
        let foreign =
            |log| cursor.part(log).is_some_and(|part| part.epoch != world.truth(log).lock().unwrap().epoch);
        let owing = self.set.iter().filter(|asked| !asked.signal && foreign(asked.log));
        let mut owed: Vec<_> = owing.map(|asked| (asked.log, asked.pattern.clone())).collect();
        owed.sort();
        owed.dedup();
        self.owed = owed;
    }

    /// The reader follows `more`, and stands at `cursor`.
    pub(crate) fn joined(&mut self, world: &World, more: Vec<Asked>, cursor: Option<Cursor>) {
        self.set.extend(more);
        self.goal = heads(world);
        self.caught_up = false;
        self.cursor = cursor;
    }

    /// The reader follows `pattern` no longer, and stands at `cursor`.
    pub(crate) fn left(&mut self, world: &World, pattern: &Pattern, cursor: Option<Cursor>) {
        self.set.retain(|own| own.pattern != *pattern);
        self.owed.retain(|(_, of)| of != pattern);
        self.cursor = cursor;
        for log in LogId::ALL {
            if !self.set.iter().any(|own| own.log == log && own.joining.is_none()) {
                // The feed of this log is over; what joins later begins another one.
                self.feed.remove(&(log, false));
                let epoch = world.truth(log).lock().unwrap().epoch;
                self.in_feed.retain(|(own, _)| *own != epoch);
            }
        }
    }

    /// The connection breaks; what was pending will be asked again some time.
    pub(crate) fn cut(&mut self) {
        self.set.retain(|asked| asked.joining.is_none());
    }

    /// The client takes an item.
    pub(crate) fn take(&mut self, world: &World, item: &Item, in_backlog: bool) {
        world
            .tell(|| format!("{}: {:?} then {:?} backlog {in_backlog}", self.number, item.what, item.cursor));
        match &item.what {
            What::Event(event) => self.take_event(world, event, item, in_backlog),
            What::Gap(gap) => self.take_gap(world, gap, in_backlog),
            What::CaughtUp => {
                assert!(!self.caught_up, "caught up twice");
                self.caught_up = true;
                assert!(
                    self.set.iter().all(|asked| asked.joining.is_none()),
                    "caught up before a backlog is done"
                );
                self.check_up_to(world, self.goal);
            }
            What::Joined(token) => {
                for asked in &mut self.set {
                    asked.joining = asked.joining.filter(|own| own != token);
                }
            }
        }
        match (&item.cursor, &item.what) {
            (Some(cursor), _) => self.cursor = Some(cursor.clone()),
            (None, What::Event(event)) => self.cursor = Some(Cursor::new([event.part()])),
            (None, _) => assert_eq!(self.cursor, None, "an item without a cursor"),
        }
    }

    /// Items of one feed and log never go back.
    fn step(&mut self, log: LogId, at: Position, in_backlog: bool) -> Position {
        let last = self.feed.entry((log, in_backlog)).or_default();
        if in_backlog {
            // Each backlog begins anew.
            return std::mem::replace(last, at);
        }
        assert!(at >= *last, "an item at {at:?} after one at {last:?}");
        std::mem::replace(last, at)
    }

    fn take_event(&mut self, world: &World, event: &Event, item: &Item, in_backlog: bool) {
        let truth = world.truth(event.log).lock().unwrap();
        let key = (event.epoch, event.position);
        assert_eq!(event.epoch, truth.epoch);
        let fact = truth.at(event.position).expect("a delivered event was stored");
        let stored = record::decode(event.log, event.epoch, &fact.stored).unwrap();
        assert_eq!(format!("{stored:?}"), format!("{event:?}"));
        assert!(stored.data == event.data && stored.time == event.time);
        let wanted = self.set.iter().filter(|asked| in_backlog == asked.joining.is_some());
        assert!(wanted.clone().any(|asked| asked.wants(fact) != Wanted::No), "{event:?} was not asked for");
        let owed = self.owed.iter().any(|(log, _)| *log == event.log);
        assert!(in_backlog || !owed || event.signal, "{event:?} before the gap of the epoch");
        self.step(event.log, event.position, in_backlog);
        if !in_backlog {
            assert!(!self.in_feed.contains(&key), "{event:?} came twice on one feed");
            let part =
                item.cursor.as_ref().map_or_else(|| event.part(), |cursor| cursor.part(event.log).unwrap());
            // One that shares its place with a gap does not move the cursor: it may come again if that was not taken.
            if part.position == event.position {
                self.in_feed.insert(key);
            }
        }
        if !self.delivered.insert(key) {
            return;
        }
        // What is missing right before it must have been told, or be excused.
        let excused = (event.epoch, event.channel.clone());
        let until = self.excused.get(&excused).copied().unwrap_or(0);
        let mut used = false;
        for gone in truth.of(&event.channel).rev().skip_while(|fact| fact.stored.position >= event.position) {
            let key = (event.epoch, gone.stored.position);
            if self.delivered.contains(&key) || self.covered.contains(&key) {
                continue;
            }
            if gone.removed.is_some_and(|removed| removed <= until) {
                self.covered.insert(key);
                used = true;
            }
        }
        if used {
            self.excused.remove(&excused);
        }
    }

    fn take_gap(&mut self, world: &World, gap: &Gap, in_backlog: bool) {
        let Part { log, epoch, position: at } = gap.part;
        let lower = if in_backlog {
            Position::START
        } else {
            let part = self.cursor.as_ref().and_then(|cursor| cursor.part(log)).unwrap();
            let truth = world.truth(log).lock().unwrap();
            place(&truth, Some(part)).unwrap_or_default()
        };
        let truth = world.truth(log).lock().unwrap();
        assert_eq!(epoch, truth.epoch, "a gap stands in the present epoch");
        if gap.reason == GapReason::Epoch {
            if !in_backlog {
                let index = self.owed.iter().position(|owed| *owed == (log, gap.of.clone()));
                // One that was not taken is told again with the others of its place.
                if let Some(index) = index {
                    self.owed.remove(index);
                }
                // Who has joined such a feed at its base is told as well.
                let held = self.cursor.as_ref().and_then(|cursor| cursor.part(log));
                let known = self.set.iter().any(|asked| asked.log == log && asked.pattern == gap.of)
                    && held.is_some_and(|part| part.epoch != epoch);
                assert!(known, "{gap:?} without a reason");
            }
            assert_eq!(at, Position::START, "the base of a fresh log is 0");
            return;
        }
        self.step(log, at, in_backlog);
        let matching = |fact: &&Fact| gap.of.matches(&fact.stored.channel);
        let wanted = |fact: &Fact| {
            let mut own = self.set.iter().filter(|asked| in_backlog == asked.joining.is_some());
            own.any(|asked| asked.wants(fact) != Wanted::No)
        };
        let gone = |fact: &&Fact| fact.removed.is_some() && fact.stored.position > lower && wanted(fact);
        let space = world.space(gap.of.namespace());
        let conservative = gap.reason == GapReason::Forgotten
            && truth.marks.iter().any(|(space, mark)| *space == gap.of.namespace() && *mark == at);
        assert!(!space.signal, "a gap of signals");
        match &gap.of {
            Pattern::Channel(channel) => {
                let mut below = truth.facts.iter().filter(matching).filter(|fact| fact.stored.position <= at);
                assert!(
                    conservative || below.clone().any(|fact| gone(&fact)),
                    "{gap:?}: nothing is gone above {lower:?}"
                );
                let kept = below.find(|fact| {
                    let key = (epoch, fact.stored.position);
                    fact.stored.position > lower
                        && fact.removed.is_none()
                        && !self.in_feed.contains(&key)
                        && wanted(fact)
                        && !self.delivered.contains(&key)
                });
                assert!(kept.is_none(), "{gap:?} covers {:?}, which is kept", kept.map(short));
                if let Some(next) = gap.next_seq {
                    let own = truth.of(channel).find(|fact| fact.stored.position > at);
                    let right = own
                        .or_else(|| truth.of(channel).next_back().filter(|last| last.stored.position <= at));
                    let right = right.map(|fact| fact.stored.seq + u64::from(fact.stored.position <= at));
                    assert_eq!(Some(next), right, "{gap:?}: next_seq");
                }
                if let Some(lost) = gap.lost {
                    let count = truth.of(channel).filter(|fact| fact.stored.position <= at).count() as u64;
                    assert_eq!(lost, count, "{gap:?}");
                }
                for fact in
                    truth.of(channel).filter(|fact| fact.stored.position <= at && fact.removed.is_some())
                {
                    self.covered.insert((epoch, fact.stored.position));
                }
            }
            Pattern::Prefix(_) => {
                assert_eq!((gap.next_seq, gap.lost), (None, None), "{gap:?} of many channels");
                let any = truth.facts.iter().filter(matching).any(|fact| gone(&fact));
                assert!(conservative || any, "{gap:?}: nothing is gone above {lower:?}");
                for fact in truth.facts.iter().filter(matching) {
                    self.excused.insert((epoch, fact.stored.channel.clone()), truth.clock);
                }
            }
        }
    }

    /// Everything of the set at or below the cursor was delivered or told to be gone.
    pub(crate) fn check_cursor(&self, world: &World) {
        let Some(cursor) = &self.cursor else { return };
        let mut up_to = [Position::START; 2];
        for part in cursor.parts() {
            let truth = world.truth(part.log).lock().unwrap();
            up_to[part.log.index()] = place(&truth, Some(*part)).unwrap_or_default();
        }
        self.check_up_to(world, up_to);
    }

    fn check_up_to(&self, world: &World, up_to: [Position; 2]) {
        for log in LogId::ALL {
            let truth = world.truth(log).lock().unwrap();
            for fact in truth.facts.iter().take_while(|fact| fact.stored.position <= up_to[log.index()]) {
                let mut own = self.set.iter().filter(|asked| asked.log == log && asked.joining.is_none());
                if own.any(|asked| asked.wants(fact) == Wanted::Yes) {
                    self.check_fact(&truth, fact, up_to[log.index()]);
                }
            }
        }
    }

    fn check_fact(&self, truth: &Truth, fact: &Fact, up_to: Position) {
        let key = (truth.epoch, fact.stored.position);
        if self.delivered.contains(&key) || self.covered.contains(&key) {
            return;
        }
        let Some(removed) = fact.removed else {
            panic!("{}: {:?} is lost at {up_to:?}", self.number, short(fact))
        };
        // The gap stands where the last one gone stood; it is still to come.
        let mut above = truth.of(&fact.stored.channel).filter(|other| other.stored.position > up_to);
        let space = fact.stored.channel.namespace();
        let mut marks = truth.marks.iter().filter(|(own, mark)| own == space && *mark > up_to);
        if above.any(|other| other.removed.is_some()) || marks.next().is_some() {
            return;
        }
        let until = self.excused.get(&(truth.epoch, fact.stored.channel.clone())).copied().unwrap_or(0);
        assert!(
            removed <= until,
            "{}: {} is gone in silence at {up_to:?}, excused until {until}; all of it: {:#?}",
            self.number,
            short(fact),
            truth.of(&fact.stored.channel).map(short).collect::<Vec<_>>()
        );
    }

    /// Nothing follows: then everything has been told.
    pub(crate) fn check_end(&self, world: &World) {
        self.check_cursor(world);
        assert!(self.caught_up || self.set.is_empty(), "caught up is never said");
        assert!(self.owed.is_empty(), "no gap for another epoch: {:?}", self.owed);
        assert!(self.set.iter().all(|asked| asked.joining.is_none()), "a backlog has no end");
        self.check_up_to(world, heads(world));
    }
}

fn heads(world: &World) -> [Position; 2] {
    LogId::ALL.map(|log| world.truth(log).lock().unwrap().head())
}

/// The position of `log` in what a reader asked with, if it is of the present life.
fn place(truth: &Truth, part: Option<Part>) -> Option<Position> {
    part.filter(|part| part.epoch == truth.epoch).map(|part| part.position)
}

fn short(fact: &Fact) -> String {
    let Fact { stored, removed, .. } = fact;
    format!(
        "{}#{} at {:?} after {:?} removed {removed:?}",
        stored.channel, stored.seq, stored.position, stored.prev
    )
}
