//! How far back a follower can be and still be told what was taken away.

use sosik_core::{
    cursor::Position,
    store::{Batch, Change, Follow, Followed, Place, Store},
};
use sosik_store::disk::TRIMMED_HELD_MAX;
use sosik_testkit::store_suite::{block_on, channel, entry};
use tokio::task::JoinSet;

use crate::kit::Scratch;

// Mutants: none dropped -> the second follower is told; the mark of what was dropped not kept -> it is told of all but one.
#[test]
fn followers_are_told_of_so_many_trimmed_channels_and_of_one_more_that_they_are_behind() {
    let scratch = Scratch::new();
    block_on(async {
        let store = scratch.open();
        let channels: Vec<_> = (0..=TRIMMED_HELD_MAX).map(|at| channel(&format!("room:{at}"))).collect();
        let first = Place::First { prev: Position::START };
        let mut places = Vec::with_capacity(channels.len());
        for (id, some) in channels.chunks(1_000).enumerate() {
            let entries = some.iter().map(|name| entry(name, first, "", true)).collect();
            places.extend(store.append(Batch::new(id as u128, entries)).await.unwrap().placed);
        }
        let (oldest, last) = (places[0].position, places[places.len() - 1].position);
        let mut early = store.follow(Position::START);
        store.trim(&channels[0], oldest).await.unwrap();
        let mut trimmed = 1;
        for (some, placed) in channels[1..].chunks(500).zip(places[1..].chunks(500)) {
            if trimmed + some.len() > TRIMMED_HELD_MAX {
                // As many as are held, nearly: nobody is behind.
                assert_eq!(told(&mut *early, last).await, Some(trimmed));
            }
            trimmed += some.len();
            let mut trims = JoinSet::new();
            for (name, placed) in some.iter().zip(placed) {
                let (store, name, to) = (store.clone(), name.clone(), placed.position);
                trims.spawn(async move { store.trim(&name, to).await.unwrap() });
            }
            trims.join_all().await;
        }
        assert_eq!(
            told(&mut *store.follow(Position::START), last).await,
            None,
            "the oldest is no longer held"
        );
        assert_eq!(told(&mut *store.follow(oldest), last).await, Some(TRIMMED_HELD_MAX));
    });
}

/// How many trimmed channels it is told of until the head is at `last`; `None` if it is behind.
async fn told(follow: &mut dyn Follow, last: Position) -> Option<usize> {
    let mut count = 0;
    loop {
        match follow.next().await {
            Followed::News { changes, head } => {
                count += changes.iter().filter(|change| matches!(change, Change::Trimmed { .. })).count();
                if head >= last {
                    return Some(count);
                }
            }
            Followed::Behind => return None,
            other => panic!("{other:?} after {count}"),
        }
    }
}
