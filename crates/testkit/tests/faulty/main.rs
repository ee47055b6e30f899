//! The faulty double keeps the promises of the trait, and makes every fault that it names.
#![allow(clippy::unwrap_used)]

mod single;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use sosik_core::{
    cursor::{Epoch, LogId, Position},
    name::ChannelName,
    record,
    store::{AppendError, Appended, Batch, ChannelHead, Place, Placed, Store, StoreError, Stored},
};
use sosik_store::Memory;
use sosik_testkit::{
    faulty::{FOREIGN, FaultPlan, Faulty},
    seed::seeds,
    store_suite::{Listener, block_on, channel, entry},
};

fn memory(seed: u64) -> Arc<dyn Store> {
    let mut rng = fastrand::Rng::with_seed(seed);
    Arc::new(Memory::with_steps(Epoch::new(seed), move || rng.u64(1..4)))
}

fn one(id: u128, place: Place) -> Batch {
    Batch::new(id, vec![entry(&channel("room:a"), place, "", true)])
}

fn without_faults(seed: u64) -> Arc<dyn Store> {
    Arc::new(Faulty::new(memory(seed), seed, FaultPlan::none()))
}

fn slow(seed: u64) -> Arc<dyn Store> {
    Arc::new(Faulty::new(memory(seed), seed, FaultPlan::slow()))
}

mod no_faults {
    sosik_testkit::store_suite!(super::without_faults, seeds = 100);
}

mod only_slow {
    sosik_testkit::store_suite!(super::slow, seeds = 200);
}

/// One event by the number of its attempt, as its record holds it.
type Attempt = u64;

/// A publisher as the core is one: it repeats, reads again, numbers anew, and sometimes gives up.
struct Publisher<'a> {
    store: &'a Faulty,
    rng: fastrand::Rng,
    attempts: Attempt,
    batches: u128,
    acknowledged: BTreeMap<Attempt, Placed>,
    refused: BTreeSet<Attempt>,
    unknown: BTreeSet<Attempt>,
}

impl Publisher<'_> {
    async fn publish(&mut self) {
        let names: Vec<_> =
            (0..self.rng.usize(1..4)).map(|_| channel(self.rng.choice(CHANNELS).unwrap())).collect();
        let mut patience = self.rng.usize(3..12);
        while patience > 0 {
            let (batch, attempts) = self.numbered(&names).await;
            let mut unknown = false;
            loop {
                patience -= 1;
                match self.store.append(batch.clone()).await {
                    Ok(Appended { placed, .. }) | Err(AppendError::Duplicate(Appended { placed, .. })) => {
                        self.acknowledged.extend(attempts.into_iter().zip(placed));
                        return;
                    }
                    Err(AppendError::Conflict) => {
                        self.refused.extend(attempts);
                        break;
                    }
                    Err(AppendError::Unknown) => unknown = true,
                    Err(AppendError::Unavailable) => {}
                    Err(other) => panic!("{other:?} is not in the plan"),
                }
                if patience == 0 {
                    let given_up = if unknown { &mut self.unknown } else { &mut self.refused };
                    given_up.extend(attempts);
                    return;
                }
            }
        }
    }

    async fn numbered(&mut self, names: &[ChannelName]) -> (Batch, Vec<Attempt>) {
        let mut entries = Vec::new();
        let mut attempts = Vec::new();
        for (index, name) in names.iter().enumerate() {
            let place = match names[..index].iter().rposition(|earlier| earlier == name) {
                Some(earlier) => Place::Behind(earlier as u32),
                None => self.place(name).await,
            };
            self.attempts += 1;
            attempts.push(self.attempts);
            entries.push(entry(name, place, &self.attempts.to_string(), name.namespace() != "typing"));
        }
        self.batches += 1;
        (Batch::new(self.batches, entries), attempts)
    }

    async fn place(&self, name: &ChannelName) -> Place {
        let head = until_available(async || self.store.channel(name).await).await;
        match head {
            Some(ChannelHead { seq, position, .. }) => Place::After { seq: seq + 1, prev: position },
            None if name.namespace() == "match" => {
                let namespace = until_available(async || self.store.namespace("match").await).await;
                Place::First { prev: namespace.forgotten_to }
            }
            None => Place::After { seq: 1, prev: Position::START },
        }
    }
}

