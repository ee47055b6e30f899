//! What was taken away goes from the disk.

use std::time::Duration;

use sosik_core::{
    cursor::Position,
    store::{Batch, Store},
};
use sosik_testkit::store_suite::{block_on, channel};

use crate::kit::{Scratch, next, whole};

// Mutants: nothing written anew; the moment of before held on -> all keep their size.
#[test]
fn a_log_that_is_trimmed_and_then_rests_gives_the_room_back() {
    let scratch = Scratch::new();
    block_on(async {
        let store = scratch.open();
        let data = "x".repeat(EVENT_BYTES);
        for id in 0..EVENTS {
            let name = format!("room:{}", id % CHANNELS);
            let entries = vec![next(&store, &name, Position::START, &data, true).await];
            store.append(Batch::new(id as u128, entries)).await.unwrap();
        }
        let stored = (EVENTS * EVENT_BYTES) as u64;
        wait(|| store.figures().disk_bytes > stored, "the figures know how large it is").await;
        for at in 0..CHANNELS {
            let name = channel(&format!("room:{at}"));
            let last = store.channel(&name).await.unwrap().unwrap().position;
            store.trim(&name, last).await.unwrap();
        }
        // A journal is written to its end before it goes: that much is left, whatever was stored.
        wait(|| store.figures().disk_bytes < JOURNAL_BYTES + stored / 4, "the room is given back").await;
        assert!(whole(&store, "room:0").await.events.is_empty());
    });
}

async fn wait(is_so: impl Fn() -> bool, what: &str) {
    for _ in 0..400 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("not so in time: {what}");
}

const EVENTS: usize = 160;
const EVENT_BYTES: usize = 1 << 20;
const CHANNELS: usize = 4;
const JOURNAL_BYTES: u64 = 72 << 20;
