//! Make before break.

use std::time::Duration;

use sosik_client::{Delivery, GapPolicy, Start, Transport};
use sosik_wire::{Code, Problem};

use crate::peer::{Accepted, Peer, caught_up, events, gap, refuse, told};

/// A following that has had events 1 to 3 over `transport`.
async fn after_three(peer: &Peer, transport: Transport) -> (sosik_client::Following, Accepted) {
    let start = Start::After("c0".into());
    let mut following = peer.client().follow(["room:1"], start, transport, GapPolicy::Tell).unwrap();
    let play = async {
        let mut accepted = peer.greet(transport, "c0").await;
        accepted.send(&events([1, 2, 3])).await;
        accepted
    };
    let (accepted, seen) = tokio::join!(play, told(&mut following, 4));
    assert_eq!(seen[1..], ["e1", "e2", "e3"]);
    (following, accepted)
}

// Mutants: the old connection closed when the new one opens -> event 4 comes late or never; the new one opened from where
// the old one began -> `after` is c0; repeats not dropped -> e4 twice; the old one kept -> `closed` hangs.
#[tokio::test]
async fn all_36_changes_deliver_over_both_and_nothing_twice() {
    for from in Transport::ALL {
        for to in Transport::ALL {
            let peer = Peer::start().await;
            let (mut following, mut old) = after_three(&peer, from).await;
            following.change(to);
            let is_shot = |transport| matches!(transport, Transport::Poll | Transport::LongPoll);
            let play = async {
                let mut new = peer.accept(to).await;
                assert_eq!(new.asked.after.as_deref(), Some("c3"), "{from} to {to}");
                new.greet("c3", 25_000).await;
                // The old one still delivers.
                old.send(&events([4])).await;
                (new, old)
            };
            let ((mut new, old), seen) = tokio::join!(play, async {
                let mut seen = told(&mut following, 1).await;
                // A poll that has answered all there is says so once.
                while seen.last().unwrap() == "up" {
                    seen = told(&mut following, 1).await;
                }
                seen
            });
            assert_eq!(seen, ["e4"], "{from} to {to}");
            assert_eq!((following.transport(), following.cursor()), (from, Some("c4")));
            let play = async {
                new.send(&events([4, 5])).await;
                old.closed().await;
                if is_shot(to) {
                    new.next_request().await;
                }
                new.send(&events([6])).await;
                new
            };
            let (_new, seen) = tokio::join!(play, async {
                let mut seen = Vec::new();
                while seen.last().is_none_or(|last| last != "e6") {
                    seen.extend(told(&mut following, 1).await.into_iter().filter(|told| told != "up"));
                }
                seen
            });
            assert_eq!(seen, [format!("+{to}"), "e5".into(), "e6".into()], "{from} to {to}");
            assert_eq!((following.transport(), following.cursor()), (to, Some("c6")));
            assert_eq!(following.counts().repeats, 1);
        }
    }
}

// Mutant: a repeat counts as delivered, or moves the cursor -> the old one is closed and its event 5 lost for a while.
#[tokio::test]
async fn repeats_do_not_end_the_old_connection() {
    let peer = Peer::start().await;
    let (mut following, mut old) = after_three(&peer, Transport::Sse).await;
    old.send(&events([4])).await;
    assert_eq!(told(&mut following, 1).await, ["e4"]);
    following.change(Transport::Tcp);
    let (mut new, _) = tokio::join!(peer.greet(Transport::Tcp, "c4"), async {});
    new.send(&events([3, 4])).await;
    let (_, repeats) = tokio::join!(async {}, async {
        // Repeats are no deliveries; the old connection's next event is.
        while following.counts().repeats < 2 {
            tokio::select! {
                delivery = following.next() => panic!("{delivery:?}"),
                () = tokio::time::sleep(Duration::from_millis(5)) => {}
            }
        }
        following.counts().repeats
    });
    assert_eq!(repeats, 2);
    old.send(&events([5])).await;
    assert_eq!(told(&mut following, 1).await, ["e5"]);
    assert_eq!((following.transport(), following.cursor()), (Transport::Sse, Some("c5")));
    new.send(&[caught_up("c5")]).await;
    assert_eq!(told(&mut following, 2).await, ["+tcp", "up"]);
    old.closed().await;
}

