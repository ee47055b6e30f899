//! What a log says after it was closed and opened again.

use std::collections::HashMap;

use sosik_core::{
    cursor::{Epoch, Position},
    event::Draft,
    name::ChannelName,
    record,
    store::{AppendError, Appended, Batch, Change, Followed, Level, Opened, Place, Store},
};
use sosik_store::{
    Disk,
    disk::{BATCHES_HELD_MAX, DiskOptions},
};
use sosik_testkit::store_suite::{ALL, Listener, block_on, channel, entry, space};

use crate::kit::{Scratch, append, next, whole};

// Mutant: the tail written without the time -> fails.
#[test]
fn everything_is_there_again() {
    block_on(async {
        let scratch = Scratch::new();
        let store = Disk::open(scratch.path(), DiskOptions::new(Epoch::new(7))).unwrap();
        let base = Position::START;
        let fresh = Opened { epoch: Epoch::new(7), base, head: base, level: Level::Synced, last_time: 0 };
        assert_eq!(Store::open(&store).await.unwrap(), fresh);
        for id in 0..20 {
            append(&store, id, "room:a").await;
            append(&store, 100 + id, "match:b").await;
        }
        let trimmed = whole(&store, "room:a").await.events[4].position;
        store.trim(&channel("room:a"), trimmed).await.unwrap();
        let mark = store.forget(&channel("match:b")).await.unwrap();
        let name = channel("room:a");
        let signal = next(&store, "typing:a", Position::START, "", false).await;
        store.append(Batch::new(200, vec![signal])).await.unwrap();
        let head = store.channel(&name).await.unwrap().unwrap();
        let mut last = entry(&name, Place::After { seq: head.seq + 1, prev: head.position }, "", true);
        last.body = record::encode(&Draft::json(name.clone(), "1"), "", 1_760_000_000_123, false);
        let position = store.append(Batch::new(201, vec![last])).await.unwrap().placed[0].position;

        let answers = async |store: &Disk| {
            let range = store.range(space("room"), Position::START, Position::END, ALL).await.unwrap();
            let typing = store.channel(&channel("typing:a")).await.unwrap();
            (whole(store, "room:a").await, range, typing, store.namespace("match").await.unwrap())
        };
        let before = answers(&store).await;
        assert_eq!((before.0.events.len(), before.3.forgotten_to), (16, mark));
        drop(store);
        let store = scratch.open();
        assert_eq!(answers(&store).await, before);
        let opened = Opened { head: position, last_time: 1_760_000_000_123, ..fresh };
        assert_eq!(Store::open(&store).await.unwrap(), opened);
        let next = append(&store, 202, "room:a").await;
        assert!(next.position > position && next.seq == head.seq + 2);
    });
}

// Mutant: batches remembered in memory alone -> `Conflict`, and the event would be stored twice by who asks again.
#[test]
fn a_batch_sent_again_after_a_restart_is_stored_once() {
    block_on(async {
        let scratch = Scratch::new();
        let store = scratch.open();
        let batch = |id, count: u32| {
            let place = |i: u32| match i {
                0 => Place::After { seq: 1, prev: Position::START },
                i => Place::Behind(i - 1),
            };
            let name = channel(&format!("room:{id}"));
            let entries = (0..count).map(|i| entry(&name, place(i), "", true)).collect();
            Batch::new(id, entries)
        };
        let mut placed = Vec::new();
        for id in 0..BATCHES_HELD_MAX as u128 + 5 {
            placed.push(store.append(batch(id, id as u32 % 3 + 1)).await.unwrap());
        }
        drop(store);
        let store = scratch.open();
        for id in 5..BATCHES_HELD_MAX as u128 + 5 {
            let again: Result<Appended, _> = store.append(batch(id, id as u32 % 3 + 1)).await;
            assert_eq!(again, Err(AppendError::Duplicate(placed[id as usize].clone())));
        }
        assert_eq!(store.append(batch(4, 2)).await, Err(AppendError::Conflict), "held without a bound");
        assert_eq!(whole(&store, "room:9").await.events.len(), 1);
    });
}

// Mutant: the mark of earlier removals not stored -> the follower passes what is gone in silence.
#[test]
fn a_follower_below_what_an_earlier_run_removed_is_behind() {
    block_on(async {
        let scratch = Scratch::new();
        let store = scratch.open();
        let first = append(&store, 1, "room:a").await.position;
        let second = append(&store, 2, "room:a").await.position;
        let third = append(&store, 3, "room:b").await.position;
        store.trim(&channel("room:a"), second).await.unwrap();
        drop(store);
        let store = scratch.open();
        for after in [Position::START, first] {
            assert_eq!(store.follow(after).next().await, Followed::Behind);
        }
        let mut listener = Listener::new(&store, second, Default::default());
        listener.until(third).await;
        assert_eq!(listener.events().count(), 1);
    });
}

