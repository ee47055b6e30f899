//! Rows that are not what was written: told in their place, never served and never passed over.

use fjall::PersistMode;
use sosik_core::{
    cursor::{Epoch, LogId, Position},
    record,
    store::{AppendError, Batch, Scope, Store, StoreError, Stored},
};
use sosik_testkit::store_suite::{ALL, Listener, block_on, channel, space};

use crate::{
    kit::{Scratch, append, next, whole},
    tamper::{rows, table_of, tamper},
};

async fn five() -> (Scratch, Vec<Stored>) {
    let scratch = Scratch::new();
    let store = scratch.open();
    for id in 0..5 {
        append(&store, id, "room:a").await;
    }
    let events = whole(&store, "room:a").await.events;
    (scratch, events)
}

fn is_third(key: &[u8]) -> bool {
    key.ends_with(&[0, 0, 0, 0, 0, 0, 0, 3])
}

/// The third event of `found` is in its place and cannot be read as a record; the others are as they were.
fn check(found: &[Stored], all: &[Stored]) {
    assert_eq!(found.len(), 5);
    for (found, written) in found.iter().zip(all) {
        if written.seq != 3 {
            assert_eq!(found, written);
            continue;
        }
        let place = (found.position, found.seq, found.prev);
        assert_eq!(place, (written.position, written.seq, written.prev));
        assert!(record::decode(LogId::Disk, Epoch::new(1), found).is_err());
    }
}

// Mutants: the checksum not compared -> a wrong number is served; damaged events left out of the page -> four.
#[test]
fn a_flipped_byte_of_an_event_is_told_in_its_place() {
    block_on(async {
        let (scratch, all) = five().await;
        let bytes = all[2].body.len() + 29;
        for at in (0..bytes).step_by(5) {
            let flip = |key: &[u8], value: &mut Vec<u8>| {
                if is_third(key) {
                    value[at] ^= 0x40;
                }
                true
            };
            tamper(&scratch, "events", flip);
            let store = scratch.open();
            check(&whole(&store, "room:a").await.events, &all);
            let range = store.range(space("room"), Position::START, Position::END, ALL).await.unwrap();
            check(&range.events, &all);
            drop(store);
            tamper(&scratch, "events", flip);
        }
        assert_eq!(whole(&scratch.open(), "room:a").await.events, all);
    });
}

#[test]
fn the_bytes_kept_are_right_when_the_first_event_left_is_damaged() {
    block_on(async {
        for damaged in [3, 5] {
            let (scratch, all) = five().await;
            tamper(&scratch, "events", |key, value| {
                let [.., position] = *key else { return true };
                if position >= 3 && position <= damaged {
                    value[30] ^= 1;
                }
                true
            });
            let store = scratch.open();
            store.trim(&channel("room:a"), all[1].position).await.unwrap();
            let head = store.channel(&channel("room:a")).await.unwrap().unwrap();
            let bytes: u64 = all[2..].iter().map(|event| event.body.len() as u64).sum();
            assert_eq!((head.first_seq, head.bytes, store.figures().kept_bytes), (3, bytes, bytes));
        }
    });
}

// Mutant: rows of the order without an event skipped -> four.
#[test]
fn an_event_that_is_missing_is_told_in_its_place() {
    block_on(async {
        let (scratch, all) = five().await;
        tamper(&scratch, "events", |key, _| !is_third(key));
        let store = scratch.open();
        let range = store.range(space("room"), Position::START, Position::END, ALL).await.unwrap();
        check(&range.events, &all);
    });
}

#[test]
fn a_damaged_order_is_read_from_the_events_of_its_channels() {
    block_on(async {
        for at in [None, Some(3)] {
            let (scratch, all) = five().await;
            append(&scratch.open(), 8, "room:b").await;
            tamper(&scratch, "order", |key, value| {
                if is_third(key) {
                    value[7] ^= 1;
                }
                true
            });
            tamper(&scratch, "events", |key, _| at.is_none() || !is_third(key));
            let store = scratch.open();
            assert_eq!(store.renewed(), None);
            let range = store.range(Scope::All, Position::START, Position::END, ALL).await.unwrap();
            let mut listener = Listener::new(&store, Position::START, Default::default());
            listener.until(range.events[5].position).await;
            let told: Vec<_> = listener.events().cloned().collect();
            assert_eq!(told, range.events);
            if at.is_none() {
                assert_eq!(range.events[..5], all);
            } else {
                check(&range.events[..5], &all);
                check(&whole(&store, "room:a").await.events, &all);
            }
        }
    });
}

