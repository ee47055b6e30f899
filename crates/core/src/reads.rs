//! Reads of the store that readers share: what lies below the tails is read once for all who come near it.
//!
//! A read under way is joined, and one that ended lately is kept, so that whoever stands anywhere inside its range is
//! served from it, with events that are decoded and encoded once. Nothing here is a queue: it may be dropped at any time.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    ops::Bound,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::Mutex;
use tokio::sync::{OnceCell, Semaphore};

use crate::{
    cursor::Position,
    event::Event,
    life::Life,
    limits::READS_HELD_BYTES_MAX,
    member::{Kind, Member},
    name::{ChannelName, Pattern},
    store::{Page, PageLimit, Scope, StoreError, Stored},
};

/// The reads of one life of a log.
#[derive(Debug, Default)]
pub(crate) struct Reads(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    lines: HashMap<Pattern, Line>,
    /// All that is held, longest first: what is dropped next, unless it was used since.
    held: VecDeque<(Pattern, Position)>,
    bytes: usize,
}

/// The reads of one channel or prefix.
#[derive(Debug, Default)]
struct Line {
    /// By the place behind which each begins.
    passages: BTreeMap<Position, Arc<Passage>>,
    under_way: Option<Arc<Flight>>,
    /// The lowest place of those who wait for a read that begins above it: the next one begins there.
    wanted: Option<Position>,
}

/// One read under way. Whoever waits for it drives it; when that one leaves, another takes over.
#[derive(Debug)]
struct Flight {
    after: Position,
    /// Where something that is held begins, or the head.
    up_to: Position,
    head: Position,
    limit: PageLimit,
    landed: OnceCell<Result<Arc<Passage>, StoreError>>,
}

/// Everything of one channel or prefix in `(after, complete_to]`, as it was when it was read.
#[derive(Debug)]
pub(crate) struct Passage {
    after: Position,
    pub(crate) complete_to: Position,
    events: Vec<Found>,
    /// Of a channel: its mark and its first number still kept, read after the events.
    pub(crate) trimmed: Option<(Position, u64)>,
    /// How many channels of the namespace had been forgotten before: what was read earlier may be gone as a whole.
    forgets: u64,
    used: AtomicBool,
}

/// One stored event.
#[derive(Debug, Clone)]
pub(crate) enum Found {
    Event(Arc<Event>),
    /// It is there, and cannot be read.
    Unreadable {
        position: Position,
        channel: ChannelName,
        seq: u64,
        prev: Position,
    },
}

impl Reads {
    /// What `member` has behind `after`, at most about `limit` of it: from what is held, or by a read of the store that
    /// others may join.
    pub(crate) async fn passage(
        &self,
        life: &Life,
        permits: &Semaphore,
        member: &Member,
        after: Position,
        limit: PageLimit,
    ) -> Result<Arc<Passage>, StoreError> {
        for _ in 0..JOINS_MAX {
            let flight = {
                let mut state = self.0.lock();
                let line = state.lines.entry(member.pattern.clone()).or_default();
                if let Some(held) = line.held_for(member, after) {
                    return Ok(held);
                }
                line.board(after, life.head(), limit)
            };
            let passage = self.fly(life, permits, member, &flight).await?;
            if passage.serves(member, after) {
                return Ok(passage);
            }
        }
        // Far from where the others are: they would only hold each other up.
        let alone = {
            let state = self.0.lock();
            let next = state.lines.get(&member.pattern).and_then(|line| line.begins_above(after));
            Arc::new(Flight::new(after, next, life.head(), limit))
        };
        self.fly(life, permits, member, &alone).await
    }

    async fn fly(
        &self,
        life: &Life,
        permits: &Semaphore,
        member: &Member,
        flight: &Arc<Flight>,
    ) -> Result<Arc<Passage>, StoreError> {
        let landing = async || {
            // Never closed, so there is a permit.
            let _permit = permits.acquire().await;
            let passage = self.read(life, member, flight).await.map(Arc::new);
            self.0.lock().land(&member.pattern, flight, passage.as_ref().ok());
            passage
        };
        flight.landed.get_or_init(landing).await.clone()
    }