// Opened anew at once, so that the events may still be there.
#[test]
fn what_is_marked_as_gone_stays_gone_while_it_is_taken_away() {
    block_on(async {
        let scratch = Scratch::new();
        let mut store = scratch.open();
        let mut entries = vec![entry(&channel("match:a"), Place::First { prev: Position::START }, "", true)];
        entries.extend((0..999).map(|i| entry(&channel("match:a"), Place::Behind(i), "", true)));
        let mut last = Position::START;
        for id in 0..5 {
            if id > 0 {
                entries[0] = next(&store, "match:a", Position::START, "", true).await;
            }
            last = store.append(Batch::new(id, entries.clone())).await.unwrap().placed[999].position;
        }
        let mark = store.forget(&channel("match:a")).await.unwrap();
        assert_eq!(mark, last);
        for _ in 0..3 {
            drop(store);
            store = scratch.open();
            let range = store.range(space("match"), Position::START, Position::END, ALL).await.unwrap();
            assert_eq!((range.events.len(), range.complete_to), (0, last));
        }
        let again = next(&store, "match:a", mark, "", true).await;
        let placed = store.append(Batch::new(9, vec![again])).await.unwrap().placed[0];
        assert_eq!(placed.seq, placed.position.number());
        let page = whole(&store, "match:a").await;
        assert_eq!((page.events.len(), page.events[0].prev), (1, mark));
        let range = store.range(space("match"), Position::START, Position::END, ALL).await.unwrap();
        assert_eq!(range.events, page.events);
    });
}

// Mutant: events taken away before the mark is written -> a page begins above its mark.
#[test]
fn no_reader_sees_events_taken_away_before_their_mark() {
    block_on(async {
        let scratch = Scratch::new();
        let store = scratch.open();
        for id in 0..60 {
            append(&store, id, "room:a").await;
        }
        let trims = async {
            for event in whole(&store, "room:a").await.events {
                store.trim(&channel("room:a"), event.position).await.unwrap();
            }
        };
        let reads = async {
            loop {
                let page = whole(&store, "room:a").await;
                let Some(first) = page.events.first() else { break };
                assert_eq!((first.prev, first.seq), (page.trimmed_to, page.first_seq));
            }
        };
        tokio::join!(trims, reads);
    });
}

// Mutant: a page that was read before a trim told as it is -> events are told behind their end.
#[test]
fn a_follower_that_reads_the_disk_hears_of_every_removal_before_the_events_around_it() {
    block_on(async {
        let scratch = Scratch::new();
        let store = scratch.open();
        let names: Vec<_> = (0..20).map(|number| format!("match:{number}")).collect();
        for (id, name) in names.iter().enumerate() {
            let mut entries = vec![next(&store, name, Position::START, "", true).await];
            entries.extend((0..199).map(|i| entry(&channel(name), Place::Behind(i), "", true)));
            store.append(Batch::new(id as u128, entries)).await.unwrap();
        }
        let all = store.range(space("match"), Position::START, Position::END, ALL).await.unwrap().events;
        drop(store);
        let store = scratch.open();
        let mut listener = Listener::new(&store, Position::START, Default::default());
        let mut trims = names.iter().rev().map(|name| (channel(name), fastrand::usize(..200)));
        let last = all[all.len() - 1].position;
        while listener.head < last {
            // Begins to read; what happens now is younger than the page.
            listener.glance().await;
            if let Some((name, at)) = trims.next() {
                let page = store.page(&name, Position::START, Position::END, ALL).await.unwrap();
                store.trim(&name, page.events[at].position).await.unwrap();
                if at % 3 == 0 {
                    store.forget(&name).await.unwrap();
                }
            }
            listener.hear().await;
            for event in all.iter().filter(|event| event.position <= listener.head) {
                let known = listener.events().any(|told| told == event)
                    || listener.knows_gone(&event.channel, event.position);
                assert!(known, "the head {:?} passed {event:?} in silence", listener.head);
            }
        }
        let mut ends: HashMap<ChannelName, Position> = HashMap::new();
        for change in &listener.changes {
            match change {
                Change::Event(event) => {
                    assert!(ends.get(&event.channel).is_none_or(|end| event.position > *end))
                }
                Change::Trimmed { channel, to: end, .. } | Change::Forgotten { channel, mark: end } => {
                    ends.insert(channel.clone(), *end);
                }
            }
        }
    });
}
