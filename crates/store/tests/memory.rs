//! The memory engine under the suite of all engines, and what it promises beyond it.
#![allow(clippy::unwrap_used)]

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::Poll,
};

use sosik_core::{
    cursor::{Epoch, Position},
    event::Draft,
    record,
    store::{AppendError, Batch, Change, Followed, Level, Opened, Place, Store},
};
use sosik_store::{
    Memory,
    memory::{BATCHES_HELD_MAX, FORGOTTEN_HELD_MAX, SIGNALS_HELD_MAX},
};
use sosik_testkit::store_suite::{Listener, block_on, channel, entry};

fn dense(seed: u64) -> Arc<dyn Store> {
    Arc::new(Memory::new(Epoch::new(seed)))
}

fn with_holes(seed: u64) -> Arc<dyn Store> {
    let mut rng = fastrand::Rng::with_seed(seed);
    Arc::new(Memory::with_steps(Epoch::new(seed), move || rng.u64(0..9)))
}

mod dense_positions {
    sosik_testkit::store_suite!(super::dense, seeds = 1_000);
}

mod positions_with_holes {
    sosik_testkit::store_suite!(super::with_holes, seeds = 1_000);
}

/// Appends one event as a batch of its own; `First` below `mark`.
async fn append(store: &Memory, id: u128, name: &str, mark: Position, kept: bool) -> Position {
    let name = channel(name);
    let place = match store.channel(&name).await.unwrap() {
        Some(head) => Place::After { seq: head.seq + 1, prev: head.position },
        None => Place::First { prev: mark },
    };
    let batch = Batch::new(id, vec![entry(&name, place, "", kept)]);
    store.append(batch).await.unwrap().placed[0].position
}

#[test]
fn a_long_trim_lets_others_go_between_its_steps() {
    block_on(async {
        let store = Memory::new(Epoch::new(1));
        let name = channel("match:a");
        let mut last = Position::START;
        for batch in 0..20 {
            let entry = |n: u32| {
                let head = Place::First { prev: Position::START };
                let place = if n == 0 { head } else { Place::Behind(n - 1) };
                entry(&name, place, "", true)
            };
            let mut entries: Vec<_> = (0..1_000).map(entry).collect();
            if let Some(head) = store.channel(&name).await.unwrap() {
                entries[0].place = Place::After { seq: head.seq + 1, prev: head.position };
            }
            last = store.append(Batch::new(batch, entries)).await.unwrap().placed[999].position;
        }
        for forgets in [false, true] {
            let mut left = store.figures().kept_events;
            let to = Position::new(if forgets { last.number() } else { last.number() - 5_000 });
            let mut removal: Pin<Box<dyn Future<Output = ()> + '_>> = match forgets {
                false => Box::pin(async { store.trim(&name, to).await.unwrap() }),
                true => Box::pin(async { _ = store.forget(&name).await.unwrap() }),
            };
            let mut steps = if forgets { 1_000 } else { 100 };
            let begun = steps;
            while poll_fn(|cx| Poll::Ready(removal.as_mut().poll(cx))).await.is_pending() {
                let now = store.figures().kept_events;
                assert!(left - now <= 1_000, "{left} to {now} at once");
                assert!(append(&store, steps, "match:b", Position::START, false).await > last);
                (left, steps) = (now, steps + 1);
            }
            assert_eq!(
                (steps > begun + 3, store.figures().kept_events),
                (true, if forgets { 0 } else { 5_000 })
            );
        }
    });
}

// Mutant: the base or the time of the last event not answered -> fails.
#[test]
fn opening_tells_the_epoch_the_head_and_the_last_time() {
    block_on(async {
        let store = Memory::new(Epoch::new(7));
        let fresh = store.open().await.unwrap();
        let (epoch, base, level) = (Epoch::new(7), Position::START, Level::Memory);
        assert_eq!(fresh, Opened { epoch, base, head: Position::START, level, last_time: 0 });
        let name = channel("room:a");
        let mut first = entry(&name, Place::After { seq: 1, prev: Position::START }, "", true);
        first.body = record::encode(&Draft::json(name.clone(), "1"), "", 1_760_000_000_123, false);
        let position = store.append(Batch::new(1, vec![first])).await.unwrap().placed[0].position;
        store.trim(&name, position).await.unwrap();
        let again = store.clone().open().await.unwrap();
        assert_eq!(again, Opened { epoch, base, head: position, level, last_time: 1_760_000_000_123 });
        assert_eq!(store.given(), Some(position));
    });
}

