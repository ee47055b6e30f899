//! The real binary, `sosik serve --data DIR`, under what a machine does to it: `kill -9`, a disk that fails, is slow or
//! full, directories that are not what they should be. Everything is seen from outside, by raw bytes and `strace`.
//!
//! A run of the whole workspace builds the binary first; for this package alone, `cargo build -p sosik-cli` does.

#![allow(clippy::unwrap_used)]

mod backups;
mod burst;
mod crowd;
mod directories;
mod follower;
mod full;
mod judge;
mod kill;
mod once;
mod storage;
mod syncs;
mod up;

use std::{collections::VecDeque, future::Future};

use serde_json::Value;
use sosik_testkit::carriers::{Ask, Begin, Carrier, Line, Place, http::Client};
use sosik_tests::sosik::Sosik;

/// Runs a case on two workers; how long it may take is the test runner's.
fn block_on<T>(case: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.unwrap().block_on(case)
}

/// A reader of channels from their start.
async fn follow(server: &Sosik, carrier: &'static dyn Carrier, channels: &[&str]) -> Line {
    let ask = Ask::new(channels, Begin::Start);
    Line::open(carrier, &up::place(server), ask, fastrand::u64(..)).await.unwrap()
}

/// All events that `GET /v1/history` answers of a channel, page by page back from its end.
async fn past(place: &Place, channel: &str) -> Vec<(u64, String)> {
    let (mut client, mut events) = (Client::connect(place.http).await, VecDeque::new());
    let mut target = format!("/v1/history?channel={channel}&limit=256");
    loop {
        let answered = client.get(&target).await;
        assert_eq!(answered.status(), 200, "{target}: {:?}", answered.refusal());
        let page = answered.json();
        let frames = page["frames"].as_array().unwrap().iter();
        for frame in frames.rev().filter(|frame| frame["type"] != "gap") {
            events.push_front((frame["seq"].as_u64().unwrap(), frame["data"].to_string()));
        }
        if page["more"] != Value::Bool(true) {
            return events.into();
        }
        let before = page["cursor"].as_str().unwrap();
        target = format!("/v1/history?channel={channel}&before={before}&limit=256");
    }
}
