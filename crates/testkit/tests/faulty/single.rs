//! One fault at a time, by script or by a plan of nothing else.

use std::collections::BTreeMap;

use sosik_core::{
    cursor::{Epoch, LogId, Position},
    name::ChannelName,
    record,
    store::{AppendError, Appended, Batch, ChannelHead, Followed, Place, Store, StoreError},
};
use sosik_testkit::{
    faulty::{AppendFault, FOREIGN, FaultPlan, Faulty},
    store_suite::{ALL, Listener, block_on, channel, entry},
};

use crate::{memory, one};

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
