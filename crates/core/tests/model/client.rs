//! A client that follows the rules and believes nothing: each thing it is told is compared with what happened.

use std::collections::{HashMap, HashSet};

use sosik_core::{
    Budget, ChannelName, Cursor, Epoch, Error, Event, Gap, GapReason, Item, Joined, LogId, Look, Page, Part,
    Pattern, Position, Reader, Start, What, record,
};

use crate::{
    kit::{Truth, grant, truth::Fact},
    world::{SPACES, World},
};

/// One channel or prefix of the set, and which of its events were asked for.
#[derive(Debug, Clone)]
struct Asked {
    pattern: Pattern,
    log: LogId,
    signal: bool,
    from: From,
    /// The token of its join, while it has a backlog.
    joining: Option<u64>,
}

#[derive(Debug, Clone)]
enum From {
    /// Everything above.
    Above(Position),
    /// What was there and was counted, and everything above the head; between the two heads either way.
    Chosen { chosen: HashSet<Position>, head: (Position, Position) },
    /// Of an earlier life: everything of this one, behind a gap.
    Epoch,
}

pub(crate) struct Client {
    number: u64,
    reader: Option<Reader>,
    set: Vec<Asked>,
    /// What it would come back with.
    cursor: Option<Cursor>,
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
    next_token: u64,
    page: Page,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Yes,
    Maybe,
    No,
}

impl Asked {
    fn wants(&self, fact: &Fact) -> Wanted {
        if !self.pattern.matches(&fact.stored.channel) {
            return Wanted::No;
        }
        let at = fact.stored.position;
        let yes = match &self.from {
            From::Epoch => true,
            From::Above(from) => at > *from,
            From::Chosen { head: (before, after), .. } if at > *before && at <= *after => {
                return Wanted::Maybe;
            }
            From::Chosen { chosen, head } => chosen.contains(&at) || at > head.1,
        };
        match yes {
            true if self.signal => Wanted::Maybe,
            true => Wanted::Yes,
            false => Wanted::No,
        }
    }
}

impl Client {
    /// A new client with a random set and start.
    pub(crate) async fn come(world: &mut World) -> Self {
        let mut client = Self {
            number: world.rng.u64(..1_000),
            reader: None,
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
            next_token: 1,
            page: Page::default(),
        };
        client.open(world).await;
        client
    }

    async fn open(&mut self, world: &mut World) {
        let set: Vec<_> = (0..world.rng.usize(1..5)).map(|_| world.any_pattern()).collect();
        let start = world.any_start();
        let before = clocks(world);
        let reader = world.running.node.read(grant(SPACES), &set, start.clone(), world.now).await.unwrap();
        self.set = ask(world, &set, &start, before, None);
        world.tell(|| format!("{}: opens {set:?} {start:?}", self.number));
        self.opened(world, reader);
    }

    fn opened(&mut self, world: &World, reader: Reader) {
        self.cursor = reader.cursor();
        let cursor = self.cursor.clone().unwrap_or_default();
        let logs: HashSet<_> = self.set.iter().map(|asked| asked.log).collect();
        assert_eq!(cursor.parts().len(), logs.len(), "a cursor has one part for each log of the set");
        self.reader = Some(reader);
        self.feed.clear();
        self.in_feed.clear();
        self.goal = heads(world);
        self.caught_up = false;
    }

    /// The connection breaks; what was pending will be asked again some time.
    pub(crate) fn cut(&mut self, _world: &World) {
        self.reader = None;
        self.set.retain(|asked| asked.joining.is_none());
    }

    /// Comes back with the last cursor it was handed.
    pub(crate) async fn come_back(&mut self, world: &mut World) {
        if self.set.is_empty() {
            return self.open(world).await;
        }
        let Some(cursor) = self.cursor.clone() else { return self.open(world).await };
        let set: Vec<_> = self.set.iter().map(|asked| asked.pattern.clone()).collect();
        let before = clocks(world);
        let start = Start::After(cursor.clone());
        let reader = world.running.node.read(grant(SPACES), &set, start.clone(), world.now).await.unwrap();
        self.set = ask(world, &set, &start, before, None);
        world.tell(|| format!("{}: comes back {set:?} {cursor:?}", self.number));
        self.owed = self.epoch_gaps(world, &cursor, &self.set);
        self.opened(world, reader);
    }

