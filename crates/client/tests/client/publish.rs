//! Publishing and the history.

use sosik_client::{Data, Durability, Error, Format, GapPolicy, History, Published, Start, Transport};
use sosik_wire::{Code, Down, OkFrame, Problem, Up};

use crate::peer::{Peer, events, gap, page, read_request, refuse, respond, text, told, within};

pub(crate) fn ok(id: Option<u64>, seq: u64) -> Down {
    Down::Ok(OkFrame {
        id,
        channel: Some("room:1".into()),
        epoch: Some("aaaaaa".into()),
        seq: Some(seq),
        durability: Some(Durability::Memory),
        duplicate: Some(false),
        cursor: Some(format!("p{seq}")),
        ..OkFrame::default()
    })
}

pub(crate) fn json(text: &'static str) -> Data {
    Data::Json(text.into())
}

pub(crate) fn seq(published: Result<Published, Error>) -> u64 {
    published.unwrap().seq
}

// Mutant: a connection for each publish -> the second request comes over a new one and this hangs.
#[tokio::test]
async fn publishing_posts_one_event_over_a_connection_that_is_kept() {
    let peer = Peer::start().await;
    let client = peer.client();
    let play = async {
        let (asked, mut socket) = peer.request().await;
        assert!(asked.line.starts_with("POST /v1/publish "), "{asked:?}");
        assert_eq!(asked.headers["content-type"], "application/json");
        assert_eq!(asked.headers["host"], peer.address().to_string());
        let Up::Publish(frame) = Up::parse(&asked.body).unwrap() else { panic!() };
        assert_eq!((&*frame.channel, &*frame.name, frame.data), ("room:1", "say", json("{\"a\":1}")));
        respond(&mut socket, "200 OK", "", &text(&ok(None, 7))).await;
        let asked = read_request(&mut socket).await.unwrap();
        assert!(asked.body.starts_with('['), "{asked:?}");
        respond(&mut socket, "200 OK", "", &format!("[{},{}]", text(&ok(None, 8)), text(&ok(None, 9)))).await;
    };
    let ((), (one, both)) = tokio::join!(play, async {
        let one = client.publish("room:1", "say", json("{ \"a\": 1 }")).await.unwrap();
        let both = client.publish_all([("room:1", "", json("1")), ("room:1", "", json("2"))]).await.unwrap();
        (one, both)
    });
    assert_eq!((one.seq, &*one.cursor, one.durability), (7, "p7", Durability::Memory));
    assert_eq!(both.iter().map(|published| published.seq).collect::<Vec<_>>(), [8, 9]);
}

