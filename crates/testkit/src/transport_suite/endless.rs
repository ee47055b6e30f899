//! What the connections that stay open say beside events.

use sosik_lab::checker::{CursorFrom, Observed};

use super::Ground;
use crate::carriers::{Begin, Carrier, Manner, News};

// Mutant: a welcome without the cursor of the feed -> fails.
pub async fn the_welcome_comes_first_and_its_feed_has_a_cursor_before_any_event(
    carrier: &'static dyn Carrier,
) {
    let ground = Ground::start(carrier).await;
    ground.publish_numbers("disk:a", 1, 3).await;
    ground.publish_numbers("disk:other", 1, 3).await;
    for begin in [Begin::Now, Begin::Start] {
        let first = if begin == Begin::Start { 1 } else { ground_seq(&ground).await + 1 };
        let mut line = ground.follow(&["disk:a", "mem:a"], begin).await;
        let cursor = match (carrier.manner(), line.next().await) {
            (Manner::Endless, News::Seen(Observed::Cursor { from: CursorFrom::Welcome, cursor })) => cursor,
            (Manner::TwoWay, News::Seen(Observed::Other { kind, frame })) if kind == "welcome" => {
                assert!(frame.contains("\"heartbeat_ms\":25000") && !frame.contains("\"cursor\""), "{frame}");
                match line.next().await {
                    News::Seen(Observed::Cursor { from: CursorFrom::Subscribed, cursor }) => cursor,
                    other => panic!("{other:?} after the welcome"),
                }
            }
            (_, other) => panic!("{other:?} came first"),
        };
        line.cut();
        ground.publish_numbers("disk:a", 1, 1).await;
        let mut line = ground.follow(&["disk:a", "mem:a"], Begin::After(cursor)).await;
        assert_eq!(line.event().await.seq, first);
    }
}

async fn ground_seq(ground: &Ground) -> u64 {
    let page = ground.client().await.get("/v1/history?channel=disk:a&limit=1").await.json();
    page["frames"][0]["seq"].as_u64().unwrap()
}

// Mutant: `caught_up` said whenever nothing follows -> fails.
pub async fn caught_up_is_said_once(carrier: &'static dyn Carrier) {
    let ground = Ground::with(carrier, |options| options.settings.heartbeat_ms = 400).await;
    ground.publish_numbers("disk:a", 1, 300).await;
    let mut line = ground.follow(&["disk:a", "mem:a"], Begin::Start).await;
    let (mut before, mut said, mut after) = (0, 0, 0);
    loop {
        match line.next().await {
            News::Seen(Observed::Event(_)) if said == 0 => before += 1,
            News::Seen(Observed::Event(_)) => after += 1,
            News::Seen(Observed::Cursor { from: CursorFrom::CaughtUp, .. }) => {
                said += 1;
                ground.publish_numbers("disk:a", 301, 303).await;
                ground.publish_numbers("mem:a", 1, 3).await;
            }
            News::Seen(Observed::Other { kind, .. }) if kind == "heartbeat" && after == 6 => break,
            News::Seen(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((before, said, after), (300, 1, 6));
}

// Mutant: no heartbeat -> hangs.
pub async fn silence_is_broken_by_heartbeats(carrier: &'static dyn Carrier) {
    let ground = Ground::with(carrier, |options| options.settings.heartbeat_ms = 300).await;
    let mut line = ground.follow_live(&["disk:a"]).await;
    for _ in 0..3 {
        match line.next().await {
            News::Seen(Observed::Other { kind, .. }) if kind == "heartbeat" => {}
            other => panic!("{other:?} in the silence"),
        }
    }
    ground.publish_numbers("disk:a", 1, 1).await;
    assert_eq!(line.event().await.seq, 1);
}

// Mutant: a feed that does not look at the drain -> hangs.
pub async fn a_server_that_stops_says_drain(carrier: &'static dyn Carrier) {
    let ground = Ground::start(carrier).await;
    let mut line = ground.follow_live(&["disk:a"]).await;
    ground.publish_numbers("disk:a", 1, 1).await;
    line.event().await;
    let Ground { running, .. } = ground;
    let ended = async {
        let goodbye = line.frame("goodbye").await;
        assert_eq!((goodbye["code"].as_u64(), goodbye["name"].as_str()), (Some(4101), Some("drain")));
        assert_eq!((goodbye["retry"].as_bool(), goodbye["spread_ms"].as_u64()), (Some(true), Some(5_000)));
        let mut closes = Vec::new();
        loop {
            match line.next().await {
                News::Seen(Observed::Other { kind, .. }) => closes.push(kind),
                News::Ended => break,
                other => panic!("{other:?} after the goodbye"),
            }
        }
        let closes: Vec<_> = closes.iter().map(String::as_str).collect();
        match carrier.name().starts_with("websocket") {
            true => assert_eq!(closes, ["websocket close 4101"]),
            false => assert!(closes.is_empty(), "{closes:?}"),
        }
        drop(line);
    };
    let (cut, ()) = tokio::join!(running.stop(), ended);
    assert_eq!(cut, 0, "connections that had to be cut");
}
