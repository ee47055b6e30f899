//! A producer: numbers, several on their way, and what each answer makes of them.

use std::time::Duration;

use sosik_client::{Client, Error, GapPolicy, Producer, Start, Timers, Transport};
use sosik_wire::{Code, Down, ErrorFrame, Once, Up};
use tokio::net::TcpStream;

use crate::{
    peer::{Asked, Peer, respond, text, timers, told, within},
    publish::{json, ok, seq},
};

/// What a frame says: producer id, epoch, number, data.
type Said = (String, u64, u64, String);

fn said(up: &Up) -> Said {
    let Up::Publish(frame) = up else { panic!("{up:?}") };
    let Some(Once::Producer(producer)) = &frame.once else { panic!("{frame:?}") };
    let data = String::from_utf8(frame.data.bytes().to_vec()).unwrap();
    (producer.id.to_string(), producer.epoch, producer.seq, data)
}

/// The frames of one body.
fn lines(asked: &Asked) -> Vec<Said> {
    assert!(asked.line.starts_with("POST /v1/send "), "{asked:?}");
    asked.body.lines().map(|line| said(&Up::parse(line).unwrap())).collect()
}

/// Epochs, numbers and data, without the id.
fn short(said: &[Said]) -> Vec<(u64, u64, &str)> {
    said.iter().map(|(_, epoch, seq, data)| (*epoch, *seq, &**data)).collect()
}

async fn answer(socket: &mut TcpStream, frames: &[Down]) {
    let lines: String = frames.iter().map(|frame| text(frame) + "\n").collect();
    respond(socket, "200 OK", "", &lines).await;
}

fn gap(id: Option<u64>, expected: u64) -> Down {
    let Down::Error(frame) = Down::error(id, Code::ProducerGap, "missing") else { panic!() };
    Down::Error(ErrorFrame { expected: Some(expected), ..frame })
}

fn error(code: Code) -> Down {
    Down::error(None, code, "no")
}

/// Gives events their places: one for each text.
async fn send(
    producer: &Producer,
    texts: impl IntoIterator<Item = &'static str>,
) -> Vec<sosik_client::Acknowledgement> {
    let mut all = Vec::new();
    for text in texts {
        all.push(producer.send("room:1", "", json(text)).await.unwrap());
    }
    all
}

async fn outcomes(all: Vec<sosik_client::Acknowledgement>) -> Vec<Result<u64, String>> {
    let mut outcomes = Vec::new();
    for one in all {
        outcomes.push(match within(one).await {
            Ok(published) => Ok(published.seq),
            Err(Error::Refused(refusal)) => Err(refusal.code),
            Err(other) => Err(format!("{other:?}").split([' ', '(']).next().unwrap().to_owned()),
        });
    }
    outcomes
}

/// A producer whose first event is on its way, and the socket that waits for its answer.
async fn begun(peer: &Peer, client: &Client) -> (Producer, sosik_client::Acknowledgement, TcpStream) {
    let producer = client.producer();
    let mut first = send(&producer, ["1"]).await;
    let (asked, socket) = peer.request().await;
    assert_eq!(short(&lines(&asked)), [(1, 1, "1")]);
    (producer, first.pop().unwrap(), socket)
}

// Mutants: one request per event; a number used twice -> each fails.
#[tokio::test]
async fn events_go_in_their_order_and_what_waits_goes_together() {
    let peer = Peer::start().await;
    let (producer, first, mut socket) = begun(&peer, &peer.client()).await;
    let rest = send(&producer, ["2", "3", "4"]).await;
    let play = async {
        answer(&mut socket, &[ok(None, 11)]).await;
        let asked = crate::peer::read_request(&mut socket).await.unwrap();
        assert_eq!(short(&lines(&asked)), [(1, 2, "2"), (1, 3, "3"), (1, 4, "4")]);
        answer(&mut socket, &[ok(None, 12), ok(None, 13), ok(None, 14)]).await;
    };
    let ((), first, rest) = tokio::join!(play, within(first), outcomes(rest));
    assert_eq!(seq(first), 11);
    assert_eq!(rest, [Ok(12), Ok(13), Ok(14)]);
}

