//! Very many channels under one prefix, on disk.

use std::collections::HashSet;

use sosik_core::{
    ChannelName, Draft, LogId, Position,
    limits::{PAGE_EVENTS_MAX, RECORD_READS_MAX},
    record,
    store::{Batch, Entry, Place},
};
use sosik_testkit::Scratch;
use tokio::task::JoinSet;

use super::*;

/// One event in each of the channels, by batches of a thousand.
async fn fill(store: &dyn Store, names: impl Iterator<Item = String>) {
    let entries: Vec<_> = names
        .map(|name| {
            let draft = Draft::json(ChannelName::parse(&name).unwrap(), "1");
            let body = record::encode(&draft, "", 1, false);
            let place = Place::After { seq: 1, prev: Position::START };
            Entry { channel: draft.channel, place, body, kept: true }
        })
        .collect();
    for (id, entries) in entries.chunks(1_000).enumerate() {
        let batch = Batch { id: id as u128, entries: entries.to_vec(), memos: Vec::new() };
        store.append(batch).await.unwrap();
    }
}

// Mutants: a range without a bound on what it looks at -> too much is read for the narrow prefix at once; what others
// want read with it -> fails.
#[tokio::test]
async fn a_prefix_of_a_hundred_thousand_channels_is_read_page_by_page() {
    let scratch = Scratch::new();
    let count = 100_000;
    fill(&scratch.open(), (0..count).map(|i| format!("room:{}:{i}", i % 1_000))).await;
    let rig = Rig::on(&scratch).await;

    let mut reader = rig.read(&["room:*"], Start::Beginning).await;
    let (events, gaps) = drain(&mut reader).await;
    assert_eq!((events.len(), gaps), (count, 0));
    assert!(events.is_sorted_by(|a, b| a.position < b.position));
    let most = count.div_ceil(PAGE_EVENTS_MAX);
    let reads = rig.reads_of(LogId::Disk);
    assert!(reads <= most + 1, "{reads} reads");

    let mut narrow = rig.read(&["room:7:*"], Start::Beginning).await;
    let (events, gaps) = drain(&mut narrow).await;
    let channels: HashSet<_> = events.iter().map(|event| event.channel.clone()).collect();
    assert_eq!((channels.len(), events.len(), gaps), (count / 1_000, count / 1_000, 0));
    let reads = rig.reads_of(LogId::Disk);
    assert!((10..=50).contains(&reads), "{reads} reads");
}

// Mutant: records read without a bound of their own -> all at once, more than a store lets wait.
#[tokio::test]
async fn a_crowd_with_a_channel_each_waits_and_is_let_in() {
    let rig = Rig::dawdling().await;
    let mut readers = JoinSet::new();
    for i in 0..3_000 {
        let node = rig.running.node.clone();
        readers.spawn(async move {
            let set = patterns(&[&format!("room:{i}")]);
            node.read(grant(SPACES), &set, Start::Now, 1).await.map(|reader| reader.len())
        });
    }
    assert!(readers.join_all().await.into_iter().all(|read| read == Ok(1)));
    let most = rig.stores[1].records.1.load(Ordering::Relaxed);
    assert!(most > RECORD_READS_MAX / 2 && most <= RECORD_READS_MAX, "{most} at once");
}
