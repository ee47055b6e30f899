//! Blocks of the engine's files that cannot be read: what lies before and behind them is there, and nothing is passed over.

use std::fs;

use sosik_core::{
    cursor::Position,
    store::{Batch, Place, Scope, Store, StoreError},
};
use sosik_store::Disk;
use sosik_testkit::store_suite::{ALL, block_on, channel, entry};

use crate::{
    flips::flush,
    kit::{Scratch, append, next, options, whole},
    tamper::{flip, table_of},
};

// Mutant: a row of the order that cannot be read taken for one that is there -> an event is told as lost that never was.
#[test]
fn a_signal_is_not_told_as_lost_where_a_filter_of_the_order_is_damaged() {
    block_on(async {
        let scratch = Scratch::new();
        for id in 0..2 {
            let store = scratch.open();
            let signal = next(&store, "typing:a", Position::START, "", false).await;
            store.append(Batch::new(id, vec![signal])).await.unwrap();
            append(&store, id + 2, "room:a").await;
            drop(store);
            flush(&scratch);
        }
        let mut read = 0;
        for file in fs::read_dir(scratch.path().join("tables/keyspaces/2/tables")).unwrap() {
            let file = file.unwrap().path();
            let bytes = fs::read(&file).unwrap();
            let mut flipped = bytes.clone();
            // What is known of a table stands in a block behind its filter and one byte.
            let known = bytes.windows(5).rposition(|found| found == b"LSM\x03\x03").unwrap();
            flipped[known - 2] ^= 1;
            fs::write(&file, flipped).unwrap();
            if let Ok(store) = Disk::open(scratch.path(), options()) {
                assert_eq!(whole(&store, "typing:a").await.events, []);
                read += 1;
            }
            fs::write(file, bytes).unwrap();
        }
        assert!(read > 0, "all filters are read at the start");
    });
}

// Mutants, each planted and seen to fail: what comes before it not answered; passed over in silence.
#[test]
fn an_order_that_cannot_be_read_is_read_up_to_there_and_behind() {
    block_on(async {
        let scratch = Scratch::new();
        let store = scratch.open();
        for id in 0..20 {
            let mut entries = vec![next(&store, "room:a", Position::START, "1", true).await];
            let name = channel("room:a");
            entries.extend((0..499).map(|at| entry(&name, Place::Behind(at), "1", true)));
            store.append(Batch::new(id, entries)).await.unwrap();
        }
        let all = all_places(&store, Position::START).await.0;
        assert_eq!(all.len(), 10_000);
        drop(store);
        {
            let (_database, table) = table_of(&scratch, "order");
            table.rotate_memtable_and_wait().unwrap();
        }
        // The second table that is made, and its only file.
        let directory = scratch.path().join("tables/keyspaces/2/tables");
        let file = fs::read_dir(directory).unwrap().next().unwrap().unwrap().path();
        let mut bytes = fs::read(&file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&file, bytes).unwrap();
        let store = scratch.open();
        let (below, error) = all_places(&store, Position::START).await;
        assert!(!below.is_empty() && below.len() < all.len() && all.starts_with(&below), "{}", below.len());
        assert!(matches!(error, Some(StoreError::Failed(_))), "{error:?}");
        let last = all_places(&store, all[below.len() - 10]).await.0;
        assert_eq!(last, below[below.len() - 9..], "the same wherever a page begins");
        let behind = all_places(&store, all[all.len() - 1_000]).await;
        assert_eq!(behind, (all[all.len() - 999..].to_vec(), None));
    });
}

/// The places of all events above `after`, in pages, and what ended that.
async fn all_places(store: &impl Store, mut after: Position) -> (Vec<Position>, Option<StoreError>) {
    let (mut all, head) = (Vec::new(), store.given().unwrap());
    while after < head {
        match store.range(Scope::All, after, head, ALL).await {
            Ok(page) => {
                all.extend(page.events.iter().map(|event| event.position));
                after = page.complete_to;
            }
            Err(error) => return (all, Some(error)),
        }
    }
    (all, None)
}

// Mutant: an end taken for written without a commit -> the next start misses that commit, and begins a new epoch.
#[test]
fn events_that_cannot_be_taken_away_leave_the_end_of_the_log_where_it_is() {
    block_on(async {
        let scratch = Scratch::new();
        let store = scratch.open();
        let mut random = fastrand::Rng::with_seed(1);
        let bodies: Vec<String> =
            (0..5).map(|_| (0..20_000).map(|_| random.alphanumeric()).collect()).collect();
        for (id, body) in bodies.iter().enumerate() {
            let entries = vec![next(&store, "room:a", Position::START, body, true).await];
            store.append(Batch::new(id as u128, entries)).await.unwrap();
        }
        // More than a start looks at.
        let others = (0..1_001).map(|at| {
            let place = if at == 0 { Place::First { prev: Position::START } } else { Place::Behind(at - 1) };
            entry(&channel("room:b"), place, "1", true)
        });
        store.append(Batch::new(9, others.collect())).await.unwrap();
        drop(store);
        {
            let (_database, table) = table_of(&scratch, "events");
            table.rotate_memtable_and_wait().unwrap();
        }
        assert_eq!(flip(&scratch.path().join("tables/keyspaces"), &bodies[0].as_bytes()[9_000..9_008]), 1);
        let store = scratch.open();
        store.trim(&channel("room:a"), Position::new(3)).await.unwrap();
        let last = append(&store, 10, "room:b").await;
        drop(store);
        let store = scratch.open();
        assert_eq!(store.renewed(), None);
        assert_eq!(whole(&store, "room:b").await.events.last().unwrap().position, last.position);
        assert_eq!(whole(&store, "room:a").await.events.len(), 2);
    });
}
