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

// Mutants: what is sent meanwhile thrown away, or a connection that never comes back -> no next answer; HTTP/1.0 -> fails.
pub async fn the_next_request_follows_a_held_answer_on_its_connection(carrier: &'static dyn Carrier) {
    let ground = Ground::start(carrier).await;
    let next = "GET /v1/poll?channel=disk:b HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let get = "GET /v1/long-poll?channel=disk:a HTTP/1.1\r\nHost: localhost\r\n";
    let body = r#"{"channels":["disk:a"]}"#;
    let post = format!(
        "POST /v1/long-poll HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    for (number, (held, said_with_it, version)) in [
        (format!("{get}\r\n"), true, "HTTP/1.1"),
        (format!("{get}\r\n"), false, "HTTP/1.1"),
        (format!("{get}Connection: Keep-Alive\r\n\r\n").replace("/1.1", "/1.0"), true, "HTTP/1.0"),
        (post.clone(), true, "HTTP/1.1"),
        (post, false, "HTTP/1.1"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut client = ground.client().await;
        client.write(format!("{held}{}", if said_with_it { next } else { "" }).as_bytes()).await;
        is_held(&ground).await;
        if !said_with_it {
            client.write(next.as_bytes()).await;
        }
        let number = number as u64 + 1;
        ground.publish_numbers("disk:a", number, number).await;
        let answered = client.answer().await.expect("an answer");
        assert_eq!((answered.status(), answered.json()["frames"][0]["seq"].as_u64()), (200, Some(number)));
        assert!(answered.head.header("Date").is_some_and(|date| date.ends_with("GMT")), "{answered:?}");
        let said = (version == "HTTP/1.0").then_some("keep-alive");
        assert_eq!(answered.head.header("Connection"), said, "{held}");
        let answered = client.answer().await.expect("the next answer");
        assert_eq!(answered.json()["frames"].as_array().unwrap().len(), 0);
    }
}

// Mutants: options of the header compared as they stand, HTTP/1.0 that always goes on -> not closed; the body of a GET not
// looked at -> it is answered as a request.
pub async fn a_connection_that_may_not_go_on_ends_with_the_held_answer(carrier: &'static dyn Carrier) {
    let ground = Ground::start(carrier).await;
    let inner = "GET /v1/poll?channel=disk:b HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for (number, held) in [
        "GET /v1/long-poll?channel=disk:a HTTP/1.1\r\nHost: localhost\r\nConnection: x, Close\r\n\r\n".to_owned(),
        "GET /v1/long-poll?channel=disk:a HTTP/1.0\r\n\r\n".to_owned(),
        // What is the body of a request is never taken for another one.
        format!(
            "GET /v1/long-poll?channel=disk:a HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{inner}",
            inner.len()
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let mut client = ground.client().await;
        client.write(held.as_bytes()).await;
        is_held(&ground).await;
        let number = number as u64 + 1;
        ground.publish_numbers("disk:a", number, number).await;
        let answered = client.answer().await.expect("an answer");
        assert_eq!((answered.status(), answered.json()["frames"][0]["seq"].as_u64()), (200, Some(number)));
        assert_eq!(answered.head.header("Connection"), Some("close"), "{held}");
        assert_eq!(client.answer().await, None, "{held}");
    }
}

async fn is_held(ground: &Ground) {
    while ground.running.hub.figures.of(sosik_wire::TransportName::LongPoll).open.load(SEEN) == 0 {
        tokio::task::yield_now().await;
    }
}

const SEEN: std::sync::atomic::Ordering = std::sync::atomic::Ordering::Relaxed;
