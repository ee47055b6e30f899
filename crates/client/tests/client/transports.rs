//! What each transport asks and what it makes of the answer.

use sosik_client::{Delivery, Error, Fault, Format, GapPolicy, Start, Transport};
use sosik_wire::{Code, Down, Problem};

use crate::peer::{Peer, caught_up, event, events, gap, page, refuse, respond, short, told, within};

const SET: [&str; 2] = ["room:1", "match:*"];

// Mutants: `subscribe` without `after` (two_way.rs); `place` dropped from the ok of a subscribe (line.rs); the binary
// decoder fed with lines (frames.rs); `id:` of SSE ignored -> each fails for the transport that it belongs to.
#[tokio::test]
async fn each_transport_asks_for_its_set_and_delivers_in_order() {
    for format in [Format::Json, Format::Binary] {
        for transport in Transport::ALL {
            let peer = Peer::speaking(format).await;
            let start = Start::After("c0".into());
            let mut following = peer.client().follow(SET, start, transport, GapPolicy::Tell).unwrap();
            let play = async {
                let mut accepted = peer.accept(transport).await;
                assert_eq!(accepted.asked.channels, SET, "{transport}");
                assert_eq!((accepted.asked.after.as_deref(), accepted.asked.last), (Some("c0"), None));
                accepted.greet("c0", 25_000).await;
                let mut frames = events([1, 2]);
                frames.extend([gap(5, "c4"), event("match:3", 1, "c5"), caught_up("c5")]);
                accepted.send(&frames).await;
                accepted
            };
            let (accepted, told) = tokio::join!(play, told(&mut following, 6));
            let expected =
                [format!("+{transport}"), "e1".into(), "e2".into(), "g5".into(), "e1".into(), "up".into()];
            assert_eq!(told, expected, "{transport} {format:?}");
            assert_eq!(following.cursor(), Some("c5"));
            drop((following, accepted));
        }
    }
}

// Mutant: `last` sent beside `after`, or `start` left out -> fails.
#[tokio::test]
async fn where_to_start_is_said_in_the_request() {
    for transport in Transport::ALL {
        for (start, after, last) in
            [(Start::Now, None, None), (Start::Start, Some("start"), None), (Start::Last(7), None, Some(7))]
        {
            let peer = Peer::start().await;
            let mut following = peer.client().follow(SET, start, transport, GapPolicy::Tell).unwrap();
            let (accepted, _) = tokio::join!(
                async {
                    let mut accepted = peer.greet(transport, "c9").await;
                    accepted.send(&[caught_up("c9")]).await;
                    accepted
                },
                told(&mut following, 2)
            );
            assert_eq!((accepted.asked.after.as_deref(), accepted.asked.last), (after, last), "{transport}");
            assert_eq!(following.cursor(), Some("c9"), "{transport}");
        }
    }
}

// Mutant: bytes decoded as they come, without what came before -> a frame cut anywhere is lost.
#[tokio::test]
async fn frames_may_be_cut_anywhere() {
    for (transport, head) in [
        (Transport::Sse, "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"),
        (Transport::Stream, "HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson; charset=utf-8\r\n\r\n"),
        (Transport::Tcp, ""),
    ] {
        let peer = Peer::start().await;
        let mut following = peer.client().follow(SET, Start::Now, transport, GapPolicy::Tell).unwrap();
        let encoding = if transport == Transport::Sse {
            sosik_wire::Encoding::Sse
        } else {
            sosik_wire::Encoding::JsonLine
        };
        let bytes: Vec<u8> =
            events([1, 2, 3]).iter().flat_map(|frame| encoding.frame(frame).to_vec()).collect();
        let play = async {
            let mut accepted = peer.accept(transport).await;
            accepted.raw(head.as_bytes()).await;
            for byte in bytes {
                accepted.raw(&[byte]).await;
                tokio::task::yield_now().await;
            }
            accepted
        };
        let (_accepted, told) = tokio::join!(play, told(&mut following, 4));
        assert_eq!(told[1..], ["e1", "e2", "e3"], "{transport}");
    }
}

// Mutants: `more` ignored; the page's cursor not taken for the next request; a new connection for each request.
#[tokio::test]
async fn polls_go_on_from_the_page_over_one_connection() {
    for transport in [Transport::Poll, Transport::LongPoll] {
        let peer = Peer::start().await;
        let mut following = peer.client().follow(SET, Start::Start, transport, GapPolicy::Tell).unwrap();
        let play = async {
            let mut accepted = peer.accept(transport).await;
            accepted.answer(&events([1, 2]), "c2", true).await;
            accepted.next_request().await;
            assert_eq!(accepted.asked.after.as_deref(), Some("c2"));
            accepted.answer(&events([3]), "c3", false).await;
            accepted.next_request().await;
            assert_eq!(accepted.asked.after.as_deref(), Some("c3"));
            accepted.answer(&events([4]), "c4", false).await;
            accepted
        };
        let (_accepted, told) = tokio::join!(play, told(&mut following, 6));
        assert_eq!(told[1..], ["e1", "e2", "e3", "up", "e4"], "{transport}");
    }
}