    /// Reads up to where something that is held begins. A channel without an event there is read on to its first one:
    /// what stands before that says what is gone (rule 4).
    async fn read(&self, life: &Life, member: &Member, flight: &Flight) -> Result<Passage, StoreError> {
        let passage = flight.read(life, member, flight.up_to).await?;
        let Kind::Channel(_) = member.kind else { return Ok(passage) };
        if !passage.events.is_empty() || flight.up_to == flight.head {
            return Ok(passage);
        }
        let next = {
            let state = self.0.lock();
            state.lines.get(&member.pattern).and_then(|line| line.held_for(member, flight.up_to))
        };
        match next.filter(|next| next.after == flight.up_to && passage.complete_to == flight.up_to) {
            Some(next) => Ok(passage.joined_with(&next)),
            None => flight.read(life, member, flight.head).await,
        }
    }

    /// Gives back what nobody has used since the last time.
    pub(crate) fn tidy(&self) {
        let mut state = self.0.lock();
        for _ in 0..state.held.len() {
            state.drop_one();
        }
        state.lines.retain(|_, line| {
            // A flight that nobody waits for any more is held by its line alone.
            line.under_way.take_if(|flight| Arc::strong_count(flight) == 1);
            line.under_way.is_some() || !line.passages.is_empty()
        });
    }
}

impl State {
    fn land(&mut self, pattern: &Pattern, flight: &Arc<Flight>, passage: Option<&Arc<Passage>>) {
        let Some(line) = self.lines.get_mut(pattern) else { return };
        line.under_way.take_if(|own| Arc::ptr_eq(own, flight));
        if let Some(passage) = passage.filter(|passage| passage.after < passage.complete_to) {
            match line.passages.insert(passage.after, passage.clone()) {
                Some(replaced) => self.bytes -= replaced.bytes(),
                None => self.held.push_back((pattern.clone(), passage.after)),
            }
            self.bytes += passage.bytes();
        }
        while self.bytes > READS_HELD_BYTES_MAX {
            self.drop_one();
        }
    }

    /// Drops what is held longest; what was used since it was looked at last is held once more.
    fn drop_one(&mut self) {
        let Some((pattern, after)) = self.held.pop_front() else { return };
        let Some(line) = self.lines.get_mut(&pattern) else { return };
        if line.passages.get(&after).is_some_and(|passage| passage.used.swap(false, Ordering::Relaxed)) {
            self.held.push_back((pattern, after));
        } else if let Some(passage) = line.passages.remove(&after) {
            self.bytes -= passage.bytes();
            if line.passages.is_empty() && line.under_way.is_none() {
                self.lines.remove(&pattern);
            }
        }
    }
}

impl Line {
    fn held_for(&self, member: &Member, after: Position) -> Option<Arc<Passage>> {
        let (_, held) = self.passages.range(..=after).next_back()?;
        held.serves(member, after).then(|| {
            held.used.store(true, Ordering::Relaxed);
            held.clone()
        })
    }

    /// The read under way, or one that begins at the lowest place of those who have waited.
    fn board(&mut self, after: Position, head: Position, limit: PageLimit) -> Arc<Flight> {
        if let Some(flight) = &self.under_way {
            if after < flight.after {
                self.wanted = Some(self.wanted.map_or(after, |wanted| wanted.min(after)));
            }
            return flight.clone();
        }
        let after = self.wanted.take().map_or(after, |wanted| wanted.min(after));
        let flight = Arc::new(Flight::new(after, self.begins_above(after), head, limit));
        self.under_way = Some(flight.clone());
        flight
    }

    /// Where something that is held begins, the nearest above `after`: no need to read on.
    fn begins_above(&self, after: Position) -> Option<Position> {
        let above = (Bound::Excluded(after), Bound::Unbounded);
        self.passages.range(above).next().map(|(&begin, _)| begin)
    }
}

impl Flight {
    fn new(after: Position, next: Option<Position>, head: Position, limit: PageLimit) -> Self {
        let up_to = next.unwrap_or(head).min(head);
        Self { after, up_to, head, limit, landed: OnceCell::new() }
    }

