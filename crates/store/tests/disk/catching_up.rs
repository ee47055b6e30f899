//! Reads of those who are far behind: bounded, and in nobody's way.

use std::{
    pin::pin,
    task::{Context, Waker},
};

use sosik_core::{
    cursor::Position,
    name::Pattern,
    store::{Batch, PageLimit, Place, Scope, Store},
};
use sosik_store::Disk;
use sosik_testkit::store_suite::{ALL, block_on, channel, entry};
use tokio::task::unconstrained;

use crate::kit::Scratch;

/// So many events of `room:a`, and behind them one of `match:7:a`.
async fn filled(scratch: &Scratch, count: u128) -> Disk {
    let store = scratch.open();
    let mut last = (0, Position::START);
    for id in 0..count / 1_000 {
        let place = Place::After { seq: last.0 + 1, prev: last.1 };
        let first = entry(&channel("room:a"), place, "", true);
        let behind = (0..999).map(|i| entry(&channel("room:a"), Place::Behind(i), "", true));
        let batch = Batch::new(id, [first].into_iter().chain(behind).collect());
        let placed = store.append(batch).await.unwrap().placed;
        last = (placed[999].seq, placed[999].position);
    }
    let other = entry(&channel("match:7:a"), Place::After { seq: 1, prev: Position::START }, "", true);
    store.append(Batch::new(count, vec![other])).await.unwrap();
    store
}

fn under(prefix: &str) -> Scope {
    match Pattern::parse(prefix) {
        Ok(Pattern::Prefix(prefix)) => Scope::Prefix(prefix),
        other => panic!("{other:?}"),
    }
}

// Mutants: no bound on the rows that are looked at -> one read; a read that finds nothing claims all of what was asked
// -> the event is passed in silence.
#[test]
fn a_range_that_wants_little_ends_early_and_goes_on() {
    block_on(async {
        let scratch = Scratch::new();
        let store = filled(&scratch, 10_000).await;
        for (scope, wanted) in [(under("match:7:*"), 1), (under("match:8:*"), 0), (under("match:*"), 1)] {
            let (mut place, mut found, mut reads) = (Position::START, 0, 0);
            while place < store.given().unwrap() {
                let page = store.range(scope.clone(), place, Position::END, ALL).await.unwrap();
                assert!(page.complete_to > place, "no way on from {place:?}");
                (place, found, reads) = (page.complete_to, found + page.events.len(), reads + 1);
            }
            assert_eq!((found, reads), (wanted, 3), "{scope:?}");
        }
    });
}

// Mutant: pages read by the threads that read records -> the record comes last.
#[test]
fn a_record_does_not_wait_for_those_who_catch_up() {
    block_on(async {
        let scratch = Scratch::new();
        let store = filled(&scratch, 4_000).await;
        let limit = PageLimit { events: 1_000, bytes: usize::MAX };
        let catch_up = || store.range(Scope::All, Position::START, Position::END, limit);
        let mut waiting: Vec<_> = (0..500).map(|_| catch_up()).collect();
        assert!(store.channel(&channel("room:a")).await.unwrap().is_some());
        let mut context = Context::from_waker(Waker::noop());
        // Without a budget: many that are ready would look as if they were not.
        waiting.retain_mut(|page| pin!(unconstrained(page.as_mut())).poll(&mut context).is_pending());
        assert!(waiting.len() > 250, "{} of 500 pages are still to come", waiting.len());
    });
}