async fn until_available<T>(ask: impl AsyncFn() -> Result<T, StoreError>) -> T {
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(StoreError::Unavailable) => {}
            Err(other) => panic!("{other:?} is not in the plan"),
        }
    }
}

fn attempt_of(event: &Stored) -> Option<Attempt> {
    let event = record::decode(LogId::Memory, Epoch::new(0), event).unwrap();
    if &*event.name == FOREIGN {
        return None;
    }
    let text = std::str::from_utf8(event.data.bytes()).unwrap();
    Some(text.trim_matches('"').parse().unwrap())
}

// Mutants: `Conflict` for a batch that may be stored; `Unavailable` after the inner append; `Duplicate` with other places;
// an opening below a head that was told; foreign events with guards that do not hold -> each fails.
#[test]
fn what_was_answered_is_true_under_every_fault() {
    let mut made = BTreeMap::new();
    for seed in seeds(1_500) {
        let inner = memory(seed.number());
        let store = Faulty::new(inner.clone(), seed.number(), FaultPlan::everything());
        let publisher = Publisher {
            store: &store,
            rng: seed.rng(),
            attempts: 0,
            batches: 0,
            acknowledged: BTreeMap::new(),
            refused: BTreeSet::new(),
            unknown: BTreeSet::new(),
        };
        block_on(run(&*inner, &store, publisher));
        store.made().into_iter().for_each(|(name, count)| *made.entry(name).or_insert(0) += count);
    }
    let named = [
        "answer_lost",
        "batch_late",
        "batch_lost",
        "conflict",
        "duplicate",
        "foreign",
        "old_head",
        "read_unavailable",
        "split_news",
        "stalled",
        "unavailable",
    ];
    for name in named {
        assert!(made.get(name).is_some_and(|&count| count > 10), "{name} was hardly made: {made:?}");
    }
}

async fn run(inner: &dyn Store, store: &Faulty, mut publisher: Publisher<'_>) {
    let opened = until_available(async || store.open().await).await;
    let mut listener = Listener::new(store, opened.head, BTreeMap::new());
    for _ in 0..15 {
        publisher.publish().await;
        for _ in 0..publisher.rng.usize(..8) {
            listener.glance().await;
        }
        assert_eq!(store.given(), None);
        let reopened = until_available(async || store.open().await).await;
        assert!(reopened.head >= listener.head && reopened.head <= inner.given().unwrap());
    }
    store.set_plan(FaultPlan::none());
    store.settle().await;
    let Some(head) = inner.given().filter(|head| *head > Position::START) else { return };
    listener.until(head).await;
    // Nothing is removed here, so the inner store tells everything from the beginning, signals too.
    let mut all = Listener::new(inner, Position::START, BTreeMap::new());
    all.until(head).await;
    assert!(listener.events().eq(all.events()), "news through faults is not what was stored");

    let mut stored = BTreeMap::new();
    for event in all.events() {
        if let Some(attempt) = attempt_of(event) {
            let earlier = stored.insert(attempt, Placed { position: event.position, seq: event.seq });
            assert_eq!(earlier, None, "stored twice: {event:?}");
        }
    }
    for (attempt, placed) in &publisher.acknowledged {
        assert_eq!(stored.remove(attempt), Some(*placed), "acknowledged: {attempt}");
    }
    for attempt in stored.keys() {
        assert!(!publisher.refused.contains(attempt), "refused, but stored: {attempt}");
        assert!(publisher.unknown.contains(attempt), "nobody sent this: {attempt}");
    }
}

// Mutant: a generator that is not the seed's -> fails.
#[test]
fn a_seed_repeats_exactly() {
    let made = || {
        block_on(async {
            let store = Faulty::new(memory(5), 5, FaultPlan::everything());
            let mut answers = Vec::new();
            let mut listener = Listener::new(&store, Position::START, BTreeMap::new());
            for id in 0..200 {
                let head = until_available(async || store.channel(&channel("room:a")).await).await;
                let ChannelHead { seq, position: prev, .. } = head.unwrap_or_default();
                answers.push(store.append(one(id, Place::After { seq: seq + 1, prev })).await);
                listener.glance().await;
            }
            (answers, listener.changes, listener.head, store.made())
        })
    };
    assert_eq!(made(), made());
}

const CHANNELS: &[&str] = &["room:a", "room:b", "match:a", "typing:a"];
