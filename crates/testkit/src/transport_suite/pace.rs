//! Readers that are slow, gone, or waiting.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use sosik_wire::TransportName;
use tokio::{
    sync::Barrier,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{Ground, begin::seqs};
use crate::carriers::{Ask, Begin, Carrier, Manner, WITHIN};

// Mutant: the rest of a half-written frame lost, or the frame counted as not taken -> torn, or twice.
pub async fn a_reader_that_stops_reading_gets_all_later(carrier: &'static dyn Carrier) {
    let ground = Ground::start(carrier).await;
    let mut slow = ground.open(Ask { narrow: true, ..Ask::new(&["disk:a"], Begin::Now) }).await;
    slow.live().await;
    let mut quick = ground.follow_live(&["disk:a"]).await;
    let publishing = ground.publish_padded("disk:a", 1, 5_000, 400);
    let (_, at_once) = tokio::join!(publishing, quick.events(5_000));
    assert_eq!(seqs(&at_once), (1..=5_000).collect::<Vec<_>>());
    assert_eq!(seqs(&slow.events(5_000).await), (1..=5_000).collect::<Vec<_>>());
}

// Mutant: a sweep that wakes nobody -> hangs.
pub async fn news_wakes_whoever_waits(carrier: &'static dyn Carrier) {
    let ground = Ground::start(carrier).await;
    let turns = Arc::new(Barrier::new(READERS + 1));
    let mut readers = JoinSet::new();
    for _ in 0..READERS {
        let mut line = ground.follow_live(&["disk:a", "mem:a", "mem:p:*"]).await;
        let turns = turns.clone();
        readers.spawn(async move {
            for round in 0..ROUNDS {
                assert_eq!(line.event().await.body, round.to_string().as_bytes());
                turns.wait().await;
            }
        });
    }
    let mut publisher = ground.publisher().await;
    for (round, channel) in
        ["disk:a", "mem:a", "mem:p:1", "disk:a", "mem:p:2"].iter().cycle().take(ROUNDS).enumerate()
    {
        // Time for held requests to be sent again. Without it the test is weaker, not wrong.
        sleep(Duration::from_millis(5)).await;
        publisher.publish(channel, &round.to_string()).await.unwrap();
        timeout(WITHIN, turns.wait()).await.expect("somebody was not woken");
    }
    while let Some(reader) = readers.join_next().await {
        reader.unwrap();
    }
}

pub async fn an_abrupt_close_frees_the_feed(carrier: &'static dyn Carrier) {
    // Mutant: `Open` that counts nothing down -> fails.
    // A TCP client that has gone in order is noticed by the heartbeats that it does not take.
    let ground = Ground::with(carrier, |options| options.settings.heartbeat_ms = 500).await;
    let transport: TransportName = carrier.name().split('.').next().unwrap().parse().unwrap();
    let open = || ground.running.hub.figures.of(transport).open.load(Ordering::Relaxed);
    let until = async |wanted| {
        let wait = async {
            while open() != wanted {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(WITHIN, wait).await.unwrap_or_else(|_| panic!("{} are open, not {wanted}", open()));
    };
    let mut lines = Vec::new();
    for _ in 0..5 {
        let ask = Ask { held_at_once: true, ..Ask::new(&["disk:a"], Begin::Now) };
        let mut line = ground.open(ask).await;
        if carrier.manner() != Manner::OneShot {
            line.live().await;
        }
        lines.push(line);
    }
    if carrier.name() == "long_poll" {
        // They must be written before they can be held.
        for line in &mut lines {
            assert!(timeout(Duration::from_millis(50), line.next()).await.is_err());
        }
    }
    until(if carrier.name() == "poll" { 0 } else { 5 }).await;
    for line in lines.drain(..2) {
        line.cut();
    }
    until(if carrier.name() == "poll" { 0 } else { 3 }).await;
    for line in lines {
        line.leave().await;
    }
    until(0).await;
}

const READERS: usize = 4;
const ROUNDS: usize = 30;
