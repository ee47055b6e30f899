//! What only the long-poll has.

use super::Ground;
use crate::carriers::{Ask, Begin, Carrier, News, http::header};

pub async fn an_empty_answer_is_200_with_the_cursor(carrier: &'static dyn Carrier) {
    let ground = Ground::start(carrier).await;
    ground.publish_numbers("disk:a", 1, 1).await;
    let mut client = ground.client().await;
    let empty = client.get("/v1/long-poll?channel=disk:a&wait=0").await;
    assert_eq!(empty.status(), 200);
    let said = empty.json();
    assert_eq!((said["frames"].as_array().unwrap().len(), said["more"].as_bool()), (0, Some(false)));
    assert_eq!(empty.head.header("Cache-Control"), Some("no-store"));
    let cursor = said["cursor"].as_str().unwrap().to_owned();
    ground.publish_numbers("disk:a", 2, 2).await;
    assert_eq!(ground.follow(&["disk:a"], Begin::After(cursor)).await.event().await.seq, 2);
}

// Mutant: a seat that is never registered -> the news is not heard, hangs.
pub async fn the_preferred_wait_is_applied_and_said(carrier: &'static dyn Carrier) {
    let ground = Ground::with(carrier, |options| options.settings.wait_s_max = 7).await;
    let mut client = ground.client().await;
    for (prefer, applied) in [("wait=0", "wait=0"), ("respond-async, wait=0", "wait=0")] {
        let answered =
            client.ask("GET", "/v1/long-poll?channel=disk:a", &[header("Prefer", prefer)], b"").await;
        assert_eq!((answered.status(), answered.head.header("Preference-Applied")), (200, Some(applied)));
    }
    let prefer = [header("Prefer", "wait=90")];
    let waiting = client.ask("GET", "/v1/long-poll?channel=disk:a", &prefer, b"");
    let publishing = async {
        while ground.running.hub.figures.of(sosik_wire::TransportName::LongPoll).open.load(SEEN) == 0 {
            tokio::task::yield_now().await;
        }
        ground.publish_numbers("disk:a", 1, 1).await;
    };
    let (answered, ()) = tokio::join!(waiting, publishing);
    assert_eq!(answered.head.header("Preference-Applied"), Some("wait=7"), "the most there is");
    assert_eq!(answered.json()["frames"][0]["seq"], 1);
}

pub async fn a_server_that_stops_answers_what_it_holds(carrier: &'static dyn Carrier) {
    let ground = Ground::start(carrier).await;
    let mut line =
        ground.open(Ask { held_at_once: true, wait: 50, ..Ask::new(&["disk:a"], Begin::Now) }).await;
    let stopping = async {
        while ground.running.hub.figures.of(sosik_wire::TransportName::LongPoll).open.load(SEEN) == 0 {
            tokio::task::yield_now().await;
        }
        ground.running.hub.drain();
    };
    let answered = async { while !matches!(line.next().await, News::Answered) {} };
    tokio::join!(stopping, answered);
}

const SEEN: std::sync::atomic::Ordering = std::sync::atomic::Ordering::Relaxed;
