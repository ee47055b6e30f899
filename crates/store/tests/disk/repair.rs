//! Keeping what can be read of a damaged log, and finding damage by itself.

use std::{collections::BTreeSet, time::Duration};

use fjall::PersistMode;
use sosik_core::{
    cursor::{Epoch, Position},
    store::{Batch, Scope, Store},
};
use sosik_store::{
    Disk,
    disk::{DiskOptions, OpenError, RepairError, repair, verify},
};
use sosik_testkit::store_suite::{ALL, block_on, channel};

use crate::{
    kit::{Scratch, append, next, whole},
    oracle::{Files, Original, STEPS},
    tamper::{table_of, tamper},
};

async fn small() -> (Scratch, Original) {
    let scratch = Scratch::new();
    let store = scratch.open();
    let mut original = Original::new(&store).await;
    for (id, step) in STEPS.into_iter().enumerate() {
        original.step(&store, step, id as u128).await;
    }
    (scratch, original)
}

// Mutant: rows copied whether they are whole or not -> fails.
#[test]
fn a_repair_keeps_what_can_be_read_in_a_new_epoch() {
    block_on(async {
        let (scratch, original) = small().await;
        tamper(&scratch, "events", |key, value| {
            if key.ends_with(&[20]) {
                value[9] ^= 1;
            }
            !key.ends_with(&[11])
        });
        tamper(&scratch, "channels", |_, value| {
            value[9] ^= 1;
            true
        });
        tamper(&scratch, "meta", |key, value| {
            if key == b"identity" || key == b"tail" {
                value[9] ^= 1;
            }
            true
        });
        let error = scratch.try_open().unwrap_err();
        assert!(matches!(error, OpenError::Damaged { .. }) && error.to_string().contains("verify --repair"));
        let repaired = repair(scratch.path(), Epoch::new(77)).unwrap();
        assert!(repaired.events_lost == 2 && repaired.records_rebuilt > 2, "{repaired}");
        assert!(repaired.old.is_dir());
        let report = verify(scratch.path()).unwrap();
        assert!(report.is_whole(), "{report}");
        let store = scratch.open();
        assert_eq!(store.renewed(), None, "it was told by the repair");
        let opened = Store::open(&store).await.unwrap();
        assert_eq!((opened.epoch, opened.base), (Epoch::new(77), repaired.head));
        let range = store.range(Scope::All, Position::START, Position::END, ALL).await.unwrap();
        assert_eq!(range.events.len() as u64, report.events);
        original.only_what_was_written(&range.events);
        let next = append(&store, 99, "room:a").await;
        assert!(next.position > repaired.head);
        assert_eq!(whole(&store, "room:a").await.events.last().unwrap().seq, next.seq);
        assert!(store.channel(&channel("room:b")).await.unwrap().is_some());
    });
}