// Mutant: the place that an event names as the one before, and the record's, not looked for -> passed in silence.
#[test]
fn an_event_that_is_missing_in_its_channel_is_told_in_its_place() {
    block_on(async {
        for lost in [0b00100, 0b00001, 0b10000, 0b11000, 0b11111] {
            let (scratch, all) = five().await;
            append(&scratch.open(), 8, "room:b").await;
            let is_lost =
                |key: &[u8]| key.starts_with(b"room:a") && lost >> (key[key.len() - 1] - 1) & 1 == 1;
            tamper(&scratch, "events", |key, _| !is_lost(key));
            let store = scratch.open();
            let name = channel("room:a");
            let page = whole(&store, "room:a").await.events;
            let mut before = store.before(&name, Position::END, ALL).await.unwrap().events;
            before.reverse();
            let last_lost = |at: usize| lost >> at & 1 == 1 && (at == 4 || lost >> (at + 1) & 1 == 0);
            let told: Vec<_> = (0..5).filter(|&at| lost >> at & 1 == 0 || last_lost(at)).collect();
            for found in [page, before] {
                let places: Vec<_> = found.iter().map(|event| (event.position, event.seq)).collect();
                let expected = told.iter().map(|&at| (all[at].position, all[at].seq));
                assert_eq!(places, expected.collect::<Vec<_>>(), "{lost:#b}");
                for (found, at) in found.iter().zip(&told) {
                    assert!(last_lost(*at) && found.body.is_empty() || *found == all[*at], "{found:?}");
                }
            }
        }
    });
}

#[test]
fn a_damaged_record_is_made_anew_from_the_events_of_its_channel() {
    block_on(async {
        let (scratch, all) = five().await;
        let store = scratch.open();
        let name = channel("room:a");
        store.trim(&name, all[1].position).await.unwrap();
        let head = store.channel(&name).await.unwrap();
        drop(store);
        tamper(&scratch, "channels", |_, value| {
            value[9] ^= 1;
            true
        });
        let store = scratch.open();
        assert_eq!(store.channel(&name).await.unwrap(), head);
        assert_eq!(store.namespace("room").await.unwrap().channels, [(name, head.unwrap())]);
        assert_eq!(whole(&store, "room:a").await.events, all[2..]);
        assert_eq!(append(&store, 9, "room:a").await.seq, 6);
        assert_eq!(whole(&store, "room:a").await.events[..3], all[2..]);
    });
}

#[test]
fn a_damaged_record_without_events_is_an_error_that_says_what_to_do() {
    block_on(async {
        let (scratch, all) = five().await;
        let store = scratch.open();
        store.trim(&channel("room:a"), all[4].position).await.unwrap();
        append(&store, 9, "room:b").await;
        drop(store);
        tamper(&scratch, "channels", |key, value| {
            if key.ends_with(b"room:a") {
                value[9] ^= 1;
            }
            true
        });
        let store = scratch.open();
        let error = store.channel(&channel("room:a")).await.unwrap_err();
        let says = |why: &str| why.contains("room:a") && why.contains("verify --repair");
        assert!(matches!(&error, StoreError::Failed(why) if says(why)), "{error}");
        assert!(store.namespace("room").await.is_err());
        append(&store, 10, "room:b").await;
    });
}

