//! Rule 14: what has an idempotency key is stored once while the key is remembered, and not on a guess afterwards.

use super::*;

const HOUR: u64 = 3_600_000;

async fn send(rig: &Rig, text: &str, data: &str) -> Outcome {
    rig.publish_once("alice", vec![draft("room:a", data.to_owned())], key(text, None)).await
}

async fn send_made(rig: &Rig, text: &str, made_at: u64) -> Outcome {
    rig.publish_once("alice", vec![draft("room:a", "1")], key(text, Some(made_at))).await
}

// Mutants: the key is not written; the duplicate is answered with the channel's newest place -> fails.
#[tokio::test]
async fn a_known_key_is_a_duplicate_with_its_original_place() {
    let mut rig = Rig::new().await;
    assert_eq!(places(&send(&rig, "k", "1").await), [(1, 1, false)]);
    assert_eq!(places(&send(&rig, "l", "1").await), [(2, 2, false)], "the same event under another key");
    assert_eq!(places(&send(&rig, "k", "1").await), [(1, 1, true)]);
    rig.restart().await;
    assert_eq!(places(&send(&rig, "k", "1").await), [(1, 1, true)]);
    assert_eq!(rig.running.node.log(LogId::Memory).figures().duplicates, 1, "since the start");
}

// Mutant: the body is not compared -> the second event is lost in silence.
#[tokio::test]
async fn another_body_under_a_key_is_a_conflict() {
    let rig = Rig::new().await;
    send(&rig, "k", "1").await.unwrap();
    assert_eq!(send(&rig, "k", "2").await, Err(Error::KeyConflict));
    let both = vec![draft("room:a", "1"), draft("room:a", "1")];
    assert_eq!(rig.publish_once("alice", both, key("k", None)).await, Err(Error::KeyConflict));
    assert_eq!(places(&send(&rig, "k", "1").await), [(1, 1, true)]);
}

// Mutants: the subject or the channel left out of the key -> a stranger's key is a duplicate.
#[tokio::test]
async fn a_key_belongs_to_subject_and_channel() {
    let rig = Rig::new().await;
    send(&rig, "k", "1").await.unwrap();
    for (subject, name) in [("bob", "room:a"), ("", "room:a"), ("alice", "room:b"), ("alice", "typing:a")] {
        let one = rig.publish_once(subject, vec![draft(name, "1")], key("k", None)).await;
        assert!(!one.unwrap()[0].duplicate, "{subject} in {name}");
    }
}

// Mutants: only the first place is remembered; the scope is the last draft's channel -> fails.
#[tokio::test]
async fn an_array_is_one_batch_under_one_key_in_the_scope_of_its_first_channel() {
    let rig = Rig::new().await;
    let all = || vec![draft("room:a", "1"), draft("room:b", "2"), draft("room:b", "3")];
    let first = rig.publish_once("alice", all(), key("k", None)).await;
    assert_eq!(places(&first), [(1, 1, false), (1, 2, false), (2, 3, false)]);
    rig.publish(&["room:a", "room:b"]).await;
    let again = rig.publish_once("alice", all(), key("k", None)).await;
    assert_eq!(places(&again), [(1, 1, true), (1, 2, true), (2, 3, true)]);
    let mut turned = all();
    turned.swap(1, 2);
    assert_eq!(rig.publish_once("alice", turned, key("k", None)).await, Err(Error::KeyConflict));
    let alone = rig.publish_once("alice", vec![draft("room:b", "2")], key("k", None)).await;
    assert_eq!(places(&alone), [(4, 6, false)], "the scope of room:b");
}