// Mutant: neither looked at before it is used nor given back what was not sent -> every second publish fails.
#[tokio::test]
async fn a_kept_connection_that_was_closed_meanwhile_costs_nothing() {
    let peer = Peer::start().await;
    let client = peer.client();
    for number in 1..=3 {
        let play = async {
            let (_, mut socket) = peer.request().await;
            respond(&mut socket, "200 OK", "", &text(&ok(None, number))).await;
            // Closed at once, and the client has seen it before the next round.
            drop(socket);
        };
        let ((), published) = tokio::join!(play, client.publish("room:1", "", json("1")));
        assert_eq!(seq(published), number);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn bad_data_is_refused_before_anything_is_sent() {
    let client = Peer::start().await.client();
    for data in [json("{"), json("\"\\ud800\""), Data::Binary(vec![0; 70_000].into())] {
        let outcome = within(client.publish("room:1", "", data)).await;
        assert!(matches!(outcome, Err(Error::Payload(_))), "{outcome:?}");
    }
}

// Mutant: the refusal's code lost -> the caller cannot tell rights from limits.
#[tokio::test]
async fn a_refused_publish_says_why() {
    let peer = Peer::start().await;
    let client = peer.client();
    let play = async {
        let (_, mut socket) = peer.request().await;
        refuse(&mut socket, &Problem::new(Code::Forbidden, "not yours")).await;
    };
    let ((), outcome) = tokio::join!(play, client.publish("room:1", "", json("1")));
    assert!(matches!(&outcome, Err(Error::Refused(refusal)) if refusal.code == "forbidden"), "{outcome:?}");
}

// Mutants: calls answered only while the reader reads -> hangs; ids not told apart -> seqs exchanged.
#[tokio::test]
async fn two_way_transports_carry_publishes_themselves_though_nobody_reads() {
    for (transport, format) in [
        (Transport::WebSocket, Format::Json),
        (Transport::WebSocket, Format::Binary),
        (Transport::Tcp, Format::Json),
        (Transport::Tcp, Format::Binary),
    ] {
        let peer = Peer::speaking(format).await;
        let mut following = peer.client().follow(["room:1"], Start::Now, transport, GapPolicy::Tell).unwrap();
        let (mut accepted, _) = tokio::join!(peer.greet(transport, "c0"), told(&mut following, 1));
        let uplink = following.uplink();
        let play = async {
            let mut ids = Vec::new();
            for _ in 0..2 {
                let Up::Publish(frame) = accepted.up().await else { panic!() };
                ids.push((frame.id, frame.data));
            }
            // The answers stand behind more events than a reader has room for.
            accepted.send(&events(1..=500)).await;
            for (id, data) in ids.into_iter().rev() {
                let seq = String::from_utf8(data.bytes().to_vec()).unwrap().parse().unwrap();
                accepted.send(&[ok(id, seq)]).await;
            }
        };
        let ((), first, second) = tokio::join!(
            play,
            uplink.publish("room:1", "", json("11")),
            uplink.publish("room:1", "", json("22"))
        );
        assert_eq!((seq(first), seq(second)), (11, 22), "{transport} {format:?}");
        let seen = told(&mut following, 500).await;
        assert_eq!((&*seen[0], &*seen[499]), ("e1", "e500"));
    }
}

// Mutant: an error for one frame ends the connection -> the second publish does not arrive over it.
#[tokio::test]
async fn a_refused_frame_is_its_callers_matter() {
    let peer = Peer::start().await;
    let mut following =
        peer.client().follow(["room:1"], Start::Now, Transport::Tcp, GapPolicy::Tell).unwrap();
    let (mut accepted, _) = tokio::join!(peer.greet(Transport::Tcp, "c0"), told(&mut following, 1));
    let uplink = following.uplink();
    let play = async {
        for answer in [true, false] {
            let Up::Publish(frame) = accepted.up().await else { panic!() };
            let down = if answer { Down::error(frame.id, Code::Forbidden, "no") } else { ok(frame.id, 3) };
            accepted.send(&[down]).await;
        }
    };
    let ((), (first, second)) = tokio::join!(play, async {
        (uplink.publish("room:1", "", json("1")).await, uplink.publish("room:1", "", json("2")).await)
    });
    assert!(matches!(first, Err(Error::Refused(_))));
    assert_eq!(seq(second), 3);
}

// Mutant: the old connection closed at once -> the answer is lost and the outcome unknown.
#[tokio::test]
async fn a_change_waits_for_answers_that_are_under_way() {
    let peer = Peer::start().await;
    let mut following =
        peer.client().follow(["room:1"], Start::Now, Transport::Tcp, GapPolicy::Tell).unwrap();
    let (mut old, _) = tokio::join!(peer.greet(Transport::Tcp, "c0"), told(&mut following, 1));
    let uplink = following.uplink();
    let play = async {
        let Up::Publish(frame) = old.up().await else { panic!() };
        following.change(Transport::Sse);
        let (new, _) = tokio::join!(
            async {
                let mut new = peer.greet(Transport::Sse, "c0").await;
                new.send(&events([1])).await;
                new
            },
            told(&mut following, 2)
        );
        old.send(&[ok(frame.id, 5)]).await;
        old.closed().await;
        new
    };
    let (_new, published) = tokio::join!(play, uplink.publish("room:1", "", json("1")));
    assert_eq!(seq(published), 5);
}

#[tokio::test]
async fn one_way_transports_publish_by_post() {
    for transport in Transport::ALL.into_iter().filter(|transport| !transport.two_way()) {
        let peer = Peer::start().await;
        let mut following = peer.client().follow(["room:1"], Start::Now, transport, GapPolicy::Tell).unwrap();
        let (_accepted, _) = tokio::join!(
            async {
                let mut accepted = peer.greet(transport, "c0").await;
                accepted.send(&events([1])).await;
                accepted
            },
            told(&mut following, 2)
        );
        let uplink = following.uplink();
        let play = async {
            let (asked, mut socket) = peer.request().await;
            assert!(asked.line.starts_with("POST /v1/send "), "{asked:?}");
            assert!(matches!(Up::parse(asked.body.trim_end()).unwrap(), Up::Publish(_)));
            respond(&mut socket, "200 OK", "", &format!("{}\n", text(&ok(None, 9)))).await;
        };
        let ((), published) = tokio::join!(play, uplink.publish("room:1", "", json("1")));
        assert_eq!(seq(published), 9, "{transport}");
    }
}

// Mutant: the gap of a page dropped -> a reader of the history believes it has everything.
#[tokio::test]
async fn the_history_is_a_page_with_what_is_missing_from_it() {
    let peer = Peer::start().await;
    let client = peer.client();
    let play = async {
        let (asked, mut socket) = peer.request().await;
        assert_eq!(asked.line, "GET /v1/history?channel=room:1&limit=10&after=c2 HTTP/1.1");
        let frames = [vec![gap(5, "c4")], events([5, 6])].concat();
        respond(&mut socket, "200 OK", "", &page(&frames, "c6", true)).await;
    };
    let ((), read) = tokio::join!(play, client.history("room:1", History::After("c2".into()), 10));
    let read = read.unwrap();
    assert_eq!(read.events.iter().map(|event| event.seq).collect::<Vec<_>>(), [5, 6]);
    assert_eq!((read.gap.unwrap().next_seq, read.more, &*read.cursor), (Some(5), true, "c6"));
}