// Mutants, each planted and seen to fail: the batch answered `Failed`; the first channel that cannot be read named alone.
#[test]
fn a_batch_into_damaged_records_names_them_and_the_rest_is_stored() {
    block_on(async {
        let (scratch, all) = five().await;
        let store = scratch.open();
        let lost = append(&store, 9, "room:lost").await;
        store.trim(&channel("room:lost"), lost.position).await.unwrap();
        store.trim(&channel("room:a"), all[4].position).await.unwrap();
        append(&store, 10, "room:b").await;
        let mut entries = Vec::new();
        for name in ["room:b", "room:a", "room:lost"] {
            entries.push(next(&store, name, Position::START, "", true).await);
        }
        drop(store);
        tamper(&scratch, "channels", |key, value| {
            if key.ends_with(b"room:a") || key.ends_with(b"room:lost") {
                value[9] ^= 1;
            }
            true
        });
        let store = scratch.open();
        let damaged = [channel("room:a"), channel("room:lost")];
        let answer = store.append(Batch::new(11, entries.clone())).await;
        assert_eq!(answer, Err(AppendError::Unreadable(damaged.into())));
        assert!(!store.figures().failed);
        assert_eq!(whole(&store, "room:b").await.events.len(), 1);
        store.append(Batch::new(12, entries[..1].to_vec())).await.unwrap();
        assert_eq!(whole(&store, "room:b").await.events.len(), 2);
    });
}

// Mutants: a record that does not know where its life began -> the rows of the earlier one are read again; the list of
// removals not read at the start -> they stay on the disk for ever.
#[test]
fn events_of_an_earlier_life_that_a_crash_has_left_are_not_read() {
    block_on(async {
        let (scratch, all) = five().await;
        let (events, order) = (rows(&scratch, "events"), rows(&scratch, "order"));
        let store = scratch.open();
        let mark = store.forget(&channel("room:a")).await.unwrap();
        let again = next(&store, "room:a", mark, "", true).await;
        let last = store.append(Batch::new(9, vec![again])).await.unwrap().placed[0].position;
        drop(store);
        for (table, left) in [("events", events), ("order", order)] {
            let (database, table) = table_of(&scratch, table);
            left.into_iter().for_each(|(key, value)| table.insert(key, value).unwrap());
            database.persist(PersistMode::SyncAll).unwrap();
        }
        let store = scratch.open();
        let page = whole(&store, "room:a").await;
        assert_eq!((page.events.len(), page.events[0].position, page.events[0].prev), (1, last, mark));
        assert_eq!(all.len(), 5);
        let range = store.range(space("room"), Position::START, Position::END, ALL).await.unwrap();
        assert_eq!(range.events, page.events);
        assert_eq!(store.before(&channel("room:a"), Position::END, ALL).await.unwrap().events, page.events);
        drop(store);
        let (database, meta) = table_of(&scratch, "meta");
        let listed = [&[2], "room:a".as_bytes(), &[0], &mark.number().to_be_bytes()].concat();
        meta.insert(listed, []).unwrap();
        database.persist(PersistMode::SyncAll).unwrap();
        drop((database, meta));
        append(&scratch.open(), 10, "room:a").await;
        assert_eq!(rows(&scratch, "events").len(), 2, "what was left is not taken away");
        assert_eq!(rows(&scratch, "order").len(), 2);
    });
}

// Mutant: opened as it is -> the next event is written over one that was acknowledged.
#[test]
fn a_log_that_has_lost_its_end_begins_a_new_epoch_behind_what_is_there() {
    block_on(async {
        let (scratch, _) = five().await;
        let meta = rows(&scratch, "meta");
        let epoch = Store::open(&scratch.open()).await.unwrap().epoch;
        let last = append(&scratch.open(), 9, "room:a").await;
        tamper(&scratch, "meta", |key, value| {
            if let Some((_, old)) = meta.iter().find(|(own, _)| own == key) {
                value.clone_from(old);
            }
            true
        });
        let store = scratch.open();
        let renewed = store.renewed().unwrap();
        assert!(renewed.why.contains("was its last") && renewed.base == last.position, "{renewed}");
        assert_ne!(Store::open(&store).await.unwrap().epoch, epoch);
        assert_eq!(append(&store, 10, "room:a").await.seq, last.seq + 1);
        drop(store);
        assert_eq!(scratch.open().renewed(), None, "renewed twice");
    });
}
