//! Random histories against a model so plain that it is its own proof: a list of events and a map of records.

use std::collections::BTreeMap;

use fastrand::Rng;
use sosik_core::{
    cursor::Position,
    name::ChannelName,
    store::{
        AppendError, Appended, Batch, ChannelHead, Entry, PageLimit, Place, Placed, Scope, Store, Stored,
    },
};

use super::{Listener, Maker, channel, check_before, check_page, entry, space};
use crate::seed::seeds;

/// Appends right and wrong, repeats, trims, forgets, reads and lagging followers, in any order.
// Mutants: the bytes of a forgotten channel still counted as kept; `First` that ignores the mark; a record that is not raised in the middle of a batch; signals of a forgotten name
// still told; a mark told behind the events above it -> a seed fails.
pub async fn a_store_does_what_the_naive_model_does(maker: &Maker) {
    for seed in seeds(maker.seeds) {
        let store = maker.store(seed.number()).await;
        let mut run = Run::new(&*store, seed.rng());
        for _ in 0..STEPS {
            run.step().await;
        }
        run.end().await;
    }
}

struct Run<'a> {
    store: &'a dyn Store,
    rng: Rng,
    /// All events that ever were, by position.
    all: Vec<Stored>,
    /// Those that still are.
    kept: Vec<Stored>,
    records: BTreeMap<ChannelName, ChannelHead>,
    marks: BTreeMap<String, Position>,
    answered: Vec<(Batch, Vec<Placed>)>,
    batches: u128,
    /// With the number of events that had been removed when it began to listen.
    listeners: Vec<(Listener, Vec<Stored>)>,
}

impl<'a> Run<'a> {
    fn new(store: &'a dyn Store, rng: Rng) -> Self {
        Self {
            store,
            rng,
            all: Vec::new(),
            kept: Vec::new(),
            records: BTreeMap::new(),
            marks: BTreeMap::new(),
            answered: Vec::new(),
            batches: 0,
            listeners: Vec::new(),
        }
    }

    async fn step(&mut self) {
        match self.rng.u8(..100) {
            0..35 => self.append().await,
            35..40 => self.append_wrong().await,
            40..45 => self.repeat().await,
            45..55 => self.trim().await,
            55..61 => self.forget().await,
            61..75 => self.read().await,
            75..80 => self.listen(),
            _ => self.hear().await,
        }
    }

    fn head(&self) -> Position {
        self.all.last().map_or(Position::START, |last| last.position)
    }

    fn mark(&self, channel: &ChannelName) -> Position {
        self.marks.get(channel.namespace()).copied().unwrap_or_default()
    }

    fn any_channel(&mut self) -> ChannelName {
        channel(self.rng.choice(CHANNELS).expect("there are channels"))
    }

    /// 0, the end, or a place that was given.
    fn any_position(&mut self) -> Position {
        let given = self.all.len();
        match self.rng.usize(..given + 2) {
            0 => Position::START,
            1 => Position::END,
            n => self.all[n - 2].position,
        }
    }

    fn any_limit(&mut self) -> PageLimit {
        let bytes = if self.rng.bool() { usize::MAX } else { self.rng.usize(..200) };
        PageLimit { events: self.rng.usize(..8), bytes }
    }

    /// Entries with the right guards.
    fn entries(&mut self) -> Vec<Entry> {
        let mut entries: Vec<Entry> = Vec::new();
        for index in 0..self.rng.usize(1..=5) {
            let channel = self.any_channel();
            let place = match entries.iter().rposition(|entry| entry.channel == channel) {
                Some(earlier) => Place::Behind(earlier as u32),
                None => match self.records.get(&channel) {
                    Some(own) => Place::After { seq: own.seq + 1, prev: own.position },
                    None if channel.namespace() == "room" => Place::After { seq: 1, prev: Position::START },
                    None => Place::First { prev: self.mark(&channel) },
                },
            };
            let kept = channel.namespace() != "typing";
            entries.push(entry(&channel, place, &format!("{}.{index}", self.batches), kept));
        }
        entries
    }