    fn epoch_gaps(&self, world: &World, cursor: &Cursor, set: &[Asked]) -> Vec<(LogId, Pattern)> {
        let foreign =
            |log| cursor.part(log).is_some_and(|part| part.epoch != world.truth(log).lock().unwrap().epoch);
        let owing = set.iter().filter(|asked| !asked.signal && foreign(asked.log));
        let mut owed: Vec<_> = owing.map(|asked| (asked.log, asked.pattern.clone())).collect();
        owed.sort();
        owed.dedup();
        owed
    }

    /// Does one thing.
    pub(crate) async fn act(&mut self, world: &mut World) {
        if self.reader.is_none() {
            return self.come_back(world).await;
        }
        match world.rng.u8(..10) {
            0..6 => {
                for _ in 0..world.rng.usize(1..6) {
                    if !self.look(world).await {
                        break;
                    }
                }
            }
            6 => self.join(world).await,
            7 => self.leave(world),
            8 => {
                self.cut(world);
                self.come_back(world).await;
            }
            _ => self.cut(world),
        }
        self.check_cursor(world);
    }

    async fn join(&mut self, world: &mut World) {
        let set: Vec<_> = (0..world.rng.usize(1..3)).map(|_| world.any_pattern()).collect();
        let own = self.cursor.clone();
        let start = match world.rng.u8(..3) {
            0 if own.is_some() => Start::After(self.old_cursor(world, own.unwrap())),
            _ => world.any_start(),
        };
        let token = self.next_token;
        self.next_token += 1;
        let before = clocks(world);
        let reader = self.reader.as_mut().unwrap();
        let joined = match reader.join(&set, start.clone(), world.now, token).await {
            Ok(joined) => joined,
            Err(Error::Already(of)) => {
                assert!(self.set.iter().any(|asked| asked.pattern.covers(&of)), "{of} is not followed");
                return;
            }
            Err(Error::Limit { .. }) => return,
            Err(other) => panic!("{other}"),
        };
        let joining = (joined == Joined::Later).then_some(token);
        world.tell(|| format!("{}: joins {set:?} {start:?} {joined:?}", self.number));
        self.set.extend(ask(world, &set, &start, before, joining));
        self.goal = heads(world);
        self.caught_up = false;
        self.cursor = self.reader.as_ref().unwrap().cursor();
    }

    /// A place that the client may have been handed once: of this life, at or below where it is.
    fn old_cursor(&mut self, world: &mut World, mut cursor: Cursor) -> Cursor {
        for log in LogId::ALL {
            let truth = world.truth(log).lock().unwrap();
            let Some(part) = cursor.part(log).filter(|part| part.epoch == truth.epoch) else {
                drop(truth);
                cursor.remove(log);
                continue;
            };
            let all: Vec<_> = truth.facts.iter().map(|fact| fact.stored.position).collect();
            drop(truth);
            let at = world.rng.choice(all).unwrap_or_default();
            let position = if at <= part.position || world.rng.bool() { at } else { part.position };
            cursor.set(Part { position, ..part });
        }
        cursor
    }

    fn leave(&mut self, world: &mut World) {
        let Some(asked) = world.rng.choice(&self.set).cloned() else { return };
        world.tell(|| format!("{}: leaves {}", self.number, asked.pattern));
        let reader = self.reader.as_mut().unwrap();
        reader.leave(std::slice::from_ref(&asked.pattern)).unwrap();
        self.set.retain(|own| own.pattern != asked.pattern);
        self.owed.retain(|(_, of)| *of != asked.pattern);
        self.cursor = reader.cursor();
        for log in LogId::ALL {
            if !self.set.iter().any(|own| own.log == log && own.joining.is_none()) {
                // The feed of this log is over; what joins later begins another one.
                self.feed.remove(&(log, false));
                let epoch = world.truth(log).lock().unwrap().epoch;
                self.in_feed.retain(|(own, _)| *own != epoch);
            }
        }
    }

