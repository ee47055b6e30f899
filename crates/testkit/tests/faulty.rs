//! The faulty double keeps the promises of the trait, and makes every fault that it names.
#![allow(clippy::unwrap_used)]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use sosik_core::{
    cursor::{Epoch, LogId, Position},
    name::ChannelName,
    record,
    store::{AppendError, Appended, Batch, ChannelHead, Followed, Place, Placed, Store, StoreError, Stored},
};
use sosik_store::Memory;
use sosik_testkit::{
    faulty::{AppendFault, FOREIGN, FaultPlan, Faulty},
    seed::seeds,
    store_suite::{ALL, Listener, block_on, channel, entry},
};

fn memory(seed: u64) -> Arc<dyn Store> {
    let mut rng = fastrand::Rng::with_seed(seed);
    Arc::new(Memory::with_steps(Epoch::new(seed), move || rng.u64(1..4)))
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

fn one(id: u128, place: Place) -> Batch {
    Batch::new(id, vec![entry(&channel("room:a"), place, "", true)])
}

fn first() -> Batch {
    one(1, Place::After { seq: 1, prev: Position::START })
}

// Mutants: each scripted fault answered as another one -> fails.
#[test]
fn a_script_makes_each_fault_of_an_append() {
    block_on(async {
        let inner = memory(1);
        let store = Faulty::new(inner.clone(), 1, FaultPlan::none());
        let room = channel("room:a");
        let refusals = [
            (AppendFault::Conflict, AppendError::Conflict),
            (AppendFault::Unavailable, AppendError::Unavailable),
            (AppendFault::Full, AppendError::Full),
            (AppendFault::BatchLost, AppendError::Unknown),
        ];
        for (fault, answer) in refusals {
            store.script([fault]);
            assert_eq!(store.append(first()).await, Err(answer));
            assert_eq!(inner.channel(&room).await.unwrap(), None, "{fault:?} stored it");
        }
        store.script([AppendFault::AnswerLost, AppendFault::Conflict]);
        assert_eq!(store.append(first()).await, Err(AppendError::Unknown));
        assert_eq!(inner.channel(&room).await.unwrap().map(|head| head.seq), Some(1));
        let again = store.append(first()).await;
        let Err(AppendError::Duplicate(Appended { placed, .. })) = again else { panic!("denied: {again:?}") };

        let second = one(2, Place::After { seq: 2, prev: placed[0].position });
        store.script([AppendFault::Duplicate]);
        let told = store.append(second.clone()).await;
        assert!(matches!(&told, Err(AppendError::Duplicate(Appended { placed, .. })) if placed[0].seq == 2));
        assert_eq!(store.append(second).await, told);
    });
}

// Mutants: foreign events with guards that do not hold; written as signals, or without a name -> each fails.
#[test]
fn another_nodes_event_is_a_true_conflict_and_news_like_any_other() {
    block_on(async {
        let inner = memory(1);
        let store = Faulty::new(inner.clone(), 1, FaultPlan { foreign: 1_000, ..FaultPlan::none() });
        assert_eq!(store.append(first()).await, Err(AppendError::Conflict));
        let room = channel("room:a");
        let ChannelHead { seq, position: prev, .. } = inner.channel(&room).await.unwrap().unwrap();
        assert_eq!(seq, 2, "one before the append, one before its answer");
        assert_eq!(store.append(one(2, Place::After { seq: 3, prev })).await, Err(AppendError::Conflict));
        store.set_plan(FaultPlan::none());
        let head = inner.channel(&room).await.unwrap().unwrap();
        let last =
            store.append(one(3, Place::After { seq: head.seq + 1, prev: head.position })).await.unwrap();
        let mut listener = Listener::new(&store, Position::START, BTreeMap::new());
        listener.until(last.placed[0].position).await;
        let names =
            listener.events().map(|event| record::decode(LogId::Memory, Epoch::new(1), event).unwrap().name);
        assert!(names.map(String::from).eq([FOREIGN, FOREIGN, FOREIGN, FOREIGN, ""]));
        assert!(listener.events().all(|event| event.kept));
    });
}

// Mutants, each planted and seen to fail: the inner store asked all the same; a batch that is stored denied; the channels
// that are whole named with it.
#[test]
fn a_damaged_channel_is_named_and_keeps_its_batch_out() {
    block_on(async {
        let inner = memory(1);
        let store = Faulty::new(inner.clone(), 1, FaultPlan::none());
        let (a, b) = (channel("room:a"), channel("room:b"));
        let begin =
            |name: &ChannelName| entry(name, Place::After { seq: 1, prev: Position::START }, "", true);
        store.append(first()).await.unwrap();
        store.damage(a.clone());
        assert!(matches!(store.append(first()).await, Err(AppendError::Duplicate(_))), "it is stored");
        let both = Batch::new(7, vec![begin(&b), begin(&a)]);
        assert_eq!(store.append(both).await, Err(AppendError::Unreadable([a.clone()].into())));
        assert!(matches!(store.channel(&a).await, Err(StoreError::Failed(_))));
        assert!(matches!(store.namespace("room").await, Err(StoreError::Failed(_))));
        assert_eq!(store.channel(&b).await, Ok(None));
        store.append(Batch::new(8, vec![begin(&b)])).await.unwrap();
    });
}

// Mutant: the late copy stored at once, or never -> fails.
#[test]
fn a_late_batch_arrives_by_itself() {
    block_on(async {
        let inner = memory(1);
        let store = Faulty::new(inner.clone(), 1, FaultPlan::none());
        let room = channel("room:a");
        store.script([AppendFault::BatchLate]);
        assert_eq!(store.append(first()).await, Err(AppendError::Unknown));
        assert_eq!(inner.channel(&room).await.unwrap(), None);
        store.settle().await;
        assert_eq!(inner.channel(&room).await.unwrap().map(|head| head.seq), Some(1));
        assert!(matches!(store.append(first()).await, Err(AppendError::Duplicate(_))));
    });
}

// Mutant: news taken from the inner store before the hold told during it -> fails.
#[test]
fn held_news_leaves_the_head_behind_what_was_acknowledged() {
    block_on(async {
        let store = Faulty::new(memory(1), 1, FaultPlan { old_head: 1, ..FaultPlan::none() });
        let mut listener = Listener::new(&store, Position::START, BTreeMap::new());
        store.hold_news();
        let placed = store.append(first()).await.unwrap().placed[0];
        for _ in 0..100 {
            assert!(!listener.glance().await);
        }
        let room = channel("room:a");
        let page = store.page(&room, Position::START, placed.position, ALL).await.unwrap();
        assert_eq!((page.events.len(), listener.head), (1, Position::START));
        assert_eq!(store.given(), None, "another node may be ahead");
        store.release_news();
        listener.until(placed.position).await;
        assert_eq!(listener.events().count(), 1);

        // News that has already been taken rests as well.
        store.set_plan(FaultPlan { stalled: 1_000, ..FaultPlan::none() });
        let placed =
            store.append(one(2, Place::After { seq: 2, prev: placed.position })).await.unwrap().placed[0];
        assert!(listener.glance().await, "stalled");
        store.hold_news();
        for _ in 0..100 {
            assert!(!listener.glance().await);
        }
        store.release_news();
        listener.until(placed.position).await;
    });
}

// Mutant: the follower going on with the old store -> it waits for ever.
#[test]
fn a_replaced_store_is_another_life() {
    block_on(async {
        let store = Faulty::new(memory(1), 1, FaultPlan::none());
        store.append(first()).await.unwrap();
        let mut follow = store.follow(Position::START);
        assert!(matches!(follow.next().await, Followed::News { .. }));
        let waiting = async {
            tokio::task::yield_now().await;
            store.replace(memory(2));
        };
        let (told, ()) = tokio::join!(follow.next(), waiting);
        assert_eq!(told, Followed::Epoch);
        assert_eq!(follow.next().await, Followed::Epoch, "an ended follower stays ended");
        let opened = store.open().await.unwrap();
        assert_eq!((opened.epoch, opened.head), (Epoch::new(2), Position::START));
        assert!(store.append(first()).await.is_ok(), "the new life knows nothing of the old one");
    });
}

// Mutant: `Behind` only once -> the follower goes on with a hole.
#[test]
fn a_follower_that_is_behind_stays_so_and_another_one_hears() {
    block_on(async {
        let store = Faulty::new(memory(1), 1, FaultPlan { behind: 1_000, ..FaultPlan::none() });
        let placed = store.append(first()).await.unwrap().placed[0];
        let mut follow = store.follow(Position::START);
        for _ in 0..3 {
            assert_eq!(follow.next().await, Followed::Behind);
        }
        store.set_plan(FaultPlan::none());
        let mut listener = Listener::new(&store, Position::START, BTreeMap::new());
        listener.until(placed.position).await;
    });
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
