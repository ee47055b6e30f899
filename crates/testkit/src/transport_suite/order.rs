//! Order over channels, logs and prefixes.

use sosik_lab::checker::Event;

use super::Ground;
use crate::carriers::{Begin, Carrier, Publisher};

pub async fn two_channels_in_both_logs_keep_the_order_of_each_log(carrier: &'static dyn Carrier) {
    let ground = Ground::start(carrier).await;
    let mut line = ground.follow_live(&SET).await;
    publish_mixed(&mut ground.publisher().await, 60).await;
    check(&line.events(60).await, 60);
}

// Mutant: the cursor of a set over both logs without the part of the other one -> repeats or skips.
// Mutant: the cursor of the item before -> repeats one at every place.
pub async fn every_cursor_over_both_logs_goes_on_exactly_behind_it(carrier: &'static dyn Carrier) {
    let ground = Ground::start(carrier).await;
    publish_mixed(&mut ground.publisher().await, 24).await;
    let mut line = ground.follow(&SET, Begin::Start).await;
    let mut before = Vec::new();
    for _ in 0..24 {
        before.push(line.event().await);
        let cursor = line.cursor().expect("an event hands out a cursor").to_owned();
        let mut resumed = ground.follow(&SET, Begin::After(cursor)).await;
        let mut all = before.clone();
        all.extend(resumed.events(24 - before.len()).await);
        check(&all, 24);
        resumed.cut();
    }
}

// Mutant: a new channel that does not become part of the watched prefix -> hangs.
pub async fn a_prefix_follows_channels_that_come_later(carrier: &'static dyn Carrier) {
    let ground = Ground::start(carrier).await;
    let mut publisher = ground.publisher().await;
    publisher.publish("disk:match:1", "1").await.unwrap();
    let mut line = ground.follow(&["disk:match:*", "mem:match:*"], Begin::Start).await;
    assert_eq!(line.event().await.channel, "disk:match:1");
    for (channel, data) in [
        ("disk:matches", "2"),
        ("mem:match:2", "3"),
        ("mem:other", "4"),
        ("disk:match:1", "5"),
        ("disk:match:3:x", "6"),
    ] {
        publisher.publish(channel, data).await.unwrap();
    }
    let mut events = line.events(3).await;
    events.sort_by(|a, b| a.body.cmp(&b.body));
    let seen: Vec<_> = events.iter().map(|event| (event.channel.as_str(), event.seq)).collect();
    assert_eq!(seen, [("mem:match:2", 1), ("disk:match:1", 2), ("disk:match:3:x", 1)]);
}

const SET: [&str; 3] = ["disk:a", "disk:b", "mem:a"];

/// The numbers from 0, each to one of the set.
async fn publish_mixed(publisher: &mut Publisher, count: usize) {
    let mut rng = fastrand::Rng::with_seed(1);
    for number in 0..count {
        publisher.publish(SET[rng.usize(..SET.len())], &number.to_string()).await.unwrap();
    }
}

/// Everything once, the numbers of each log rising, each channel counted without a hole.
fn check(events: &[Event], count: u64) {
    let number = |event: &Event| String::from_utf8_lossy(&event.body).parse::<u64>().unwrap();
    let mut all: Vec<_> = events.iter().map(number).collect();
    for log in ["disk:", "mem:"] {
        let of_log: Vec<_> =
            events.iter().filter(|event| event.channel.starts_with(log)).map(number).collect();
        assert!(of_log.is_sorted(), "{log} {of_log:?}");
    }
    for channel in SET {
        let of_channel = events.iter().filter(|event| event.channel == channel).map(|event| event.seq);
        assert!(of_channel.zip(1..).all(|(seq, wanted)| seq == wanted), "{channel}");
    }
    all.sort_unstable();
    assert_eq!(all, (0..count).collect::<Vec<_>>());
}