// Mutant: only events end the old connection -> a quiet channel never changes.
#[tokio::test]
async fn being_caught_up_or_a_gap_ends_the_old_connection_too() {
    for (frame, short) in [(caught_up("c3"), "up"), (gap(9, "c8"), "g9")] {
        let peer = Peer::start().await;
        let (mut following, old) = after_three(&peer, Transport::WebSocket).await;
        following.change(Transport::Stream);
        let play = async {
            let mut new = peer.greet(Transport::Stream, "c3").await;
            new.send(&[frame]).await;
            new
        };
        let (_new, seen) = tokio::join!(play, told(&mut following, 2));
        assert_eq!(seen, ["+stream", short]);
        old.closed().await;
    }
}

// Mutant: a failed change ends the following, or the old connection is gone by then -> fails.
#[tokio::test]
async fn a_change_that_fails_is_told_and_the_old_connection_goes_on() {
    let peer = Peer::start().await;
    let (mut following, mut old) = after_three(&peer, Transport::Sse).await;
    following.change(Transport::WebSocket);
    let play = async {
        let (_, mut socket) = peer.request().await;
        refuse(&mut socket, &Problem::new(Code::Upgrade, "a proxy took the header")).await;
    };
    let ((), delivery) = tokio::join!(play, following.next());
    let Delivery::NotChanged(told_of) = delivery.unwrap() else { panic!() };
    assert_eq!(told_of.transport, Transport::WebSocket);
    old.send(&events([4])).await;
    assert_eq!(told(&mut following, 1).await, ["e4"]);
    assert_eq!(following.transport(), Transport::Sse);
}

// Mutant: an end of the old connection schedules a reconnect although the new one is there -> a third connection.
#[tokio::test]
async fn if_the_old_connection_dies_first_the_new_one_goes_on() {
    let peer = Peer::start().await;
    let (mut following, old) = after_three(&peer, Transport::Sse).await;
    following.change(Transport::Tcp);
    let (mut new, delivery) = tokio::join!(
        async {
            let new = peer.greet(Transport::Tcp, "c3").await;
            drop(old);
            new
        },
        following.next()
    );
    let Delivery::Interrupted(told_of) = delivery.unwrap() else { panic!() };
    // When it would come back if it were alone, and a little later.
    tokio::select! {
        delivery = following.next() => panic!("{delivery:?}"),
        () = tokio::time::sleep(told_of.again_in + Duration::from_millis(100)) => {}
    }
    assert!(!peer.is_asked(), "a third connection");
    new.send(&events([4])).await;
    assert_eq!(told(&mut following, 2).await, ["+tcp", "e4"]);
}

// Mutant: `change` while nothing is connected waits for the old transport's turn -> whoever is stuck stays stuck.
#[tokio::test]
async fn between_two_attempts_a_change_tries_the_new_transport_at_once() {
    let peer = Peer::start().await;
    let mut following =
        peer.client().follow(["room:1"], Start::Now, Transport::Sse, GapPolicy::Tell).unwrap();
    let play = async {
        let (_, mut socket) = peer.request().await;
        let busy = Problem { retry_after_ms: 900_000, ..Problem::new(Code::Overloaded, "full") };
        refuse(&mut socket, &busy).await;
    };
    let ((), seen) = tokio::join!(play, told(&mut following, 1));
    assert_eq!(seen, ["-"]);
    following.change(Transport::Poll);
    let play = async {
        let mut new = peer.accept(Transport::Poll).await;
        new.send(&events([1])).await;
        new
    };
    let (_new, seen) = tokio::join!(play, told(&mut following, 2));
    assert_eq!(seen, ["+poll", "e1"]);
}

// Mutant: the second change leaves the first one's connection -> both would take over.
#[tokio::test]
async fn a_change_under_way_gives_way_to_the_next() {
    let peer = Peer::start().await;
    let (mut following, _old) = after_three(&peer, Transport::Sse).await;
    following.change(Transport::Tcp);
    let first = peer.accept(Transport::Tcp).await;
    following.change(Transport::Stream);
    first.closed().await;
    let play = async {
        let mut new = peer.greet(Transport::Stream, "c3").await;
        new.send(&events([4])).await;
        new
    };
    let (_new, seen) = tokio::join!(play, told(&mut following, 2));
    assert_eq!(seen, ["+stream", "e4"]);
}