    /// Looks once and takes some of what it is shown; answers whether there was anything.
    async fn look(&mut self, world: &mut World) -> bool {
        let mut reader = self.reader.take().unwrap();
        let mut page = std::mem::take(&mut self.page);
        let budget =
            Budget { events: world.rng.usize(..5), bytes: if world.rng.bool() { 10 } else { 200_000 } };
        let budget = if world.rng.u8(..4) == 0 { Budget { events: 1_000, bytes: 1 << 20 } } else { budget };
        let mut found = true;
        match reader.look(world.now, budget, &mut page).unwrap() {
            Look::Nothing => {
                found = false;
                assert!(page.items.is_empty());
            }
            Look::Below => reader.fetch().await.unwrap(),
            Look::Found => {
                let count = page.items.len();
                assert!(count > 0);
                let places = page.items.iter().filter_map(|item| match &item.what {
                    What::Event(event) => Some(event.position),
                    _ => None,
                });
                assert!(places.is_sorted_by(|a, b| a < b), "one page, one order: {:?}", page.items);
                let count = if world.rng.bool() { count } else { world.rng.usize(..=count) };
                let told = reader.cursor().unwrap_or_default();
                let in_backlog = page.items.iter().all(|item| {
                    item.cursor.as_ref() == Some(&told) && matches!(item.what, What::Event(_) | What::Gap(_))
                });
                for item in &page.items[..count] {
                    self.take(world, item, in_backlog);
                }
                reader.took(&page, count);
                let hint = format!("took {count} of {:?}", page.items);
                let own = self.cursor.clone().filter(|_| count > 0).unwrap_or(told);
                assert_eq!(reader.cursor().unwrap_or_default(), own, "{hint}");
            }
        }
        self.reader = Some(reader);
        self.page = page;
        found
    }

    fn take(&mut self, world: &World, item: &Item, in_backlog: bool) {
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
            crate::world::place(&truth, Some(part)).unwrap_or_default()
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
        let Some(cursor) = self.cursor.as_ref().filter(|_| self.reader.is_some()) else { return };
        let mut up_to = [Position::START; 2];
        for part in cursor.parts() {
            let truth = world.truth(part.log).lock().unwrap();
            up_to[part.log.index()] = crate::world::place(&truth, Some(*part)).unwrap_or_default();
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

    /// Reads until nothing follows: then everything has been told.
    pub(crate) async fn end(&mut self, world: &mut World) {
        if self.reader.is_none() {
            self.come_back(world).await;
        }
        for _ in 0..20_000 {
            if !self.look(world).await {
                self.check_cursor(world);
                assert!(self.caught_up || self.set.is_empty(), "caught up is never said");
                assert!(self.owed.is_empty(), "no gap for another epoch: {:?}", self.owed);
                assert!(self.set.iter().all(|asked| asked.joining.is_none()), "a backlog has no end");
                self.check_up_to(world, heads(world));
                return;
            }
        }
        panic!("the reader looks for ever");
    }
}

fn short(fact: &Fact) -> String {
    let Fact { stored, removed, .. } = fact;
    format!(
        "{}#{} at {:?} after {:?} removed {removed:?}",
        stored.channel, stored.seq, stored.position, stored.prev
    )
}

fn clocks(world: &World) -> [u64; 2] {
    LogId::ALL.map(|log| {
        let truth = world.truth(log).lock().unwrap();
        if truth.removing > 0 { u64::MAX } else { truth.clock }
    })
}

fn heads(world: &World) -> [Position; 2] {
    LogId::ALL.map(|log| world.truth(log).lock().unwrap().head())
}

/// What asking for `set` from `start` asks for.
fn ask(world: &World, set: &[Pattern], start: &Start, before: [u64; 2], joining: Option<u64>) -> Vec<Asked> {
    let one = |pattern: &Pattern| {
        let space = world.space(pattern.namespace());
        let log = space.log;
        let truth = world.truth(log).lock().unwrap();
        // While something moves, what is the newest is a matter of opinion.
        let moving = truth.clock != before[log.index()] || truth.removing > 0;
        let head = (if moving { Position::START } else { truth.head() }, truth.head());
        let chosen = |count: u64| {
            let own = truth.facts.iter().rev().filter(|fact| {
                pattern.matches(&fact.stored.channel) && fact.removed.is_none() && fact.stored.kept
            });
            From::Chosen { chosen: own.take(count as usize).map(|fact| fact.stored.position).collect(), head }
        };
        let from = match start {
            Start::Now => chosen(0),
            Start::Beginning if space.signal => chosen(0),
            Start::Beginning => From::Above(Position::START),
            Start::Last(_) if space.signal => chosen(0),
            Start::Last(count) => chosen(*count),
            Start::After(cursor) => match cursor.part(log) {
                None => chosen(0),
                Some(part) if part.epoch != truth.epoch => From::Epoch,
                Some(part) => From::Above(part.position),
            },
        };
        Asked { pattern: pattern.clone(), log, signal: space.signal, from, joining }
    };
    // What another of the set covers is not asked for by itself.
    let alone = set.iter().enumerate().filter(|(i, own)| {
        !set.iter().enumerate().any(|(j, other)| other.covers(own) && (other != *own || j < *i))
    });
    alone.map(|(_, pattern)| one(pattern)).collect()
}