    async fn read(&self, life: &Life, member: &Member, up_to: Position) -> Result<Passage, StoreError> {
        // Before the store is asked: whatever is forgotten from now on may be in what it answers.
        let forgets = member.space.forgets();
        let page = match &member.kind {
            Kind::Channel(channel) => life.store.page(&channel.name, self.after, up_to, self.limit).await?,
            Kind::Prefix { prefix, .. } => {
                let scope = Scope::Prefix(prefix.clone());
                life.store.range(scope, self.after, up_to, self.limit).await?
            }
        };
        let Page { events, complete_to, trimmed_to, first_seq } = page;
        let wanted = events.iter().filter(|stored| member.pattern.matches(&stored.channel));
        let events: Vec<_> = wanted.map(|stored| Found::read(life, stored)).collect();
        let of_channel = matches!(member.kind, Kind::Channel(_));
        let trimmed = of_channel.then_some((trimmed_to, first_seq));
        Ok(Passage { after: self.after, complete_to, events, trimmed, forgets, used: AtomicBool::new(false) })
    }
}

impl Passage {
    /// Whether somebody at `after` is served by it.
    fn serves(&self, member: &Member, after: Position) -> bool {
        self.after <= after && after < self.complete_to && self.forgets == member.space.forgets()
    }

    /// Nothing, and behind it `next`: its events, with what was told of the channel last.
    fn joined_with(self, next: &Self) -> Self {
        Self { complete_to: next.complete_to, events: next.events.clone(), forgets: next.forgets, ..self }
    }

    fn bytes(&self) -> usize {
        PASSAGE_BYTES + self.events.iter().map(Found::cost).sum::<usize>()
    }

    /// Its events above `after`, at most `limit` of them but one if there is one, and how far that is complete.
    pub(crate) fn above(&self, after: Position, limit: PageLimit) -> (&[Found], Position) {
        let events = &self.events[self.events.partition_point(|found| found.position() <= after)..];
        let mut bytes = 0;
        let fits = events.iter().take(limit.events).take_while(|found| {
            bytes += found.data_bytes();
            bytes <= limit.bytes
        });
        let count = fits.count().max(1);
        match events.get(count) {
            Some(_) => (&events[..count], events[count - 1].position()),
            None => (events, self.complete_to),
        }
    }
}

impl Found {
    fn read(life: &Life, stored: &Stored) -> Self {
        let Stored { position, seq, prev, .. } = *stored;
        match life.read(stored) {
            Ok(event) => Self::Event(event),
            Err(_) => Self::Unreadable { position, channel: stored.channel.clone(), seq, prev },
        }
    }

    pub(crate) fn position(&self) -> Position {
        match self {
            Self::Event(event) => event.position,
            Self::Unreadable { position, .. } => *position,
        }
    }

    pub(crate) fn channel(&self) -> &ChannelName {
        match self {
            Self::Event(event) => &event.channel,
            Self::Unreadable { channel, .. } => channel,
        }
    }

    pub(crate) fn seq(&self) -> u64 {
        match self {
            Self::Event(event) => event.seq,
            Self::Unreadable { seq, .. } => *seq,
        }
    }

    pub(crate) fn prev(&self) -> Position {
        match self {
            Self::Event(event) => event.prev,
            Self::Unreadable { prev, .. } => *prev,
        }
    }

    fn data_bytes(&self) -> usize {
        match self {
            Self::Event(event) => event.data.bytes().len(),
            Self::Unreadable { .. } => 0,
        }
    }

    /// The memory it takes once it was encoded, about.
    fn cost(&self) -> usize {
        EVENT_BYTES + 2 * self.data_bytes()
    }
}

/// Reads of others that one waits for before it reads for itself alone.
const JOINS_MAX: usize = 2;
/// What an event takes beside its data, about: its fields, its record's and its encodings' heads.
const EVENT_BYTES: usize = 768;
/// What a passage takes beside its events, about.
const PASSAGE_BYTES: usize = 256;
