//! Coming back after an end.

use std::{borrow::Cow, time::Duration};

use sosik_client::{Delivery, Error, GapPolicy, Interruption, Start, Transport};
use sosik_wire::{Code, Down, Goodbye, GoodbyeFrame, Problem};

use crate::peer::{Peer, event, events, refuse, respond, timers, told, within};

async fn interrupted(following: &mut sosik_client::Following) -> Interruption {
    loop {
        match within(following.next()).await.unwrap() {
            Delivery::Interrupted(told) => return told,
            Delivery::Connected(_) | Delivery::CaughtUp(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

fn goodbye(code: u16, retry: bool, after_ms: u64) -> Down {
    Down::Goodbye(GoodbyeFrame { code, name: Cow::Borrowed("x"), retry, after_ms, spread_ms: 0 })
}

// Mutants: `from` not set from the link's place -> `after` is that of the first request; dedupe made anew for each
// connection -> e2 comes twice.
#[tokio::test]
async fn a_cut_connection_is_resumed_from_the_last_event_and_nothing_is_repeated() {
    for transport in Transport::ALL {
        let peer = Peer::start().await;
        let mut following =
            peer.client().follow(["room:1"], Start::After("c0".into()), transport, GapPolicy::Tell).unwrap();
        let play = async {
            let mut first = peer.greet(transport, "c0").await;
            first.send(&events([1, 2])).await;
            if matches!(transport, Transport::Poll | Transport::LongPoll) {
                first.next_request().await;
            }
            drop(first);
            let mut second = peer.greet(transport, "c2").await;
            assert_eq!(second.asked.after.as_deref(), Some("c2"), "{transport}");
            second.send(&events([2, 3])).await;
            second
        };
        let deliveries = async {
            let mut seen = Vec::new();
            while seen.last().is_none_or(|last| last != "e3") {
                seen.extend(told(&mut following, 1).await.into_iter().filter(|told| told.starts_with('e')));
            }
            seen
        };
        let (_second, seen) = tokio::join!(play, deliveries);
        assert_eq!(seen, ["e1", "e2", "e3"], "{transport}");
        assert_eq!(following.counts().repeats, 1, "{transport}");
    }
}

// Mutant: the goodbye's times ignored -> `again_in` is our own guess.
#[tokio::test]
async fn a_goodbye_says_when_to_come_back_over_every_transport() {
    for transport in Transport::ALL {
        let peer = Peer::start().await;
        let mut following = peer.client().follow(["room:1"], Start::Now, transport, GapPolicy::Tell).unwrap();
        let play = async {
            let mut accepted = peer.greet(transport, "c0").await;
            accepted.send(&[goodbye(4101, true, 77_000)]).await;
            accepted
        };
        let (_accepted, told) = tokio::join!(play, interrupted(&mut following));
        assert_eq!(told.again_in, Duration::from_secs(77), "{transport}");
        assert!(matches!(told.error, Error::Goodbye(_)), "{transport}");
    }
}

// Mutant: every goodbye retried -> a kicked client is back within a second.
#[tokio::test]
async fn a_goodbye_for_good_ends_the_following_after_what_came_before_it() {
    for transport in Transport::ALL {
        let peer = Peer::start().await;
        let mut following = peer.client().follow(["room:1"], Start::Now, transport, GapPolicy::Tell).unwrap();
        let play = async {
            let mut accepted = peer.greet(transport, "c0").await;
            let mut frames = events([1]);
            frames.push(goodbye(4008, false, 0));
            accepted.send(&frames).await;
            accepted
        };
        let (_accepted, seen) = tokio::join!(play, told(&mut following, 2));
        assert_eq!(seen[1], "e1", "{transport}");
        let error = within(following.next()).await.unwrap_err();
        assert!(matches!(&error, Error::Goodbye(frame) if frame.code == 4008), "{transport}: {error}");
    }
}

// Mutant: closes taken for cuts -> a proxy that eats the goodbye frame and passes the close makes a kicked client return.
#[tokio::test]
async fn the_close_of_a_websocket_says_what_the_lost_goodbye_frame_said() {
    for (goodbye, ends) in [(Goodbye::Kicked, true), (Goodbye::Rebalance, false)] {
        let peer = Peer::start().await;
        let mut following =
            peer.client().follow(["room:1"], Start::Now, Transport::WebSocket, GapPolicy::Tell).unwrap();
        let play = async {
            let mut accepted = peer.greet(Transport::WebSocket, "c0").await;
            accepted.raw(&sosik_wire::websocket::close(goodbye, "because")).await;
            accepted
        };
        let (_accepted, next) = tokio::join!(play, async {
            assert_eq!(told(&mut following, 1).await, ["+websocket"]);
            within(following.next()).await
        });
        let error = match next {
            Ok(Delivery::Interrupted(told)) if !ends => {
                assert_eq!(told.again_in, Duration::ZERO);
                told.error
            }
            Err(error) if ends => error,
            other => panic!("{other:?}"),
        };
        assert!(matches!(error, Error::Goodbye(frame) if frame.code == goodbye.number()));
    }
}

// Mutant: `Retry-After` and the document's own time ignored -> fails.
#[tokio::test]
async fn a_server_that_is_busy_says_when_to_come_back() {
    for transport in
        [Transport::Poll, Transport::LongPoll, Transport::Stream, Transport::Sse, Transport::WebSocket]
    {
        let peer = Peer::start().await;
        let mut following = peer.client().follow(["room:1"], Start::Now, transport, GapPolicy::Tell).unwrap();
        let play = async {
            let (_, mut socket) = peer.request().await;
            let busy = Problem { retry_after_ms: 90_000, ..Problem::new(Code::Overloaded, "full") };
            refuse(&mut socket, &busy).await;
        };
        let ((), told) = tokio::join!(play, interrupted(&mut following));
        assert_eq!(told.again_in, Duration::from_secs(90), "{transport}");
        let peer = Peer::start().await;
        let mut following = peer.client().follow(["room:1"], Start::Now, transport, GapPolicy::Tell).unwrap();
        let play = async {
            let (_, mut socket) = peer.request().await;
            respond(&mut socket, "503 Unavailable", "retry-after: 40\r\n", "").await;
        };
        let ((), told) = tokio::join!(play, interrupted(&mut following));
        assert_eq!(told.again_in, Duration::from_secs(40), "{transport}");
    }
}

// Mutant: no watchdog -> the second connection never comes. Its timing is proven in line.rs on a paused clock.
#[tokio::test]
async fn a_mute_connection_is_dropped_and_resumed() {
    for transport in [Transport::Stream, Transport::Sse, Transport::WebSocket, Transport::Tcp] {
        let peer = Peer::start().await;
        let grace = Duration::from_millis(50);
        let client = peer.client_with(sosik_client::Timers { grace, ..timers() });
        let mut following = client.follow(["room:1"], Start::Now, transport, GapPolicy::Tell).unwrap();
        let play = async {
            let mut mute = peer.accept(transport).await;
            mute.greet("c0", 50).await;
            let mut second = peer.greet(transport, "c0").await;
            assert_eq!(second.asked.after.as_deref(), Some("c0"));
            second.send(&events([1])).await;
            (mute, second)
        };
        let deliveries = async {
            let told = interrupted(&mut following).await;
            assert!(matches!(told.error, Error::Silent(_)), "{transport}: {}", told.error);
            assert_eq!(crate::peer::told(&mut following, 2).await[1], "e1");
        };
        tokio::join!(play, deliveries);
    }
}

// Mutants: `place` dropped from the ok of a subscribe, or from a welcome -> the second request says `now` again, and what
// was published between the two is lost.
#[tokio::test]
async fn the_place_told_first_is_where_a_cut_connection_goes_on() {
    for transport in Transport::ALL {
        let peer = Peer::start().await;
        let mut following = peer.client().follow(["room:1"], Start::Now, transport, GapPolicy::Tell).unwrap();
        let play = async {
            let mut first = peer.greet(transport, "c9").await;
            if matches!(transport, Transport::Poll | Transport::LongPoll) {
                first.answer(&[], "c9", false).await;
                first.next_request().await;
            }
            drop(first);
            peer.accept(transport).await
        };
        let read = async {
            loop {
                drop(following.next().await);
            }
        };
        let second = tokio::select! {
            second = within(play) => second,
            () = read => unreachable!(),
        };
        assert_eq!(second.asked.after.as_deref(), Some("c9"), "{transport}");
    }
}

// Mutant: a repeat moves the place -> the third request begins at x.
#[tokio::test]
async fn a_repeat_does_not_move_the_place() {
    let peer = Peer::start().await;
    let start = Start::After("c0".into());
    let mut following = peer.client().follow(["room:1"], start, Transport::Sse, GapPolicy::Tell).unwrap();
    let play = async {
        let mut first = peer.greet(Transport::Sse, "c0").await;
        first.send(&events([1, 2])).await;
        drop(first);
        let mut second = peer.greet(Transport::Sse, "c2").await;
        second.send(&[event("room:1", 1, "x")]).await;
        drop(second);
        peer.accept(Transport::Sse).await
    };
    let read = async {
        loop {
            drop(following.next().await);
        }
    };
    let third = tokio::select! {
        third = within(play) => third,
        () = read => unreachable!(),
    };
    assert_eq!(third.asked.after.as_deref(), Some("c2"));
    assert_eq!(following.cursor(), Some("c2"));
}