// Mutant: judged one by one against the store alone -> both are stored.
#[tokio::test]
async fn a_repeat_in_the_same_group_shares_the_fate_of_the_first() {
    let rig = Rig::new().await;
    let mut jobs = JoinSet::new();
    for (at, data) in ["1", "1", "2", "1"].into_iter().enumerate() {
        let node = rig.running.node.clone();
        let publish = Publish { drafts: vec![draft("room:a", data)], once: Some(key("k", None)) };
        jobs.spawn(async move { (at, node.publish(&grant(SPACES), publish, 1).await) });
    }
    let mut all = jobs.join_all().await;
    all.sort_by_key(|(at, _)| *at);
    assert_eq!(places(&all[0].1), [(1, 1, false)]);
    assert_eq!(all[2].1, Err(Error::KeyConflict));
    for at in [1, 3] {
        assert_eq!(places(&all[at].1), [(1, 1, true)]);
    }
    assert_eq!(rig.stores[1].truth.lock().unwrap().facts.len(), 1);
}

// Mutant: the age of an unknown key is not looked at -> a key of last week is stored again.
#[tokio::test]
async fn an_unknown_key_older_than_the_window_is_refused() {
    let mut rig = Rig::new().await;
    rig.now = 100 * HOUR;
    assert_eq!(send_made(&rig, "old", rig.now - 24 * HOUR - 1).await, Err(Error::KeyExpired));
    assert_eq!(send_made(&rig, "old", 0).await, Err(Error::KeyExpired));
    assert_eq!(places(&send_made(&rig, "young", rig.now - 24 * HOUR).await), [(1, 1, false)]);
    rig.now += HOUR;
    assert_eq!(
        places(&send_made(&rig, "young", rig.now - 25 * HOUR).await),
        [(1, 1, true)],
        "known is known, however old"
    );
}

// Mutants: the bound not looked at when an unknown key is judged -> stored twice; the slack taken whole -> a namespace
// whose window is short takes nothing any more.
#[tokio::test]
async fn a_key_that_the_bound_has_pushed_out_is_refused_and_not_stored_again() {
    let mut rig = Rig::with(|space| space.idempotency_keys_max = 3).await;
    rig.now = 100 * HOUR;
    let made = |number: u64| 100 * HOUR + number * 1_000;
    for number in 0..10 {
        rig.now = made(number) + 5;
        let text = format!("k{number}");
        assert!(!send_made(&rig, &text, made(number)).await.unwrap()[0].duplicate);
    }
    rig.now += 1_000;
    for number in 0..10 {
        let outcome = send_made(&rig, &format!("k{number}"), made(number)).await;
        if number < 7 {
            assert_eq!(outcome, Err(Error::KeyExpired), "key {number}");
        } else {
            assert!(outcome.unwrap()[0].duplicate, "key {number}");
        }
    }
    let new = send_made(&rig, "new", rig.now - 20).await.unwrap();
    assert_eq!((new[0].seq, new[0].duplicate), (11, false));
    // Its maker's clock was half a second ahead; it was pushed out all the same.
    assert_eq!(send_made(&rig, "k6", made(6) + 500).await, Err(Error::KeyExpired));
}

// Without a time nobody can tell: this is what the time in a UUIDv7 is for.
#[tokio::test]
async fn a_key_without_a_time_that_was_pushed_out_is_taken_for_a_new_one() {
    let rig = Rig::with(|space| space.idempotency_keys_max = 1).await;
    send(&rig, "a", "1").await.unwrap();
    send(&rig, "b", "1").await.unwrap();
    assert_eq!(places(&send(&rig, "a", "1").await), [(3, 3, false)]);
}

// Mutant: keys and producers share their bound -> the key is pushed out.
#[tokio::test]
async fn keys_and_producers_have_bounds_of_their_own() {
    let rig = Rig::with(|space| space.producers_max = 1).await;
    send(&rig, "k", "1").await.unwrap();
    for id in ["a", "b", "c"] {
        rig.publish_once("alice", vec![draft("room:a", "1")], producer(id, 1, 1)).await.unwrap();
    }
    assert!(send(&rig, "k", "1").await.unwrap()[0].duplicate);
}

#[tokio::test]
async fn a_key_of_no_or_too_many_bytes_is_refused() {
    let rig = Rig::new().await;
    assert!(matches!(send(&rig, "", "1").await, Err(Error::Request(_))));
    assert!(matches!(send(&rig, &"k".repeat(65), "1").await, Err(Error::TooLarge { most: 64, .. })));
    send(&rig, &"k".repeat(64), "1").await.unwrap();
}
