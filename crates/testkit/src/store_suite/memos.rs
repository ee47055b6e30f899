//! Memos: with their batch or not at all, recalled with the places of their entries, let go of in the order of writing.

use std::collections::BTreeMap;

use bytes::Bytes;
use fastrand::Rng;
use sosik_core::{
    event::Draft,
    record,
    store::{AppendError, Batch, Entry, Keep, Memo, MemoKey, MemoKind, Place, Remembered, Store},
};

use super::{
    Maker, channel,
    hand::{after, entry},
};
use crate::seed::seeds;

/// A memo of `kind` and `namespace` by the name `name`.
pub fn memo_key(kind: MemoKind, namespace: &str, name: &str) -> MemoKey {
    MemoKey { kind, namespace: namespace.into(), name: Bytes::copy_from_slice(name.as_bytes()) }
}

/// Everything that was written, and what must be recalled of it.
#[derive(Debug, Default)]
pub struct Diary {
    written: BTreeMap<MemoKey, Written>,
    batches: u128,
    /// The time of the next batch, milliseconds since 1970.
    pub now: u64,
}

#[derive(Debug)]
struct Written {
    remembered: Remembered,
    time: u64,
    batch: u128,
}

impl Diary {
    /// An empty one; the first batch is of that time, milliseconds since 1970.
    pub fn from(now: u64) -> Self {
        Self { now, ..Self::default() }
    }

    /// Appends `count` events of `room:a` with a memo under each key, of those entries.
    pub async fn write(
        &mut self,
        store: &dyn Store,
        count: u32,
        memos: &[(MemoKey, Vec<u32>)],
        keep: Keep,
    ) -> Batch {
        self.batches += 1;
        let entries = timed(store, count, self.now).await;
        let value = Bytes::from(format!("value {}", self.batches));
        let memo = |(key, entries): &(MemoKey, Vec<u32>)| Memo {
            key: key.clone(),
            value: value.clone(),
            entries: entries.clone(),
            keep,
        };
        let batch = Batch { id: self.batches, entries, memos: memos.iter().map(memo).collect() };
        let placed = store.append(batch.clone()).await.expect("the guards are right").placed;
        for (key, entries) in memos {
            let placed = entries.iter().map(|&index| placed[index as usize]).collect();
            let remembered = Remembered { value: value.clone(), placed };
            let written = Written { remembered, time: self.now, batch: self.batches };
            self.written.insert(key.clone(), written);
        }
        batch
    }

    /// What is recalled is what was written last. What is not was written no later than the window tells, and before
    /// everything of its kind and namespace that is.
    pub async fn check(&self, store: &dyn Store) {
        let keys: Vec<_> = self.written.keys().cloned().collect();
        let recalled = store.recall(keys.clone()).await.expect("the store answers");
        let mut of_kind: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (key, recalled) in keys.iter().zip(recalled) {
            of_kind.entry((key.kind, &*key.namespace)).or_default().push((&self.written[key], recalled));
        }
        for ((kind, namespace), memos) in of_kind {
            let held = store.memos_held(kind, namespace);
            let count = memos.iter().filter(|(_, recalled)| recalled.is_some()).count();
            assert_eq!(held.count, count as u64, "{kind:?} of {namespace}");
            let oldest = memos.iter().filter(|(_, recalled)| recalled.is_some()).map(|(w, _)| w.batch).min();
            for (written, recalled) in memos {
                match recalled {
                    Some(recalled) => assert_eq!(recalled, written.remembered),
                    None => {
                        assert!(written.time <= held.since, "gone in silence: {written:?}, {held:?}");
                        assert!(oldest.is_none_or(|oldest| written.batch <= oldest), "gone too early");
                    }
                }
            }
        }
    }

    /// Whether `key` is recalled.
    pub async fn knows(&self, store: &dyn Store, key: &MemoKey) -> bool {
        store.recall(vec![key.clone()]).await.expect("the store answers")[0].is_some()
    }

    /// Some commits later, with which a store gets round to what is due.
    pub async fn later(&mut self, store: &dyn Store) {
        for number in 0..20 {
            let other = memo_key(MemoKind::Producer, "other", &number.to_string());
            self.write(store, 1, &[(other, vec![0])], LONG).await;
        }
    }
}

