//! Limits that hold over every carrier. Those of one form of request are with that form.

use super::Ground;
use crate::carriers::{Ask, Begin, Carrier};

pub async fn a_thousand_channels_pass_and_one_more_is_refused(carrier: &'static dyn Carrier) {
    let ground = Ground::start(carrier).await;
    let names: Vec<_> = (0..1_001).map(|number| format!("disk:{number}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let ask = |names: &[&str]| Ask { by_post: true, ..Ask::new(names, Begin::Now) };
    let refusal = ground.open(ask(&names)).await.refusal().await;
    assert_eq!(refusal.code, "limit");
    assert!(refusal.message.contains("1000"), "{refusal:?}");
    let mut line = ground.open(ask(&names[..1_000])).await;
    line.live().await;
    ground.publish_numbers("disk:999", 1, 1).await;
    assert_eq!(line.event().await.channel, "disk:999");
}

pub async fn last_is_at_most_a_thousand(carrier: &'static dyn Carrier) {
    let ground = Ground::start(carrier).await;
    ground.publish_numbers("disk:a", 1, 1_005).await;
    let refusal = ground.follow(&["disk:a"], Begin::Last(1_001)).await.refusal().await;
    assert_eq!(refusal.code, "limit");
    assert!(refusal.message.contains("1000"), "{refusal:?}");
    let mut line = ground.follow(&["disk:a"], Begin::Last(1_000)).await;
    assert_eq!(line.events(1_000).await[0].seq, 6);
}