// Mutants: what is marked as gone counted as kept; bytes of two lives of a name taken from each other -> fails.
#[test]
fn a_repair_counts_nothing_that_is_on_its_way_out() {
    block_on(async {
        let scratch = Scratch::new();
        let store = scratch.open();
        for id in 0..4 {
            append(&store, id, "room:a").await;
            let old = next(&store, "shot:a", Position::START, &"x".repeat(500), true).await;
            store.append(Batch::new(100 + id, vec![old])).await.unwrap();
        }
        drop(store);
        let events: Vec<_> = {
            let (_database, table) = table_of(&scratch, "events");
            let rows = table.iter().map(|row| row.into_inner().unwrap());
            rows.filter(|(key, _)| [3, 4, 6].iter().any(|at| key.ends_with(&[0, 0, 0, *at]))).collect()
        };
        let store = scratch.open();
        store.trim(&channel("room:a"), Position::new(3)).await.unwrap();
        let mark = store.forget(&channel("shot:a")).await.unwrap();
        let again = next(&store, "shot:a", mark, "y", true).await;
        store.append(Batch::new(200, vec![again])).await.unwrap();
        let told = async |store: &Disk| {
            let [room, shot] = [channel("room:a"), channel("shot:a")];
            let figures = store.figures();
            let heads = [store.channel(&room).await.unwrap(), store.channel(&shot).await.unwrap()];
            (heads, figures.kept_events, figures.kept_bytes)
        };
        let before = told(&store).await;
        drop(store);
        // As a crash leaves it before they are taken away, but for the first ones.
        {
            let (database, table) = table_of(&scratch, "events");
            events.iter().for_each(|(key, value)| table.insert(key.clone(), value.clone()).unwrap());
            database.persist(PersistMode::SyncAll).unwrap();
        }
        {
            let (database, table) = table_of(&scratch, "meta");
            for (name, to) in [("room:a", 3_u64), ("shot:a", mark.number())] {
                let key = [&[2], name.as_bytes(), &[0], &to.to_be_bytes()].concat();
                table.insert(key, b"").unwrap();
            }
            database.persist(PersistMode::SyncAll).unwrap();
        }
        // What is whole is not repaired; this row is made anew from nothing of it.
        tamper(&scratch, "meta", |key, value| {
            if key == b"identity" {
                value[9] ^= 1;
            }
            true
        });
        repair(scratch.path(), Epoch::new(9)).unwrap();
        let store = scratch.open();
        assert_eq!(told(&store).await, before);
    });
}

// Mutant: what it finds not counted -> never ends.
#[test]
fn the_scrub_finds_damage_by_itself() {
    block_on(async {
        let (scratch, _) = small().await;
        tamper(&scratch, "events", |key, value| {
            if key.ends_with(&[20]) {
                value[9] ^= 1;
            }
            true
        });
        let mut options = DiskOptions::new(Epoch::new(1));
        options.scrub_pause = Duration::from_millis(1);
        let store = Disk::open(scratch.path(), options).unwrap();
        while store.figures().damaged == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(store.figures().damaged, 1);
        assert!(store.figures().scrubbed_bytes > 0);
    });
}

#[test]
fn only_a_log_that_is_closed_is_repaired() {
    let scratch = Scratch::new();
    repair(scratch.path(), Epoch::new(1)).unwrap_err();
    assert!(!scratch.path().exists(), "something was made");
    let _store = scratch.open();
    let refused = repair(scratch.path(), Epoch::new(1));
    assert!(matches!(refused, Err(RepairError::Open(OpenError::InUse(_)))));
}

// Mutants: repaired all the same -> another epoch; refused after the new tables were begun -> they are found.
#[test]
fn a_log_that_is_whole_is_not_repaired_and_nothing_is_touched() {
    block_on(async {
        let (scratch, _) = small().await;
        // The engine tidies up after itself at each start, whatever for.
        verify(scratch.path()).unwrap();
        let before = Files::read(scratch.path());
        let error = repair(scratch.path(), Epoch::new(77)).unwrap_err();
        assert!(matches!(&error, RepairError::Whole { found, .. } if found.is_whole()), "{error}");
        assert!(error.to_string().contains("nothing was changed"), "{error}");
        let after = Files::read(scratch.path());
        let names: BTreeSet<_> = before.0.keys().chain(after.0.keys()).collect();
        let changed: Vec<_> =
            names.into_iter().filter(|name| before.0.get(*name) != after.0.get(*name)).collect();
        assert!(changed.is_empty(), "{changed:?}");
        let store = scratch.open();
        assert_eq!(store.renewed(), None);
        assert_ne!(Store::open(&store).await.unwrap().epoch, Epoch::new(77));
    });
}

// Mutant: the end not looked at -> refused as whole, though the next start would begin a new epoch.
#[test]
fn what_a_start_takes_for_a_hole_is_not_called_whole() {
    block_on(async {
        let (scratch, _) = small().await;
        tamper(&scratch, "meta", |key, _| key.first() != Some(&1));
        let report = verify(scratch.path()).unwrap();
        assert!(!report.is_whole(), "{report}");
        repair(scratch.path(), Epoch::new(77)).unwrap();
        assert!(verify(scratch.path()).unwrap().is_whole());
    });
}