async fn timed(store: &dyn Store, count: u32, time: u64) -> Vec<Entry> {
    let name = channel("room:a");
    let first = after(store.channel(&name).await.expect("the store answers"));
    let place = |index: u32| if index == 0 { first } else { Place::Behind(index - 1) };
    let body = record::encode(&Draft::json(name.clone(), "1"), "suite", time, false);
    (0..count).map(|index| Entry { body: body.clone(), ..entry(&name, place(index), "", true) }).collect()
}

// Mutants: the places of the batch's first entries instead of the named ones; kind or namespace left out of the key.
/// Each under its own key, with the places of its entries in their order.
pub async fn a_memo_comes_back_with_the_places_of_its_entries(maker: &Maker) {
    let store = maker.store(1).await;
    let mut diary = Diary::from(10);
    let (producer, key) = (MemoKind::Producer, MemoKind::Key);
    let memos = [
        (memo_key(producer, "room", "a"), vec![2]),
        (memo_key(key, "room", "a"), vec![0, 1, 2]),
        (memo_key(producer, "match", "a"), vec![1]),
        (memo_key(producer, "room", "ab"), vec![]),
        (memo_key(producer, "room", "a\0\u{ff}"), vec![0]),
    ];
    diary.check(&*store).await;
    diary.write(&*store, 1, &[], LONG).await;
    diary.write(&*store, 3, &memos, LONG).await;
    diary.check(&*store).await;
    let unknown = [memo_key(key, "match", "a"), memo_key(key, "room", "ab"), memo_key(key, "none", "a")];
    assert_eq!(store.recall(unknown.to_vec()).await.unwrap(), [None, None, None]);
    assert_eq!(store.recall(Vec::new()).await.unwrap(), []);
    assert_eq!(store.memos_held(key, "room").count, 1);
    assert_eq!(store.memos_held(key, "none"), Default::default());
}

/// A memo that is written again is the new one, and counts once.
// Mutant: counted again -> fails.
pub async fn a_memo_replaces_the_one_under_its_key(maker: &Maker) {
    let store = maker.store(2).await;
    let mut diary = Diary::default();
    for kind in [MemoKind::Producer, MemoKind::Key] {
        let key = memo_key(kind, "room", "a");
        for round in 0..5 {
            diary.now += 1;
            diary.write(&*store, 2, &[(key.clone(), vec![round % 2])], LONG).await;
            diary.check(&*store).await;
        }
    }
}

/// A batch that conflicts leaves no memo; neither does one that is answered as a duplicate, also when its memo was
/// written anew meanwhile.
// Mutants: memos written before the guards are read; memos of a duplicate written -> fails.
pub async fn a_memo_is_stored_with_its_batch_or_not_at_all(maker: &Maker) {
    let store = maker.store(3).await;
    let mut diary = Diary::from(1);
    let key = memo_key(MemoKind::Producer, "room", "a");
    let first = diary.write(&*store, 2, &[(key.clone(), vec![1])], LONG).await;
    let fresh = memo_key(MemoKind::Key, "room", "b");
    let memo = |key: &MemoKey| Memo { key: key.clone(), value: "wrong".into(), entries: vec![0], keep: LONG };
    let wrong = Batch { id: 1 << 70, memos: vec![memo(&fresh), memo(&key)], ..first.clone() };
    assert_eq!(store.append(wrong).await, Err(AppendError::Conflict));
    assert_eq!(store.recall(vec![fresh.clone()]).await.unwrap(), [None]);
    diary.check(&*store).await;
    let again = Batch { memos: vec![memo(&fresh), memo(&key)], ..first.clone() };
    assert!(matches!(store.append(again).await, Err(AppendError::Duplicate(_))));
    diary.check(&*store).await;
    diary.write(&*store, 1, &[(key, vec![0])], LONG).await;
    assert!(matches!(store.append(first).await, Err(AppendError::Duplicate(_))));
    assert_eq!(store.recall(vec![fresh]).await.unwrap(), [None]);
    diary.check(&*store).await;
}