// Mutant: waiting until the head has come there -> the test does not end.
#[test]
fn a_place_above_all_that_was_given_is_behind() {
    block_on(async {
        let store = Memory::new(Epoch::new(1));
        let last = append(&store, 1, "room:a", Position::START, true).await;
        assert_eq!(store.follow(Position::END).next().await, Followed::Behind);
        let mut follow = store.follow(last);
        append(&store, 2, "room:a", Position::START, true).await;
        assert!(matches!(follow.next().await, Followed::News { .. }));
    });
}

// Mutants: notices from before a follower came never told -> events above its place are missing in silence; all of
// them told -> it hears of `room:b`, whose events lie below its place.
#[test]
fn a_late_follower_is_told_why_events_above_its_place_are_missing() {
    block_on(async {
        let store = Memory::new(Epoch::new(1));
        let (own, gone) = (channel("room:a"), channel("match:a"));
        let other = append(&store, 0, "room:b", Position::START, true).await;
        store.trim(&channel("room:b"), other).await.unwrap();
        let below = append(&store, 1, "room:a", Position::START, true).await;
        store.trim(&own, below).await.unwrap();
        let mut late = Listener::new(&store, below, Default::default());
        assert!(!late.glance().await, "what lies below its place is not its business");
        let trimmed = append(&store, 2, "room:a", Position::START, true).await;
        append(&store, 3, "match:a", Position::START, true).await;
        store.trim(&own, trimmed).await.unwrap();
        let mark = store.forget(&gone).await.unwrap();
        let told = [
            Change::Trimmed { channel: own.clone(), to: trimmed, first_seq: trimmed.number() + 1 },
            Change::Forgotten { channel: gone, mark },
        ];
        for mut listener in [late, Listener::new(&store, below, Default::default())] {
            listener.until(mark).await;
            assert_eq!(listener.changes, told);
        }
    });
}

// Mutant: a follower from the head also `Behind` -> opening anew does not help.
#[test]
fn a_follower_too_far_behind_is_told_so_and_may_begin_at_the_head() {
    block_on(async {
        let store = Memory::new(Epoch::new(1));
        let mut behind = store.follow(Position::START);
        let mut mark = Position::START;
        for number in 0..=FORGOTTEN_HELD_MAX {
            append(&store, number as u128, "match:a", mark, true).await;
            mark = store.forget(&channel("match:a")).await.unwrap();
            if number < FORGOTTEN_HELD_MAX {
                continue;
            }
            assert_eq!(behind.next().await, Followed::Behind);
            assert_eq!(store.follow(Position::START).next().await, Followed::Behind);
        }
        let head = store.open().await.unwrap().head;
        let mut follow = store.follow(head);
        let next = append(&store, u128::MAX, "match:b", mark, true).await;
        let Followed::News { changes, head } = follow.next().await else { panic!("behind at the head") };
        assert_eq!((changes.len(), head), (1, next));
    });
}

// Mutant: signals held without a bound -> the first one is told.
#[test]
fn signals_are_held_for_slow_followers_up_to_a_bound() {
    block_on(async {
        let store = Memory::new(Epoch::new(1));
        let mut slow = Listener::new(&store, Position::START, Default::default());
        let mut last = Position::START;
        for number in 0..SIGNALS_HELD_MAX + 10 {
            last = append(&store, number as u128, "typing:a", Position::START, false).await;
        }
        // The mirror of a listener has no rule for signals that are gone: one channel's first heard is accepted.
        slow.until(last).await;
        assert_eq!(slow.events().count(), SIGNALS_HELD_MAX);
        assert_eq!(slow.events().last().map(|event| event.position), Some(last));
    });
}

// Mutant: batches remembered without a bound -> the first one is still `Duplicate`.
#[test]
fn batches_are_remembered_up_to_a_bound() {
    block_on(async {
        let store = Memory::new(Epoch::new(1));
        let place = Place::After { seq: 1, prev: Position::START };
        let first = |id| Batch::new(id, vec![entry(&channel("room:a"), place, "", true)]);
        store.append(first(0)).await.unwrap();
        for number in 1..=BATCHES_HELD_MAX as u128 {
            assert!(matches!(store.append(first(0)).await, Err(AppendError::Duplicate(_))), "{number}");
            append(&store, number, "room:a", Position::START, true).await;
        }
        assert_eq!(store.append(first(0)).await, Err(AppendError::Conflict));
    });
}