// Mutant: the first request held -> a reader with nothing to read learns its place after 25 s.
#[tokio::test]
async fn the_first_long_poll_is_answered_at_once_and_the_next_is_held() {
    let peer = Peer::start().await;
    let mut following = peer.client().follow(SET, Start::Now, Transport::LongPoll, GapPolicy::Tell).unwrap();
    let play = async {
        let mut accepted = peer.accept(Transport::LongPoll).await;
        assert_eq!(accepted.asked.wait, Some(0));
        accepted.answer(&[], "c0", false).await;
        accepted.next_request().await;
        assert_eq!(accepted.asked.wait, Some(25));
        accepted.answer(&events([1]), "c1", false).await;
        accepted
    };
    let (_accepted, told) = tokio::join!(play, told(&mut following, 3));
    assert_eq!(told[1..], ["up", "e1"]);
}

// Mutants: the tag of another place sent along; 304 taken for an error.
#[tokio::test]
async fn a_poll_with_the_same_question_may_be_answered_304() {
    let peer = Peer::start().await;
    let mut following = peer.client().follow(SET, Start::Now, Transport::Poll, GapPolicy::Tell).unwrap();
    let play = async {
        let mut accepted = peer.accept(Transport::Poll).await;
        accepted.answer_raw("200 OK", "etag: \"a\"\r\n", &page(&[], "c0", false)).await;
        accepted.next_request().await;
        assert_eq!(accepted.asked.headers.get("if-none-match"), None, "another question");
        accepted.answer_raw("200 OK", "etag: \"b\"\r\n", &page(&[], "c0", false)).await;
        accepted.next_request().await;
        assert_eq!(accepted.asked.headers["if-none-match"], "\"b\"");
        accepted.answer_raw("304 Not Modified", "sosik-next-ms: 1\r\n", "").await;
        accepted.answer(&events([1]), "c1", false).await;
        accepted
    };
    let (_accepted, told) = tokio::join!(play, told(&mut following, 3));
    assert_eq!(told[1..], ["up", "e1"]);
}

// Mutant: `retry` taken as true -> a reader without rights comes back for ever.
#[tokio::test]
async fn a_refusal_for_good_ends_the_following_over_every_transport() {
    for transport in Transport::ALL {
        let peer = Peer::start().await;
        let mut following = peer.client().follow(SET, Start::Now, transport, GapPolicy::Tell).unwrap();
        let play = async {
            if transport == Transport::Tcp {
                let mut accepted = peer.accept(transport).await;
                accepted.send(&[Down::error(Some(1), Code::Forbidden, "not yours")]).await;
                return;
            }
            let (_, mut socket) = peer.request().await;
            refuse(&mut socket, &Problem::new(Code::Forbidden, "not yours")).await;
        };
        let ((), error) = tokio::join!(play, within(following.next()));
        let error = error.unwrap_err();
        let Error::Refused(refusal) = &error else { panic!("{transport}: {error}") };
        assert_eq!((&*refusal.code, &*refusal.message, refusal.status), ("forbidden", "not yours", 403));
        assert_eq!((error.fault(), error.retry()), (Fault::Caller, false));
        assert_eq!(following.next().await.unwrap_err().to_string(), error.to_string(), "it stays ended");
    }
}

// Mutant: the type of the answer not looked at -> a login page of some hotel is read as an empty stream.
#[tokio::test]
async fn an_answer_of_another_type_is_an_interruption_that_names_it() {
    for transport in [Transport::Sse, Transport::Stream] {
        let peer = Peer::start().await;
        let mut following = peer.client().follow(SET, Start::Now, transport, GapPolicy::Tell).unwrap();
        let play = async {
            let (_, mut socket) = peer.request().await;
            respond(&mut socket, "200 OK", "", "{}").await;
        };
        let ((), delivery) = tokio::join!(play, within(following.next()));
        let Delivery::Interrupted(told) = delivery.unwrap() else { panic!("{transport}") };
        assert!(told.error.to_string().contains("application/json"), "{}", told.error);
    }
}

// Mutant: the request without a subprotocol -> frames of some other protocol would be decoded.
#[tokio::test]
async fn a_server_that_chooses_no_protocol_of_ours_is_an_interruption() {
    let peer = Peer::start().await;
    let mut following = peer.client().follow(SET, Start::Now, Transport::WebSocket, GapPolicy::Tell).unwrap();
    let play = async {
        let socket = peer.request_unread().await;
        // It switches, and names no protocol.
        within(tokio_tungstenite::accept_async(socket)).await.unwrap()
    };
    let (_open, delivery) = tokio::join!(play, within(following.next()));
    let Delivery::Interrupted(told) = delivery.unwrap() else { panic!("it was taken") };
    assert!(told.error.to_string().to_lowercase().contains("protocol"), "{}", told.error);
}

#[tokio::test]
async fn a_server_that_does_not_switch_is_an_interruption() {
    let peer = Peer::start().await;
    let mut following = peer.client().follow(SET, Start::Now, Transport::WebSocket, GapPolicy::Tell).unwrap();
    let play = async {
        let (_, mut socket) = peer.request().await;
        respond(&mut socket, "200 OK", "", "<html>").await;
    };
    let ((), delivery) = tokio::join!(play, within(following.next()));
    assert_eq!(short(&delivery.unwrap()), "-");
}

// Mutant: `followed` without a TCP address tries port 7172 of whoever -> the option is not named.
#[tokio::test]
async fn tcp_without_an_address_names_the_option() {
    let client = sosik_client::Client::new(sosik_client::Options::default()).unwrap();
    let mut following = client.follow(SET, Start::Now, Transport::Tcp, GapPolicy::Tell).unwrap();
    let error = following.next().await.unwrap_err();
    assert!(matches!(&error, Error::Option(text) if text.contains("7172")), "{error}");
}