// Mutant: fresh numbers for what is sent again -> fails.
#[tokio::test]
async fn what_has_no_answer_is_sent_again_with_its_numbers() {
    let peer = Peer::start().await;
    let (producer, first, socket) = begun(&peer, &peer.client()).await;
    let rest = send(&producer, ["2", "3"]).await;
    let play = async {
        drop(socket);
        let (asked, mut socket) = peer.request().await;
        let said = lines(&asked);
        assert_eq!(short(&said), [(1, 1, "1"), (1, 2, "2"), (1, 3, "3")]);
        // The second fails for now, and so the third has a hole before it.
        answer(&mut socket, &[ok(None, 11), error(Code::Overloaded), gap(None, 2)]).await;
        let asked = crate::peer::read_request(&mut socket).await.unwrap();
        let again = lines(&asked);
        assert_eq!(again, said[1..]);
        answer(&mut socket, &[ok(None, 12), ok(None, 13)]).await;
    };
    let ((), first, rest) = tokio::join!(play, within(first), outcomes(rest));
    assert_eq!((seq(first), rest), (11, vec![Ok(12), Ok(13)]));
}

// Mutants: the same epoch kept -> what of the old numbers is on its way could still be stored; the numbers kept -> the
// server expects 1 for ever; the event told as lost -> a restart of a memory log ends every sender.
#[tokio::test]
async fn a_server_that_lost_what_it_had_acknowledged_gets_a_sequence_anew() {
    let peer = Peer::start().await;
    let (producer, first, mut socket) = begun(&peer, &peer.client()).await;
    answer(&mut socket, &[ok(None, 11)]).await;
    assert_eq!(seq(within(first).await), 11);
    let rest = send(&producer, ["2", "3"]).await;
    let play = async {
        let mut said = Vec::new();
        while said.len() < 2 {
            let asked = crate::peer::read_request(&mut socket).await.unwrap();
            said = lines(&asked);
            let seqs = said.iter().map(|(_, epoch, seq, _)| (*epoch, *seq)).collect::<Vec<_>>();
            if seqs[0] == (1, 2) {
                answer(&mut socket, &vec![gap(None, 1); seqs.len()]).await;
                said.clear();
            } else if said.len() < 2 {
                // The third came late: it is on its way next.
                answer(&mut socket, &[ok(None, 1)]).await;
                let asked = crate::peer::read_request(&mut socket).await.unwrap();
                said.extend(lines(&asked));
                answer(&mut socket, &[ok(None, 2)]).await;
            } else {
                answer(&mut socket, &[ok(None, 1), ok(None, 2)]).await;
            }
        }
        assert_eq!(short(&said), [(2, 1, "2"), (2, 2, "3")]);
    };
    let ((), rest) = tokio::join!(play, outcomes(rest));
    assert_eq!(rest, [Ok(1), Ok(2)]);
}

// Mutants: what stands behind a failure sent all the same -> it is asked again; a conflict retried -> it hangs.
#[tokio::test]
async fn the_first_failure_ends_the_channel_and_no_other() {
    for code in [Code::ProducerConflict, Code::ProducerFenced, Code::ProducerForgotten, Code::Forbidden] {
        let peer = Peer::start().await;
        let (producer, first, mut socket) = begun(&peer, &peer.client()).await;
        let rest = send(&producer, ["2", "3"]).await;
        answer(&mut socket, &[error(code)]).await;
        let all = outcomes([vec![first], rest].into_iter().flatten().collect()).await;
        assert_eq!(all, vec![Err(code.name().to_owned()); 3]);
        let later = within(producer.publish("room:1", "", json("4"))).await;
        assert!(matches!(&later, Err(Error::Refused(refusal)) if refusal.code == code.name()), "{later:?}");
        let play = async {
            let asked = crate::peer::read_request(&mut socket).await.unwrap();
            assert_eq!(short(&lines(&asked)), [(1, 1, "5")]);
            answer(&mut socket, &[ok(None, 1)]).await;
        };
        let ((), other) = tokio::join!(play, within(producer.publish("room:2", "", json("5"))));
        assert_eq!(seq(other), 1);
    }
}

