//! A publish is stored once: each attempt has the same key.

use std::time::Duration;

use sosik_client::{Client, Error, GapPolicy, OnRetry, Options, Start, Timers, Transport};
use sosik_wire::{Code, Down, Goodbye, GoodbyeFrame, Key, OkFrame, Once, Problem, PublishFrame, Up, once};
use tokio::net::TcpStream;

use crate::{
    peer::{Asked, Peer, events, refuse, respond, text, timers, told, within},
    publish::{json, ok, seq},
};

fn frame(up: Up) -> (PublishFrame, Key) {
    let Up::Publish(frame) = up else { panic!("{up:?}") };
    let Some(Once::Key(key)) = frame.once.clone() else { panic!("{frame:?}") };
    (frame, key)
}

fn asked(asked: &Asked) -> (PublishFrame, Key) {
    frame(Up::parse(asked.body.trim_end()).unwrap())
}

fn repeated(id: Option<u64>, seq: u64) -> Down {
    let Down::Ok(frame) = ok(id, seq) else { panic!() };
    Down::Ok(OkFrame { duplicate: Some(true), ..frame })
}

async fn answer(socket: &mut TcpStream, down: &Down) {
    respond(socket, "200 OK", "", &text(down)).await;
}

// Mutants: another key for each attempt; a lost answer told to the caller -> each fails.
#[tokio::test]
async fn a_publish_whose_answer_is_lost_is_sent_again_with_its_key() {
    let peer = Peer::start().await;
    let client = peer.client();
    let play = async {
        let mut sent = Vec::new();
        for _ in 0..2 {
            let (request, socket) = peer.request().await;
            sent.push(asked(&request));
            drop(socket);
        }
        let (request, mut socket) = peer.request().await;
        sent.push(asked(&request));
        answer(&mut socket, &repeated(None, 7)).await;
        sent
    };
    let (sent, published) = tokio::join!(play, within(client.publish("room:1", "say", json("1"))));
    let published = published.unwrap();
    assert_eq!((published.seq, published.duplicate), (7, true));
    assert_eq!((&sent[0], &sent[0]), (&sent[1], &sent[2]));
    assert!(sent[0].1.made_at.is_some(), "the key has no time: {sent:?}");
}

// Mutants: a refusal that passes told to the caller; one that does not sent again -> each fails.
#[tokio::test]
async fn a_refusal_for_now_is_waited_out_and_one_for_good_is_told() {
    let peer = Peer::start().await;
    let told = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let hears = told.clone();
    let client = Client::new(Options {
        http: format!("http://{}", peer.address()),
        on_retry: Some(OnRetry::new(move |error, wait| {
            hears.lock().unwrap().push((error.to_string(), wait))
        })),
        ..Options::default()
    })
    .unwrap();
    let play = async {
        let (first, mut socket) = peer.request().await;
        let busy = Problem { retry_after_ms: 30, ..Problem::new(Code::Overloaded, "full") };
        refuse(&mut socket, &busy).await;
        let (second, mut socket) = peer.request().await;
        assert_eq!(asked(&first), asked(&second));
        refuse(&mut socket, &Problem::new(Code::KeyConflict, "another")).await;
    };
    let ((), outcome) = tokio::join!(play, within(client.publish("room:1", "", json("1"))));
    assert!(
        matches!(&outcome, Err(Error::Refused(refusal)) if refusal.code == "key_conflict"),
        "{outcome:?}"
    );
    assert_eq!(*told.lock().unwrap(), [("overloaded: full".to_owned(), Duration::from_millis(30))]);
    assert!(!peer.is_asked());
}

// Mutant: the key not told -> fails.
#[tokio::test]
async fn whoever_gives_up_is_told_the_key_that_makes_another_try_safe() {
    let peer = Peer::start().await;
    let client = peer.client_with(Timers { publish: Duration::ZERO, ..timers() });
    let play = async {
        let (request, _socket) = peer.request().await;
        asked(&request).1.text
    };
    let (key, outcome) = tokio::join!(play, within(client.publish("room:1", "", json("1"))));
    let Err(error @ Error::Unknown { .. }) = outcome else { panic!("{outcome:?}") };
    assert!(error.to_string().contains(&*key), "{error}");
    let Error::Unknown { key: Some(told), .. } = error else { panic!("no key") };
    assert_eq!(*told, *key);
    let play = async {
        let (request, mut socket) = peer.request().await;
        answer(&mut socket, &repeated(None, 3)).await;
        asked(&request).1.text
    };
    let again = client.publish_with_key(&told, "room:1", "", json("1"));
    let (again_with, published) = tokio::join!(play, within(again));
    assert_eq!((seq(published), &*again_with), (3, &*told));
    let bad = client.publish_with_key("a b", "room:1", "", json("1")).await;
    assert!(matches!(bad, Err(Error::Option(_))), "{bad:?}");
}