    async fn append(&mut self) {
        self.batches += 1;
        let batch = Batch::new(self.batches, self.entries());
        let Appended { placed, .. } = self.store.append(batch.clone()).await.expect("the guards are right");
        assert_eq!(placed.len(), batch.entries.len());
        for (Entry { channel, place, body, kept }, &Placed { position, seq }) in
            batch.entries.iter().zip(&placed)
        {
            assert!(position > self.head(), "{position:?} is not above {:?}", self.head());
            let record = self.records.get(channel).copied();
            let first = matches!(place, Place::First { .. });
            let expected = if first { position.number() } else { record.unwrap_or_default().seq + 1 };
            assert_eq!(seq, expected, "{channel} {place:?}");
            let prev = record
                .map_or_else(|| if first { self.mark(channel) } else { Position::START }, |own| own.position);
            let (channel, body) = (channel.clone(), body.clone());
            let event = Stored { position, channel, seq, prev, body, kept: *kept };
            self.all.push(event.clone());
            if *kept {
                self.kept.push(event.clone());
            }
            let own = self.records.entry(event.channel.clone()).or_default();
            (own.seq, own.position) = (seq, position);
            (own.first_seq, own.bytes) = kept_of(&self.kept, &event.channel, seq);
        }
        self.answered.push((batch, placed));
    }

    async fn append_wrong(&mut self) {
        let mut entries = self.entries();
        let index = self.rng.usize(..entries.len());
        let wrong = &mut entries[index].place;
        *wrong = match *wrong {
            Place::After { seq, prev } if self.rng.bool() => Place::After { seq: seq + 1, prev },
            Place::After { seq, prev } => Place::After { seq, prev: Position::new(prev.number() + 1) },
            Place::First { prev } => Place::First { prev: Position::new(prev.number() + 1) },
            Place::Behind(of) => Place::Behind(of + 1 + self.rng.u32(..9) * 7),
        };
        // A link raised by accident to a right one does not exist: only one entry is the latest of its channel.
        self.batches += 1;
        let answer = self.store.append(Batch::new(self.batches, entries)).await;
        assert_eq!(answer.unwrap_err(), AppendError::Conflict);
    }

    async fn repeat(&mut self) {
        let Some((batch, placed)) = self.rng.choice(&self.answered).cloned() else { return };
        let answer = self.store.append(batch).await;
        let Err(AppendError::Duplicate(again)) = answer else { panic!("{answer:?}") };
        assert_eq!(again.placed, placed);
    }

    async fn trim(&mut self) {
        let channel = self.any_channel();
        let own: Vec<_> =
            self.all.iter().filter(|e| e.channel == channel && e.kept).map(|e| e.position).collect();
        let Some(&to) = self.rng.choice(&own) else { return };
        // A place of an earlier life of the name is no place of its events.
        if !self.records.contains_key(&channel) || to <= self.mark(&channel) {
            return;
        }
        self.store.trim(&channel, to).await.unwrap();
        self.kept.retain(|event| event.channel != channel || event.position > to);
        let kept = &self.kept;
        let Some(record) = self.records.get_mut(&channel) else { return };
        record.trimmed_to = record.trimmed_to.max(to);
        (record.first_seq, record.bytes) = kept_of(kept, &channel, record.seq);
    }

    async fn forget(&mut self) {
        let channel = self.any_channel();
        if channel.namespace() == "room" {
            return;
        }
        let mark = self.store.forget(&channel).await.unwrap();
        match self.records.remove(&channel) {
            Some(record) => {
                assert!(mark >= record.position && mark >= self.mark(&channel) && mark <= self.head())
            }
            None => assert_eq!(mark, self.mark(&channel)),
        }
        self.marks.insert(channel.namespace().to_owned(), mark);
        self.kept.retain(|event| event.channel != channel);
    }

