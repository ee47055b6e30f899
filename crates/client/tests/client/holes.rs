//! Events that are missing without a word.

use sosik_client::{Delivery, GapPolicy, Start, Transport};

use crate::peer::{Peer, event, events, page, respond, told, within};

// Mutants: a hole delivered as it comes -> e4 before e2; re-read from the start -> `after` is wrong; what the read brings
// not noted -> e2 and e3 twice; the read not marked -> `hole=1` is missing; read to the end and not to e4 -> a third page is
// asked for.
#[tokio::test]
async fn a_hole_is_read_again_from_the_last_place_and_filled_in_order() {
    let peer = Peer::start().await;
    let mut following = peer
        .client()
        .follow(["room:1", "room:2"], Start::After("c0".into()), Transport::Tcp, GapPolicy::Tell)
        .unwrap();
    let play = async {
        let mut live = peer.greet(Transport::Tcp, "c0").await;
        live.send(&events([1, 4, 5])).await;
        let (asked, mut socket) = peer.request().await;
        assert!(asked.line.starts_with("GET /v1/poll?hole=1&channel=room:1&channel=room:2&"), "{asked:?}");
        assert_eq!(asked.after.as_deref(), Some("c1"));
        // In two pages, with another channel's event between, and more than was asked for.
        let first = [event("room:1", 2, "c2"), event("room:2", 1, "c3")];
        respond(&mut socket, "200 OK", "connection: close\r\n", &page(&first, "c3", true)).await;
        let (asked, mut socket) = peer.request().await;
        assert_eq!(asked.after.as_deref(), Some("c3"));
        respond(&mut socket, "200 OK", "connection: close\r\n", &page(&events([3, 4, 5, 6]), "c6", true))
            .await;
        live
    };
    let (mut live, seen) = tokio::join!(play, told(&mut following, 7));
    assert_eq!(seen[1..], ["e1", "e2", "e1", "e3", "e4", "e5"]);
    live.send(&events([6, 7])).await;
    assert_eq!(told(&mut following, 2).await, ["e6", "e7"]);
    let counts = following.counts();
    assert_eq!((counts.holes, counts.holes_left, counts.gaps, counts.events), (1, 0, 0, 8));
}

// Mutant: a hole that stays is passed over in silence -> g4 is missing.
#[tokio::test]
async fn a_hole_that_stays_is_told_as_a_gap() {
    let peer = Peer::start().await;
    let mut following =
        peer.client().follow(["room:1"], Start::After("c0".into()), Transport::Sse, GapPolicy::Tell).unwrap();
    let play = async {
        let mut live = peer.greet(Transport::Sse, "c0").await;
        live.send(&events([1, 4, 5])).await;
        let (_, mut socket) = peer.request().await;
        respond(&mut socket, "200 OK", "", &page(&events([4]), "c4", false)).await;
        (live, socket)
    };
    let (_live, seen) = tokio::join!(play, told(&mut following, 5));
    assert_eq!(seen[1..], ["e1", "g4", "e4", "e5"]);
    let counts = following.counts();
    assert_eq!((counts.holes, counts.holes_left, counts.gaps), (1, 1, 1));
}

// Mutant: the hole forgotten when its read fails -> the second connection begins after c4, and events 2 and 3 are lost.
#[tokio::test]
async fn if_the_read_fails_the_connection_is_made_again_from_the_last_place() {
    let peer = Peer::start().await;
    let mut following = peer
        .client()
        .follow(["room:1"], Start::After("c0".into()), Transport::Stream, GapPolicy::Tell)
        .unwrap();
    let play = async {
        let mut live = peer.greet(Transport::Stream, "c0").await;
        live.send(&events([1, 4])).await;
        let (_, mut socket) = peer.request().await;
        respond(&mut socket, "502 Bad Gateway", "", "").await;
        let mut second = peer.greet(Transport::Stream, "c1").await;
        assert_eq!(second.asked.after.as_deref(), Some("c1"));
        second.send(&events([2, 3, 4])).await;
        (live, second)
    };
    let (_live, seen) = tokio::join!(play, told(&mut following, 7));
    assert_eq!(seen[1..], ["e1", "-", "+stream", "e2", "e3", "e4"]);
}

// Mutant: dropping `next` drops the read -> it is asked again and again, or never comes back.
#[tokio::test]
async fn a_hole_is_filled_though_its_reader_looks_away() {
    let peer = Peer::start().await;
    let mut following =
        peer.client().follow(["room:1"], Start::After("c0".into()), Transport::Tcp, GapPolicy::Tell).unwrap();
    let play = async {
        let mut live = peer.greet(Transport::Tcp, "c0").await;
        live.send(&events([1, 3])).await;
        let (_, mut socket) = peer.request().await;
        respond(&mut socket, "200 OK", "", &page(&events([2, 3]), "c3", false)).await;
        (live, socket)
    };
    let deliveries = async {
        let mut seen = Vec::new();
        while seen.len() < 3 {
            tokio::select! {
                biased;
                delivery = following.next() => {
                    if let Delivery::Event(event) = delivery.unwrap() {
                        seen.push(event.seq);
                    }
                }
                () = tokio::task::yield_now() => {}
            }
        }
        seen
    };
    let (_live, seen) = tokio::join!(play, within(deliveries));
    assert_eq!(seen, [1, 2, 3]);
}