// Mutant: no other key -> a machine whose clock stands still cannot publish.
#[tokio::test]
async fn a_clock_that_is_days_behind_keeps_nobody_from_publishing() {
    let peer = Peer::start().await;
    let client = peer.client();
    let play = async {
        let (request, mut socket) = peer.request().await;
        assert!(asked(&request).1.made_at.is_some());
        refuse(&mut socket, &Problem::new(Code::KeyExpired, "old")).await;
        let (request, mut socket) = peer.request().await;
        assert_eq!(asked(&request).1.made_at, None);
        answer(&mut socket, &ok(None, 1)).await;
    };
    let ((), published) = tokio::join!(play, within(client.publish("room:1", "", json("1"))));
    assert_eq!(seq(published), 1);
    let play = async {
        let (_, mut socket) = peer.request().await;
        refuse(&mut socket, &Problem::new(Code::KeyExpired, "old")).await;
    };
    let own = client.publish_with_key("0199f2c5-1c00-7000-8000-000000000001", "room:1", "", json("1"));
    let ((), outcome) = tokio::join!(play, within(own));
    assert!(matches!(&outcome, Err(Error::Refused(refusal)) if refusal.code == "key_expired"), "{outcome:?}");
}

// Mutants: no header; another key for the second attempt -> each fails.
#[tokio::test]
async fn a_batch_has_one_key_in_its_header() {
    let peer = Peer::start().await;
    let client = peer.client();
    let play = async {
        let (first, socket) = peer.request().await;
        drop(socket);
        let (second, mut socket) = peer.request().await;
        let both = format!("[{},{}]", text(&ok(None, 8)), text(&ok(None, 9)));
        respond(&mut socket, "200 OK", "", &both).await;
        assert_eq!(first.body, second.body);
        assert_eq!(first.headers["idempotency-key"], second.headers["idempotency-key"]);
        assert!(once::key(&first.headers["idempotency-key"]).unwrap().made_at.is_some());
    };
    let events = [("room:1", "", json("1")), ("room:1", "", json("2"))];
    let ((), published) = tokio::join!(play, within(client.publish_all(events)));
    assert_eq!(published.unwrap().iter().map(|one| one.seq).collect::<Vec<_>>(), [8, 9]);
}

// Mutants: the answer given up with the connection; another key over HTTP; the goodbye's word not obeyed -> each fails.
#[tokio::test]
async fn a_call_on_a_connection_that_dies_goes_on_over_http_with_its_key() {
    for transport in [Transport::WebSocket, Transport::Tcp] {
        for polite in [false, true] {
            let peer = Peer::start().await;
            let mut following =
                peer.client().follow(["room:1"], Start::Now, transport, GapPolicy::Tell).unwrap();
            let (mut accepted, _) = tokio::join!(peer.greet(transport, "c0"), told(&mut following, 1));
            let uplink = following.uplink();
            let play = async {
                let first = frame(accepted.up().await);
                if polite {
                    let bye = GoodbyeFrame { after_ms: 300, spread_ms: 0, ..Goodbye::Drain.frame() };
                    accepted.send(&[Down::Goodbye(bye)]).await;
                }
                drop(accepted);
                let gone = tokio::time::Instant::now();
                let (request, mut socket) = peer.request().await;
                assert!(request.line.starts_with("POST /v1/send "), "{request:?}");
                assert!(!polite || gone.elapsed() >= Duration::from_millis(290), "{:?}", gone.elapsed());
                let second = asked(&request);
                assert_eq!((&first.1, &first.0.data), (&second.1, &second.0.data));
                answer(&mut socket, &repeated(second.0.id, 4)).await;
            };
            let ((), published) = tokio::join!(play, within(uplink.publish("room:1", "", json("1"))));
            let published = published.unwrap();
            assert_eq!((published.seq, published.duplicate), (4, true), "{transport}");
        }
    }
}

// Mutant: a connection that is mute is tried twice before HTTP is asked -> fails.
#[tokio::test]
async fn a_mute_connection_is_not_waited_for_twice_in_a_row() {
    let peer = Peer::start().await;
    let client = peer.client_with(Timers { answer: Duration::from_millis(50), ..timers() });
    let mut following = client.follow(["room:1"], Start::Now, Transport::Tcp, GapPolicy::Tell).unwrap();
    let (mut mute, _) = tokio::join!(peer.greet(Transport::Tcp, "c0"), told(&mut following, 1));
    let uplink = following.uplink();
    let play = async {
        let (_, key) = frame(mute.up().await);
        let (request, mut socket) = peer.request().await;
        assert_eq!(asked(&request).1, key);
        let second = tokio::time::timeout(Duration::from_millis(20), mute.up()).await;
        assert!(second.is_err(), "over the mute connection again: {second:?}");
        answer(&mut socket, &ok(None, 5)).await;
        mute.send(&events([5])).await;
    };
    let ((), published) = tokio::join!(play, within(uplink.publish("room:1", "", json("1"))));
    assert_eq!(seq(published), 5);
}
