//! What operators take away: trimmed, deleted, forgotten.

use sosik_core::{Cut, Removed, Side, Verb, Verbs, limits::APPEND_RETRY_MS};

use super::*;

// Mutant: the turn waited for without an end -> the publisher is not answered.
#[tokio::test]
async fn a_removal_that_the_store_does_not_answer_keeps_no_publisher_waiting() {
    let mut rig = Rig::new().await;
    rig.publish(&["shot:a"]).await;
    let slow = rig.stores[1].trimming.clone().lock_owned().await;
    let mut jobs = JoinSet::new();
    let node = rig.running.node.clone();
    jobs.spawn(async move { node.forget(&grant(SPACES), &channel("shot:a"), 1_000_000).await.map(drop) });
    settle().await;
    let (node, now) = (rig.running.node.clone(), rig.now);
    let publish = async move { node.publish(&grant(SPACES), vec![draft("room:a", "1")], now).await };
    jobs.spawn(async move { publish.await.map(drop) });
    settle().await;
    rig.pass(APPEND_RETRY_MS).await;
    assert_eq!(jobs.try_join_next().unwrap().unwrap(), Err(Error::Unavailable));
    drop(slow);
    assert_eq!(jobs.join_next().await.unwrap().unwrap(), Ok(()));
    assert_eq!(rig.publish(&["room:a"]).await[0].seq, 1);
}

// Mutant: the mark raised before the store has answered -> a gap is told that is not there.
#[tokio::test]
async fn a_removal_that_the_store_refuses_is_told_to_nobody() {
    let mut rig = Rig::new().await;
    let a = rig.publish_each(&["room:a", "room:a", "shot:a"]).await;
    *rig.stores[1].refusing.lock().unwrap() = Some("");
    let log = rig.running.node.log(LogId::Memory).clone();
    let refused = log.trim(&channel("room:a"), a[0].position, 2).await;
    assert_eq!(
        (refused, log.forget(&channel("shot:a")).await),
        (Err(Error::StorageFailed), Err(Error::StorageFailed))
    );
    for restarts in [false, true] {
        if restarts {
            rig.restart().await;
        }
        let told = rig.told(&["room:a", "shot:a"], Start::Beginning).await;
        assert_eq!(told, ["room:a#1", "room:a#2", "shot:a#3"]);
    }
}

// Mutants: whoever may publish may trim; one event too many -> fails.
#[tokio::test]
async fn an_operator_trims_what_it_may_manage() {
    let rig = Rig::new().await;
    rig.publish(&["room:a"; 50]).await;
    let (node, name) = (&rig.running.node, channel("room:a"));
    let rules =
        [(Pattern::Channel(name.clone()), Verbs::from_iter([Verb::Read, Verb::Publish, Verb::History]))];
    let other = Grant::anonymous(rules);
    let refused = node.trim(&other, &name, Cut::Keep(10), rig.now).await.unwrap_err();
    assert!(matches!(refused, Error::Forbidden { verb: Verb::Manage, .. }));
    assert!(node.delete(&other, &name, rig.now).await.is_err());
    let manager = grant(SPACES);
    let trimmed = node.trim(&manager, &name, Cut::Below(11), rig.now).await.unwrap();
    assert_eq!((trimmed, rig.kept("room:a").await), (Removed { events: 10, next_seq: 11 }, (11, 40)));
    let trimmed = node.trim(&manager, &name, Cut::Keep(15), rig.now).await.unwrap();
    assert_eq!((trimmed, rig.kept("room:a").await), (Removed { events: 25, next_seq: 36 }, (36, 15)));
    for nothing in [Cut::Keep(15), Cut::Keep(1_000), Cut::Below(5), Cut::Below(36)] {
        let trimmed = node.trim(&manager, &name, nothing, rig.now).await.unwrap();
        assert_eq!(trimmed, Removed { events: 0, next_seq: 36 }, "{nothing:?}");
    }
    assert_eq!(node.trim(&manager, &channel("room:none"), Cut::Keep(0), rig.now).await.unwrap().events, 0);
}

#[tokio::test]
async fn a_deleted_channel_goes_on_with_the_next_number_behind_a_gap() {
    let mut rig = Rig::new().await;
    rig.publish_each(&["room:a", "room:a", "room:b"]).await;
    let deleted = rig.running.node.delete(&grant(SPACES), &channel("room:a"), rig.now).await.unwrap();
    assert_eq!(deleted, Removed { events: 2, next_seq: 3 });
    let mut fresh = rig.read(&["room:a"], Start::Now).await;
    assert_eq!(rig.drain(&mut fresh).await, [""; 0]);
    let before = Side::Before(None);
    let history =
        rig.running.node.history(&grant(SPACES), &channel("room:a"), before, 10, rig.now).await.unwrap();
    assert!(history.events.is_empty() && !history.more && history.gap.is_some(), "{history:?}");
    assert_eq!(rig.publish(&["room:a"]).await[0].seq, 3);
    assert_eq!(rig.drain(&mut fresh).await, ["room:a#3"]);
    for restarts in [false, true] {
        if restarts {
            rig.restart().await;
        }
        let told = rig.told(&["room:a"], behind(1)).await;
        assert_eq!(told, ["room:a trimmed at 2 next 3 lost ?", "room:a#3"]);
        assert_eq!(rig.told(&["room:a"], Start::Last(5)).await, ["room:a#3"]);
    }
}

// Mutant: any namespace will do -> its numbers begin anew.
#[tokio::test]
async fn only_channels_that_may_be_forgotten_are() {
    let rig = Rig::new().await;
    rig.publish(&["room:a", "shot:a"]).await;
    let node = &rig.running.node;
    let refused = node.forget(&grant(SPACES), &channel("room:a"), rig.now).await;
    assert!(matches!(refused, Err(Error::Request(_))));
    let forgotten = node.forget(&grant(SPACES), &channel("shot:a"), rig.now).await.unwrap();
    assert_eq!(forgotten, Removed { events: 1, next_seq: 3 });
    assert_eq!(rig.told(&["shot:a"], behind(0)).await, ["shot:a forgotten at 2 next ? lost ?"]);
}