    async fn read(&mut self) {
        let (channel, limit, head) = (self.any_channel(), self.any_limit(), self.head());
        let asked = (self.any_position(), self.any_position());
        let record = self.records.get(&channel).copied();
        assert_eq!(self.store.channel(&channel).await.unwrap(), record);
        let namespace = channel.namespace();
        let of_channel: Vec<_> = self.kept.iter().filter(|event| event.channel == channel).cloned().collect();
        let page = self.store.page(&channel, asked.0, asked.1, limit).await.unwrap();
        check_page(&of_channel, &page, asked, limit, head);
        let marks = record.map_or((Position::START, 0), |own| (own.trimmed_to, own.first_seq));
        assert_eq!((page.trimmed_to, page.first_seq), marks);
        let page = self.store.before(&channel, asked.1, limit).await.unwrap();
        check_before(&of_channel, &page, asked.1, limit);
        let scope = if self.rng.bool() { Scope::All } else { space(namespace) };
        let of_scope: Vec<_> = self.kept.iter().filter(|event| scope.has(&event.channel)).cloned().collect();
        let page = self.store.range(scope, asked.0, asked.1, limit).await.unwrap();
        check_page(&of_scope, &page, asked, limit, head);
        self.check_namespace(namespace).await;
        self.check_figures();
    }

    /// What is told to be kept is what is kept: retention rests on it.
    fn check_figures(&self) {
        let figures = self.store.figures();
        let bytes: usize = self.kept.iter().map(|event| event.body.len()).sum();
        assert_eq!((figures.kept_events, figures.kept_bytes), (self.kept.len() as u64, bytes as u64));
    }

    async fn check_namespace(&self, namespace: &str) {
        let found = self.store.namespace(namespace).await.unwrap();
        let records = self.records.clone().into_iter().filter(|(name, _)| name.namespace() == namespace);
        assert_eq!(found.channels.into_iter().collect::<BTreeMap<_, _>>(), records.collect());
        assert_eq!(found.forgotten_to, self.marks.get(namespace).copied().unwrap_or_default());
    }

    fn listen(&mut self) {
        let after = self.any_position().min(self.head());
        let gone = self.all.iter().filter(|event| event.kept && !self.kept.contains(event));
        let signals = self.all.iter().filter(|event| !event.kept);
        // A signal of a forgotten name is gone as well; which ones is not the model's to say.
        let excused = gone.chain(signals).cloned().collect();
        self.listeners.push((Listener::new(self.store, after, self.records.clone()), excused));
    }

    async fn hear(&mut self) {
        let count = self.listeners.len();
        if count > 0 {
            let index = self.rng.usize(..count);
            self.listeners[index].0.glance().await;
            self.check_listener(index);
        }
    }

    /// Nothing at or below its head is missing in silence.
    fn check_listener(&self, index: usize) {
        let (listener, excused) = &self.listeners[index];
        let mut told = listener.events().peekable();
        for event in self.all.iter().filter(|event| event.position > listener.after) {
            if event.position > listener.head {
                break;
            }
            if told.next_if(|told| *told == event).is_none() {
                let known = listener.knows_gone(&event.channel, event.position) || excused.contains(event);
                assert!(known, "the head {:?} passed {event:?} in silence", listener.head);
            }
        }
        assert_eq!(told.next(), None, "told, but never appended");
    }

    async fn end(mut self) {
        // Everything that happened before this event is told before it.
        let last = channel("room:a");
        let own = self.records.get(&last).copied().unwrap_or_default();
        let place = Place::After { seq: own.seq + 1, prev: own.position };
        self.batches += 1;
        let entries = vec![entry(&last, place, "end", true)];
        let end = self.store.append(Batch::new(self.batches, entries)).await.unwrap().placed[0];
        for index in 0..self.listeners.len() {
            let listener = &mut self.listeners[index].0;
            listener.until(end.position).await;
            let mut records = self.records.clone();
            let record = records.entry(last.clone()).or_default();
            (record.seq, record.position) = (end.seq, end.position);
            record.first_seq = record.first_seq.max(1);
            // How much was removed is nothing that a follower is told.
            records.values_mut().for_each(|record| record.bytes = 0);
            assert_eq!(listener.records, records, "the records after all changes, from {:?}", listener.after);
        }
    }
}

/// The first number kept, and the bytes of all records kept.
fn kept_of(kept: &[Stored], channel: &ChannelName, last: u64) -> (u64, u64) {
    let mut own = kept.iter().filter(|event| event.channel == *channel).peekable();
    let first_seq = own.peek().map_or(last + 1, |event| event.seq);
    (first_seq, own.map(|event| event.body.len() as u64).sum())
}

const STEPS: usize = 80;
const CHANNELS: &[&str] = &["room:a", "room:b", "room:a:x", "match:a", "match:b", "typing:a", "typing:b"];
