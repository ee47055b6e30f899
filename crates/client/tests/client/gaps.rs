//! Gaps reach whoever has to know.

use std::sync::{Arc, Mutex};

use sosik_client::{Error, GapFrame, GapPolicy, OnGap, Start, Transport};

use crate::peer::{Accepted, Peer, caught_up, events, gap, told, within};

/// A following that is sent event 1, a gap up to 5, and event 5.
async fn play(on_gap: impl OnGap + 'static) -> (sosik_client::Following, Accepted) {
    let peer = Peer::start().await;
    let mut following = peer.client().follow(["room:1"], Start::Start, Transport::Sse, on_gap).unwrap();
    let (accepted, _) = tokio::join!(
        async {
            let mut accepted = peer.greet(Transport::Sse, "c0").await;
            let [first, last] = [events([1]), events([5])];
            accepted.send(&[&first[..], &[gap(5, "c4")], &last, &[caught_up("c5")]].concat()).await;
            accepted
        },
        told(&mut following, 1)
    );
    (following, accepted)
}

// Mutant: the closure called when the gap arrives and not in its place -> it has not seen event 1 delivered.
#[tokio::test]
async fn a_closure_is_asked_in_the_gaps_place() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let notes = asked.clone();
    let on_gap = move |gap: &GapFrame| {
        notes.lock().unwrap().push(gap.next_seq);
        GapPolicy::Skip
    };
    let (mut following, _accepted) = play(on_gap).await;
    assert_eq!(told(&mut following, 1).await, ["e1"]);
    assert_eq!(*asked.lock().unwrap(), []);
    assert_eq!(told(&mut following, 2).await, ["e5", "up"]);
    assert_eq!(*asked.lock().unwrap(), [Some(5)]);
    assert_eq!(following.counts().gaps, 1);
}

// Mutant: `Stop` goes on -> e5 follows. The place is the gap's, so that whoever has read the state anew can go on there.
#[tokio::test]
async fn a_policy_of_stop_ends_with_the_gap() {
    let (mut following, accepted) = play(GapPolicy::Stop).await;
    assert_eq!(told(&mut following, 1).await, ["e1"]);
    for _ in 0..2 {
        let error = within(following.next()).await.unwrap_err();
        assert!(matches!(&error, Error::Gap(gap) if gap.next_seq == Some(5)), "{error}");
    }
    assert_eq!(following.cursor(), Some("c4"));
    accepted.closed().await;
}

#[tokio::test]
async fn a_policy_of_tell_delivers_it() {
    let (mut following, _accepted) = play(GapPolicy::Tell).await;
    assert_eq!(told(&mut following, 4).await, ["e1", "g5", "e5", "up"]);
}