// Mutants: what was never sent called unknown; what was sent called lost -> each fails.
#[tokio::test]
async fn giving_up_says_what_may_have_been_stored_and_what_not() {
    let peer = Peer::start().await;
    let client = peer.client_with(Timers { publish: Duration::ZERO, ..timers() });
    let (producer, first, socket) = begun(&peer, &client).await;
    // More than go together, so that some are never sent.
    let rest = send(&producer, vec!["2"; 40]).await;
    drop(socket);
    let all = outcomes([vec![first], rest].into_iter().flatten().collect()).await;
    assert_eq!(all[0], Err("Unknown".to_owned()));
    assert!(all[1..].iter().all(|outcome| *outcome == Err("Behind".to_owned())), "{all:?}");
    let later = within(producer.publish("room:1", "", json("3"))).await;
    assert!(matches!(later, Err(Error::Behind(_))), "{later:?}");
    assert!(!peer.is_asked());
}

// Mutants: data checked when it is sent; a name of any length -> each fails.
#[tokio::test]
async fn what_is_refused_before_it_is_sent_has_no_number() {
    let peer = Peer::start().await;
    let producer = peer.client().producer();
    assert!(matches!(producer.send("room:1", "", json("{")).await, Err(Error::Payload(_))));
    assert!(matches!(producer.send("room:1", &"n".repeat(256), json("1")).await, Err(Error::Option(_))));
    let play = async {
        let (asked, mut socket) = peer.request().await;
        assert_eq!(short(&lines(&asked)), [(1, 1, "1")]);
        answer(&mut socket, &[ok(None, 1)]).await;
    };
    tokio::join!(play, async { within(producer.publish("room:1", "", json("1"))).await.unwrap() });
}

// Mutant: one id for all producers of a client -> two tabs are one sender, and one event is lost.
#[tokio::test]
async fn every_producer_has_an_id_of_its_own_and_counts_each_channel_from_one() {
    let peer = Peer::start().await;
    let client = peer.client();
    let mut ids = Vec::new();
    for producer in [client.producer(), client.producer()] {
        for channel in ["room:1", "room:2"] {
            let play = async {
                let (asked, mut socket) = peer.request().await;
                let said = lines(&asked);
                assert_eq!(short(&said), [(1, 1, "1")]);
                answer(&mut socket, &[ok(None, 1)]).await;
                said[0].0.clone()
            };
            let (id, published) = tokio::join!(play, within(producer.publish(channel, "", json("1"))));
            published.unwrap();
            ids.push(id);
        }
    }
    assert_eq!((&ids[0], &ids[2]), (&ids[1], &ids[3]));
    assert_ne!(ids[0], ids[2]);
}

// Mutants: one at a time over a connection -> the second never comes; over HTTP after the cut with other numbers -> fails.
#[tokio::test]
async fn several_are_on_their_way_over_a_connection_and_go_on_over_http() {
    for transport in [Transport::WebSocket, Transport::Tcp] {
        let peer = Peer::start().await;
        let mut following = peer.client().follow(["room:1"], Start::Now, transport, GapPolicy::Tell).unwrap();
        let (mut accepted, _) = tokio::join!(peer.greet(transport, "c0"), told(&mut following, 1));
        let producer = following.uplink().producer();
        let mut all = send(&producer, ["1"]).await;
        let first = accepted.up().await;
        all.extend(send(&producer, ["2", "3", "4"]).await);
        let Up::Publish(frame) = &first else { panic!() };
        let play = async {
            accepted.send(&[ok(frame.id, 11)]).await;
            let ups = [accepted.up().await, accepted.up().await, accepted.up().await].map(|up| said(&up));
            assert_eq!(short(&ups), [(1, 2, "2"), (1, 3, "3"), (1, 4, "4")]);
            drop(accepted);
            let (asked, mut socket) = peer.request().await;
            assert_eq!(lines(&asked), ups);
            answer(&mut socket, &[ok(None, 12), ok(None, 13), ok(None, 14)]).await;
        };
        let ((), all) = tokio::join!(play, outcomes(all));
        assert_eq!(all, [Ok(11), Ok(12), Ok(13), Ok(14)], "{transport}");
    }
}