/// Above the bound those go that were written longest ago; the window says so.
// Mutants: in the order of first writing -> the one written anew goes; the window does not rise -> fails.
pub async fn the_newest_so_many_memos_are_held(maker: &Maker) {
    for kind in [MemoKind::Producer, MemoKind::Key] {
        let store = maker.store(4).await;
        let mut diary = Diary::from(1_000);
        let keep = Keep { most: 10, ms: u64::MAX };
        let key = |number: u32| memo_key(kind, "room", &format!("{number}"));
        for number in 0..30 {
            diary.now += 1;
            diary.write(&*store, 1, &[(key(number), vec![0])], keep).await;
            // Now: a moment later it is there again.
            diary.check(&*store).await;
            diary.write(&*store, 1, &[(key(0), vec![0])], keep).await;
            diary.check(&*store).await;
        }
        diary.later(&*store).await;
        diary.check(&*store).await;
        let held = store.memos_held(kind, "room");
        assert_eq!((held.count, held.since), (10, 1_021), "{kind:?}");
        assert!(diary.knows(&*store, &key(0)).await, "it was written last");
        assert!(diary.knows(&*store, &key(21)).await && !diary.knows(&*store, &key(20)).await);
    }
}

/// By the log's own time, which is that of its last event.
// Mutant: the age not looked at -> all are held.
pub async fn a_memo_is_let_go_of_when_it_is_old(maker: &Maker) {
    for kind in [MemoKind::Producer, MemoKind::Key] {
        let store = maker.store(5).await;
        let mut diary = Diary::from(1_000);
        let keep = Keep { most: u64::MAX, ms: 100 };
        let key = |number: u64| memo_key(kind, "room", &format!("{number}"));
        for number in 0..10 {
            diary.now = 1_000 + number * 10;
            diary.write(&*store, 1, &[(key(number), vec![0]), (key(1_000), vec![0])], keep).await;
        }
        diary.later(&*store).await;
        assert_eq!(store.memos_held(kind, "room").count, 11, "none is older than 100 ms");
        diary.now = 1_145;
        diary.later(&*store).await;
        diary.check(&*store).await;
        let held = store.memos_held(kind, "room");
        assert_eq!((held.count, held.since), (6, 1_040), "{kind:?}");
        diary.now = 5_000;
        diary.later(&*store).await;
        diary.check(&*store).await;
        let held = store.memos_held(kind, "room");
        assert_eq!((held.count, held.since), (0, 1_090), "{kind:?}");
    }
}

/// More that is due than a store may let go of at once is gone some commits later.
// Mutant: `first` of the order raised above what is still there -> some stay for ever.
pub async fn what_is_due_at_once_goes_little_by_little(maker: &Maker) {
    let store = maker.store(6).await;
    let mut diary = Diary::from(1);
    let kinds = [MemoKind::Producer, MemoKind::Key];
    let all = |kind| (0..500).map(move |number| (memo_key(kind, "room", &number.to_string()), vec![0]));
    let all: Vec<_> = kinds.into_iter().flat_map(all).collect();
    diary.write(&*store, 1, &all, LONG).await;
    diary.check(&*store).await;
    for kind in kinds {
        diary.now += 1;
        let keep = Keep { most: 1, ..LONG };
        diary.write(&*store, 1, &[(memo_key(kind, "room", "last"), vec![0])], keep).await;
        diary.check(&*store).await;
    }
    diary.later(&*store).await;
    diary.check(&*store).await;
    assert_eq!(kinds.map(|kind| store.memos_held(kind, "room").count), [1, 1]);
}

/// Written, written anew, pushed out and too old, in any order.
// Mutant: a producer's place in the order not moved when it was written anew -> a seed fails.
pub async fn memos_are_what_the_diary_says(maker: &Maker) {
    for seed in seeds(10 + maker.seeds / 10) {
        let store = maker.store(seed.number()).await;
        let mut rng = seed.rng();
        let mut diary = Diary::from(1_000);
        for _ in 0..60 {
            any(&mut diary, &*store, &mut rng).await;
            diary.check(&*store).await;
        }
    }
}

/// One batch with any memos.
pub async fn any(diary: &mut Diary, store: &dyn Store, rng: &mut Rng) {
    diary.now += rng.u64(..30);
    let count = rng.u32(1..4);
    let keep = Keep { most: rng.u64(1..12), ms: rng.u64(20..400) };
    let mut memos = BTreeMap::new();
    for _ in 0..rng.usize(..6) {
        let kind = if rng.bool() { MemoKind::Producer } else { MemoKind::Key };
        let namespace = if rng.u8(..4) == 0 { "match" } else { "room" };
        let key = memo_key(kind, namespace, &rng.u8(..25).to_string());
        memos.insert(key, (0..rng.u32(..=count)).collect());
    }
    let memos: Vec<_> = memos.into_iter().collect();
    diary.write(store, count, &memos, keep).await;
}

/// Longer than any case lasts.
const LONG: Keep = Keep { most: u64::MAX, ms: u64::MAX };
