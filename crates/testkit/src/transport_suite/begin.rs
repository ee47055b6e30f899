//! Where a feed begins.

use super::Ground;
use crate::carriers::{Begin, Carrier};

pub async fn start_begins_with_everything_and_now_with_what_comes(carrier: &'static dyn Carrier) {
    let ground = Ground::start(carrier).await;
    ground.publish_numbers("disk:a", 1, 10).await;
    let mut all = ground.follow(&["disk:a"], Begin::Start).await;
    assert_eq!(seqs(&all.events(10).await), (1..=10).collect::<Vec<_>>());
    let mut news = ground.follow_live(&["disk:a"]).await;
    ground.publish_numbers("disk:a", 11, 12).await;
    assert_eq!(seqs(&news.events(2).await), [11, 12]);
    assert_eq!(seqs(&all.events(2).await), [11, 12]);
}

pub async fn last_begins_with_the_last_of_each_channel(carrier: &'static dyn Carrier) {
    let ground = Ground::start(carrier).await;
    for channel in ["disk:a", "disk:b", "mem:a"] {
        ground.publish_numbers(channel, 1, 10).await;
    }
    let mut line = ground.follow(&["disk:a", "disk:b", "mem:a"], Begin::Last(3)).await;
    let events = line.events(9).await;
    for channel in ["disk:a", "disk:b", "mem:a"] {
        let own: Vec<_> = events.iter().filter(|event| event.channel == channel).cloned().collect();
        assert_eq!(seqs(&own), [8, 9, 10], "{channel}");
    }
    ground.publish_numbers("disk:b", 11, 11).await;
    assert_eq!(seqs(&line.events(1).await), [11]);
}

pub(super) fn seqs(events: &[sosik_lab::checker::Event]) -> Vec<u64> {
    events.iter().map(|event| event.seq).collect()
}
