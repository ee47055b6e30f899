//! Rule 13: what a producer numbers is stored once, in its order, without a hole.

use super::*;

/// `room:a` in the name of alice, by producer `p` of epoch 1.
async fn send(rig: &Rig, seq: u64) -> Outcome {
    send_as(rig, producer("p", 1, seq), "room:a", &seq.to_string()).await
}

async fn send_as(rig: &Rig, once: Once, name: &str, data: &str) -> Outcome {
    rig.publish_once("alice", vec![draft(name, data.to_owned())], once).await
}

fn stored(rig: &Rig) -> usize {
    rig.stores.iter().map(|store| store.truth.lock().unwrap().facts.len()).sum()
}

// Mutant: an unknown producer may begin anywhere -> a first publish that was lost is never missed.
#[tokio::test]
async fn an_unknown_producer_begins_at_one() {
    let rig = Rig::new().await;
    assert_eq!(send(&rig, 2).await, Err(Error::ProducerGap { expected: 1 }));
    assert_eq!(send(&rig, 3).await, Err(Error::ProducerGap { expected: 1 }), "a refusal leaves nothing");
    assert_eq!(places(&send(&rig, 1).await), [(1, 1, false)]);
    assert_eq!(stored(&rig), 1);
}

// Mutant: what is above the next number is stored -> 3 comes before 2.
#[tokio::test]
async fn a_hole_is_told_with_the_number_that_is_expected() {
    let rig = Rig::new().await;
    send(&rig, 1).await.unwrap();
    assert_eq!(send(&rig, 3).await, Err(Error::ProducerGap { expected: 2 }));
    assert_eq!(send(&rig, u64::MAX).await, Err(Error::ProducerGap { expected: 2 }));
    assert_eq!(places(&send(&rig, 2).await), [(2, 2, false)]);
    assert_eq!(places(&send(&rig, 3).await), [(3, 3, false)]);
}

// Mutants: the duplicate is answered with the newest place; it is stored again -> fails.
#[tokio::test]
async fn a_lower_number_is_a_duplicate_with_its_original_place() {
    let rig = Rig::new().await;
    for seq in 1..=5 {
        send(&rig, seq).await.unwrap();
        rig.publish(&["room:a"]).await;
    }
    for seq in [3, 1, 5, 4] {
        assert_eq!(places(&send(&rig, seq).await), [(2 * seq - 1, 2 * seq - 1, true)], "number {seq}");
    }
    let again = send(&rig, 2).await.unwrap()[0];
    let first = rig.stores[1].truth.lock().unwrap().facts[2].stored.clone();
    assert_eq!((again.position, again.log, again.epoch), (first.position, LogId::Memory, Epoch::new(2)));
    assert_eq!(again.level, sosik_core::store::Level::Memory);
    assert_eq!(stored(&rig), 10);
    assert_eq!(rig.running.node.log(LogId::Memory).figures().duplicates, 5);
    assert_eq!(places(&send(&rig, 6).await), [(11, 11, false)], "the next one is not in doubt");
}

// Mutant: the body is not compared -> the second event is lost in silence.
#[tokio::test]
async fn another_body_under_a_number_is_a_conflict() {
    let rig = Rig::new().await;
    send(&rig, 1).await.unwrap();
    send(&rig, 2).await.unwrap();
    let other = send_as(&rig, producer("p", 1, 1), "room:a", "\"other\"").await;
    assert_eq!(other, Err(Error::ProducerConflict));
    let named = Draft { name: "say".into(), ..draft("room:a", "1") };
    let named = rig.publish_once("alice", vec![named], producer("p", 1, 1)).await;
    assert_eq!(named, Err(Error::ProducerConflict));
    assert_eq!(places(&send(&rig, 1).await), [(1, 1, true)]);
    assert_eq!(stored(&rig), 2);
}

// Mutants: 63 or 65 held -> one of the ends fails.
#[tokio::test]
async fn the_last_64_are_known_and_what_is_lower_is_forgotten() {
    let rig = Rig::new().await;
    for seq in 1..=100 {
        send(&rig, seq).await.unwrap();
    }
    assert_eq!(send(&rig, 36).await, Err(Error::ProducerForgotten));
    assert_eq!(send(&rig, 1).await, Err(Error::ProducerForgotten));
    for seq in 37..=100 {
        assert_eq!(places(&send(&rig, seq).await), [(seq, seq, true)]);
    }
    assert_eq!(stored(&rig), 100);
}

// Mutants: a higher epoch goes on behind the lower one's numbers; a lower one is still let in -> fails.
#[tokio::test]
async fn a_higher_epoch_begins_at_one_and_fences_the_lower() {
    let rig = Rig::new().await;
    for seq in 1..=3 {
        send(&rig, seq).await.unwrap();
    }
    let in_epoch = async |epoch, seq| send_as(&rig, producer("p", epoch, seq), "room:a", "1").await;
    assert_eq!(in_epoch(5, 4).await, Err(Error::ProducerGap { expected: 1 }));
    assert_eq!(places(&send(&rig, 3).await), [(3, 3, true)], "nothing has taken over yet");
    assert_eq!(places(&in_epoch(5, 1).await), [(4, 4, false)]);
    assert_eq!(send(&rig, 4).await, Err(Error::ProducerFenced { epoch: 5 }));
    assert_eq!(send(&rig, 3).await, Err(Error::ProducerFenced { epoch: 5 }), "also what it had stored");
    assert_eq!(places(&in_epoch(5, 1).await), [(4, 4, true)]);
    assert_eq!(places(&in_epoch(5, 2).await), [(5, 5, false)]);
}

