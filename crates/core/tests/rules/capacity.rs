//! What a log may hold in all: refused beyond it, or its oldest events let go.

use sosik_core::{Capacity, Full};

use super::{retention::unreadable, *};

// Mutants: not refused; counted anew after a restart -> fails.
#[tokio::test]
async fn a_log_that_holds_what_it_may_refuses_until_room_is_made() {
    let capacity = Capacity { bytes_max: 100_000, full: Full::Refuse };
    let mut rig = Rig::with_capacity(capacity).await;
    let mut stored = 0;
    let full = loop {
        match rig.publish_one("room:a", 1_000).await {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
    };
    assert_eq!((full.clone(), stored > 75 && stored < 86), (Error::StorageFull, true), "{stored}");
    let figures = rig.running.node.log(LogId::Memory).figures();
    assert!(figures.is_nearly_full() && figures.kept_bytes <= figures.kept_bytes_max, "{figures:?}");
    assert!(rig.publish_one("typing:a", 1_000).await.is_ok(), "a signal is not kept");
    assert_eq!(rig.told(&["room:a"], Start::Beginning).await.len(), stored, "readers go on");
    let stores = rig.stores.clone().map(|store| Arc::new(store) as Arc<dyn Store>);
    let options = NodeOptions { capacities: [capacity; 2], ..NodeOptions::new(rig.spaces.clone(), 99) };
    rig.running = Running::open(options, stores).await;
    settle().await;
    assert_eq!(rig.publish_one("room:a", 1_000).await, Err(Error::StorageFull), "still after a restart");
    rig.running.node.delete(&grant(SPACES), &channel("room:a"), rig.now).await.unwrap();
    assert!(rig.publish_one("room:a", 1_000).await.is_ok());
}

// Mutants: the room looked at before what is remembered; not looked at for what asks to be stored once -> fails.
#[tokio::test]
async fn a_full_log_answers_for_what_it_has_stored_already() {
    let rig = Rig::with_capacity(Capacity { bytes_max: 100_000, full: Full::Refuse }).await;
    let one = || vec![Draft::json(channel("room:a"), format!("\"{}\"", "x".repeat(2_000)))];
    let send = async |once| rig.publish_once("alice", one(), once).await;
    assert_eq!(places(&send(key("k", None)).await), [(1, 1, false)]);
    assert_eq!(places(&send(producer("p", 1, 1)).await), [(2, 2, false)]);
    while rig.publish_one("room:b", 2_000).await.is_ok() {}
    for new in [key("new", None), producer("p", 1, 2), producer("q", 1, 1)] {
        assert_eq!(send(new).await, Err(Error::StorageFull));
    }
    assert_eq!(places(&send(key("k", None)).await), [(1, 1, true)]);
    assert_eq!(places(&send(producer("p", 1, 1)).await), [(2, 2, true)]);
    rig.running.node.delete(&grant(SPACES), &channel("room:b"), rig.now).await.unwrap();
    assert!(!send(producer("p", 1, 2)).await.unwrap()[0].duplicate, "what was refused is not remembered");
    assert!(!send(key("new", None)).await.unwrap()[0].duplicate);
}

// Mutant: the first failure ends it -> the log stays full.
#[tokio::test]
async fn a_channel_that_cannot_be_trimmed_keeps_no_other_from_making_room() {
    let rig = Rig::with_capacity(Capacity { bytes_max: 100_000, full: Full::Trim }).await;
    *rig.stores[1].refusing.lock().unwrap() = Some("room:bad");
    for name in ["room:bad"; 60].into_iter().chain(["room:good"; 150]) {
        rig.publish_one(name, 1_000).await.unwrap();
    }
    assert_eq!(rig.kept("room:bad").await, (1, 60));
}

// Mutant, planted and seen to fail: room made of what lies before it alone.
#[tokio::test]
async fn an_order_that_cannot_be_read_keeps_nothing_behind_it_from_making_room() {
    let rig = Rig::with_capacity(Capacity { bytes_max: 100_000, full: Full::Trim }).await;
    unreadable(&rig).await;
    for _ in 0..150 {
        rig.publish_one("room:new", 1_000).await.unwrap();
    }
    assert_eq!(rig.kept("room:lost").await.1, 2);
    assert_eq!((rig.kept("room:a").await.1, rig.kept("room:b").await.1), (0, 0));
}

// Mutant: one namespace trimmed alone -> fails.
#[tokio::test]
async fn a_log_that_trims_lets_its_oldest_events_go_whatever_their_channel() {
    let rig = Rig::with_capacity(Capacity { bytes_max: 100_000, full: Full::Trim }).await;
    for name in ["room:old", "game:old"] {
        for _ in 0..10 {
            rig.publish_one(name, 1_000).await.unwrap();
        }
    }
    for _ in 0..150 {
        rig.publish_one("room:new", 1_000).await.unwrap();
        assert!(rig.running.node.log(LogId::Memory).figures().kept_bytes <= 100_000);
    }
    assert_eq!((rig.kept("room:old").await, rig.kept("game:old").await), ((11, 0), (11, 0)));
    let (first_seq, events) = rig.kept("room:new").await;
    assert!(first_seq + events == 151 && events > 35, "{first_seq} {events}");
    let told = rig.told(&["room:old"], Start::Beginning).await;
    assert_eq!(told, ["room:old trimmed at 10 next 11 lost 10"]);
}