// Mutants: the subject, the producer's id or the channel left out of the key -> a stranger's number is a duplicate.
#[tokio::test]
async fn a_sequence_belongs_to_subject_producer_and_channel() {
    let rig = Rig::new().await;
    send(&rig, 1).await.unwrap();
    let one = async |subject: &str, id: &str, name: &str| {
        rig.publish_once(subject, vec![draft(name, "1")], producer(id, 1, 1)).await.unwrap()[0].duplicate
    };
    assert!(!one("bob", "p", "room:a").await);
    assert!(!one("", "p", "room:a").await);
    assert!(!one("alice", "q", "room:a").await);
    assert!(!one("alice", "p", "room:b").await);
    assert!(one("alice", "p", "room:b").await);
}

// Mutant: judged one by one against the store alone -> the second of a group is refused, the repeat is stored twice.
#[tokio::test]
async fn publishes_of_one_group_see_those_before_them() {
    let rig = Rig::new().await;
    let mut jobs = JoinSet::new();
    for (at, seq) in [1, 2, 2, 4, 3, 1, 3].into_iter().enumerate() {
        let node = rig.running.node.clone();
        let publish =
            Publish { drafts: vec![draft("room:a", seq.to_string())], once: Some(producer("p", 1, seq)) };
        jobs.spawn(async move { (at, node.publish(&grant(SPACES), publish, 1).await) });
    }
    let mut all = jobs.join_all().await;
    all.sort_by_key(|(at, _)| *at);
    let all: Vec<_> = all.into_iter().map(|(_, outcome)| outcome).collect();
    assert_eq!(all[3], Err(Error::ProducerGap { expected: 3 }));
    let places: Vec<_> = [0, 1, 2, 4, 5, 6].iter().flat_map(|&at| places(&all[at])).collect();
    let told = [(1, 1, false), (2, 2, false), (2, 2, true), (3, 3, false), (1, 1, true), (3, 3, true)];
    assert_eq!(places, told);
    assert_eq!(*rig.stores[1].batches.lock().unwrap(), [3], "one append for all");
    let later = rig.publish_once("", vec![draft("room:a", "2")], producer("p", 1, 2)).await;
    assert_eq!(self::places(&later), [(2, 2, true)]);
}

// Mutant: the ring keeps the 64 oldest of a group -> the newest are forgotten.
#[tokio::test]
async fn a_group_may_hold_more_of_a_producer_than_are_remembered() {
    let rig = Rig::new().await;
    let mut jobs = JoinSet::new();
    for seq in 1..=200_u64 {
        let node = rig.running.node.clone();
        let publish = Publish { drafts: vec![draft("room:a", "1")], once: Some(producer("p", 1, seq)) };
        jobs.spawn(async move { node.publish(&grant(SPACES), publish, 1).await.unwrap()[0].seq });
    }
    let mut all = jobs.join_all().await;
    all.sort_unstable();
    assert!(all.into_iter().eq(1..=200));
    let again = async |seq| rig.publish_once("", vec![draft("room:a", "1")], producer("p", 1, seq)).await;
    assert_eq!(again(136).await, Err(Error::ProducerForgotten));
    for seq in [137, 199, 200] {
        assert_eq!(places(&again(seq).await), [(seq, seq, true)]);
    }
}

// Mutant: the memo is kept in the core alone -> after a restart it is stored twice.
#[tokio::test]
async fn a_restarted_node_knows_what_was_stored() {
    let mut rig = Rig::new().await;
    for seq in 1..=3 {
        send(&rig, seq).await.unwrap();
    }
    rig.restart().await;
    assert_eq!(places(&send(&rig, 3).await), [(3, 3, true)]);
    assert_eq!(places(&send(&rig, 4).await), [(4, 4, false)]);
}

// A signal is an event like any other here: it has a place and a number.
// Mutant: signals are stored without their memo -> the repeat is another one.
#[tokio::test]
async fn a_signal_is_stored_once_too() {
    let rig = Rig::new().await;
    assert_eq!(places(&send_as(&rig, producer("p", 1, 1), "typing:a", "1").await), [(1, 1, false)]);
    assert_eq!(places(&send_as(&rig, producer("p", 1, 1), "typing:a", "1").await), [(1, 1, true)]);
}

// Mutant: `keep.most` not given on -> the first producer is still known.
#[tokio::test]
async fn more_producers_than_the_namespace_remembers_push_out_those_that_wrote_longest_ago() {
    let rig = Rig::with(|space| space.producers_max = 2).await;
    let one = async |id, seq| send_as(&rig, producer(id, 1, seq), "room:a", "1").await;
    one("a", 1).await.unwrap();
    one("b", 1).await.unwrap();
    one("a", 2).await.unwrap();
    one("c", 1).await.unwrap();
    assert_eq!(one("b", 2).await, Err(Error::ProducerGap { expected: 1 }), "it wrote longest ago");
    assert!(one("a", 2).await.unwrap()[0].duplicate);
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_before_it_waits() {
    let rig = Rig::new().await;
    let refused = async |drafts: usize, once| {
        let drafts = (0..drafts).map(|_| draft("room:a", "1")).collect();
        rig.publish_once("alice", drafts, once).await.unwrap_err()
    };
    assert!(matches!(refused(2, producer("p", 1, 1)).await, Error::Request(_)), "it numbers single events");
    assert!(matches!(refused(1, producer("p", 1, 0)).await, Error::Request(_)));
    assert!(matches!(refused(1, producer("", 1, 1)).await, Error::Request(_)));
    assert!(matches!(refused(1, producer(&"p".repeat(65), 1, 1)).await, Error::TooLarge { most: 64, .. }));
    assert_eq!(stored(&rig), 0);
    send_as(&rig, producer(&"p".repeat(64), u64::MAX, 1), "room:a", "1").await.unwrap();
}
