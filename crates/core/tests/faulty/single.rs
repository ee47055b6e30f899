//! One fault at a time, with the clock in hand.

use std::sync::Arc;

use sosik_core::{Budget, Epoch, Error, Look, NodeOptions, Page, Reader, Side, Start, Store, What};
use sosik_testkit::Memory;
use sosik_testkit::faulty::{AppendFault, FaultPlan, Faulty, PER};
use tokio::task::JoinHandle;

use crate::{
    kit::{Running, channel, draft, grant, is_ready, patterns},
    namespaces, rest,
};

const NOW: u64 = 1_000_000;

/// Not alone: another node may be ahead.
fn double() -> Faulty {
    let faulty =
        Faulty::new(Arc::new(Memory::new(Epoch::new(1))), 1, FaultPlan { foreign: 1, ..FaultPlan::none() });
    faulty.set_plan(FaultPlan::none());
    faulty
}

async fn node(faulty: &Faulty) -> Running {
    node_with(faulty, 7).await
}

async fn node_with(faulty: &Faulty, seed: u64) -> Running {
    let stores: [Arc<dyn Store>; 2] = [Arc::new(faulty.clone()), Arc::new(Memory::new(Epoch::new(2)))];
    let running = Running::open(NodeOptions::new(namespaces(), seed), stores).await;
    running.node.tick(NOW);
    rest().await;
    running
}

type Outcome = Result<Vec<sosik_core::Published>, Error>;

fn publish(running: &Running, name: &str, now: u64) -> JoinHandle<Outcome> {
    let (node, drafts) = (running.node.clone(), vec![draft(name, "1")]);
    #[allow(clippy::disallowed_methods, reason = "the test awaits it")]
    tokio::spawn(async move { node.publish(&grant(&["room", "shot"]), drafts, now).await })
}

async fn read(running: &Running, start: Start) -> Reader {
    running.node.read(grant(&["room"]), &patterns(&["room:a"]), start, NOW).await.unwrap()
}

fn look(reader: &mut Reader, now: u64) -> Result<Vec<String>, Error> {
    let mut page = Page::default();
    let mut seen = Vec::new();
    while reader.look(now, Budget { events: 9, bytes: 999 }, &mut page)? == Look::Found {
        seen.extend(page.items.iter().map(|item| match &item.what {
            What::Event(event) => format!("{}#{}", event.channel, event.seq),
            other => format!("{other:?}"),
        }));
        reader.took(&page, page.items.len());
    }
    Ok(seen)
}

// Mutants: acknowledged by the store's answer alone; not acknowledged when the second is over -> fails.
#[tokio::test]
async fn an_acknowledgement_waits_for_the_head_but_one_second_at_most() {
    let faulty = double();
    let running = node(&faulty).await;
    let mut reader = read(&running, Start::Beginning).await;
    faulty.hold_news();
    let mut late = publish(&running, "room:a", NOW);
    assert!(is_ready(&mut late).await.is_none(), "the head has not passed it");
    assert_eq!(look(&mut reader, NOW).unwrap(), ["CaughtUp"], "stored, but not visible");
    running.node.tick(NOW + 999);
    assert!(is_ready(&mut late).await.is_none());
    running.node.tick(NOW + 1_000);
    let placed = is_ready(&mut late).await.unwrap().unwrap().unwrap();
    assert_eq!(placed[0].seq, 1);
    assert!(look(&mut reader, NOW).unwrap().is_empty(), "still not visible");
    let mut soon = publish(&running, "room:a", NOW + 1_000);
    assert!(is_ready(&mut soon).await.is_none());
    faulty.release_news();
    assert_eq!(
        is_ready(&mut soon).await.unwrap().unwrap().unwrap()[0].seq,
        2,
        "numbered behind what was not told"
    );
    assert_eq!(look(&mut reader, NOW).unwrap(), ["room:a#1", "room:a#2"]);
}

#[tokio::test]
async fn a_store_that_is_away_for_ten_seconds_makes_publishes_unavailable() {
    let faulty = double();
    let running = node(&faulty).await;
    faulty.set_plan(FaultPlan { unavailable: PER, ..FaultPlan::none() });
    let mut first = publish(&running, "room:a", NOW);
    assert!(is_ready(&mut first).await.is_none());
    let mut second = publish(&running, "room:a", NOW + 5_000);
    for ms in (500..10_000).step_by(500) {
        running.node.tick(NOW + ms);
        assert!(is_ready(&mut first).await.is_none(), "after {ms} ms");
    }
    running.node.tick(NOW + 10_000);
    assert_eq!(is_ready(&mut first).await.unwrap().unwrap(), Err(Error::Unavailable));
    assert!(is_ready(&mut second).await.is_none(), "it has its own ten seconds");
    faulty.set_plan(FaultPlan::none());
    running.node.tick(NOW + 10_500);
    assert_eq!(is_ready(&mut second).await.unwrap().unwrap().unwrap()[0].seq, 1);
}

// Mutant: `give_up` left out of `tick` -> what waits behind a store that is away waits twenty seconds, and for ever while
// the log cannot be opened again.
#[tokio::test]
async fn what_waits_for_its_turn_waits_ten_seconds_at_most() {
    let faulty = double();
    let running = node(&faulty).await;
    faulty.set_plan(FaultPlan { unavailable: PER, ..FaultPlan::none() });
    let mut first = publish(&running, "room:a", NOW);
    assert!(is_ready(&mut first).await.is_none());
    let mut second = publish(&running, "room:a", NOW + 1);
    assert!(is_ready(&mut second).await.is_none());
    running.node.tick(NOW + 10_001);
    assert_eq!(is_ready(&mut first).await.unwrap().unwrap(), Err(Error::Unavailable));
    assert_eq!(is_ready(&mut second).await.unwrap().unwrap(), Err(Error::Unavailable));
}

// Mutant: a refused attempt numbers a new batch although the one before may be stored -> two events.
#[tokio::test]
async fn an_attempt_of_unknown_fate_is_never_numbered_again() {
    for refusal in [AppendFault::Unavailable, AppendFault::AnswerLost, AppendFault::BatchLost] {
        let faulty = double();
        let running = node(&faulty).await;
        faulty.hold_news();
        faulty.script([AppendFault::AnswerLost, refusal]);
        let mut outcome = publish(&running, "room:a", NOW);
        assert!(is_ready(&mut outcome).await.is_none());
        faulty.release_news();
        for ms in [100, 200, 300, 400] {
            running.node.tick(NOW + ms);
            rest().await;
        }
        let placed = is_ready(&mut outcome).await.unwrap().unwrap().unwrap();
        assert_eq!((placed[0].seq, placed[0].duplicate), (1, false), "it was sent by this call alone");
        let mut reader = read(&running, Start::Beginning).await;
        assert_eq!(look(&mut reader, NOW).unwrap(), ["room:a#1", "CaughtUp"], "{refusal:?}");
    }
}

// Mutant: conflicts tried again at once without end -> nobody else runs.
#[tokio::test]
async fn a_conflict_is_answered_by_reading_again_and_does_not_spin() {
    let faulty = double();
    let running = node(&faulty).await;
    faulty.script(vec![AppendFault::Conflict; 40]);
    let mut outcome = publish(&running, "room:a", NOW);
    // It tries some times at once, then waits for time to go on: everybody else still runs.
    assert!(is_ready(&mut outcome).await.is_none());
    for ms in 1..=40 {
        running.node.tick(NOW + ms);
        rest().await;
    }
    assert_eq!(is_ready(&mut outcome).await.unwrap().unwrap().unwrap()[0].seq, 1);
}

// Mutants, each planted and seen to fail: the whole group refused for one channel, at once or when it is read again after
// a conflict; the publish into two channels sent for the one that is whole; the same batch sent again; a new channel
// refused because its namespace's records are read for it.
#[tokio::test]
async fn a_channel_whose_record_cannot_be_read_is_refused_alone() {
    for faults in [vec![], vec![AppendFault::Conflict], vec![AppendFault::Conflict; 9]] {
        let faulty = double();
        let running = node(&faulty).await;
        for name in ["room:a", "room:b", "room:c"] {
            is_ready(&mut publish(&running, name, NOW)).await.unwrap().unwrap().unwrap();
        }
        // While the store is away, all of these come into one append.
        faulty.set_plan(FaultPlan { unavailable: PER, ..FaultPlan::none() });
        let mut held = publish(&running, "room:c", NOW);
        assert!(is_ready(&mut held).await.is_none());
        let mut each =
            ["room:a", "room:b", "room:a", "room:c", "room:new"].map(|name| publish(&running, name, NOW));
        let (node, both) = (running.node.clone(), vec![draft("room:b", "1"), draft("room:a", "1")]);
        #[allow(clippy::disallowed_methods, reason = "the test awaits it")]
        let mut both = tokio::spawn(async move { node.publish(&grant(&["room"]), both, NOW).await });
        assert!(is_ready(&mut both).await.is_none());
        faulty.damage(channel("room:a"));
        faulty.set_plan(FaultPlan::none());
        faulty.script([AppendFault::None].into_iter().chain(faults));
        for ms in 1..=20 {
            running.node.tick(NOW + ms);
            rest().await;
        }
        assert_eq!(is_ready(&mut held).await.unwrap().unwrap().unwrap()[0].seq, 2);
        let mut outcomes = Vec::new();
        for outcome in &mut each {
            outcomes.push(is_ready(outcome).await.unwrap().unwrap().map(|placed| placed[0].seq));
        }
        let refused = Err(Error::StorageFailed);
        assert_eq!(outcomes, [refused.clone(), Ok(2), refused.clone(), Ok(3), Ok(1)]);
        assert_eq!(is_ready(&mut both).await.unwrap().unwrap(), Err(Error::StorageFailed));
        assert_eq!(
            is_ready(&mut publish(&running, "room:b", NOW)).await.unwrap().unwrap().unwrap()[0].seq,
            3
        );
    }
}

// Mutant: `ahead` forgets that the store has no record -> numbered behind the old one until the news comes.
#[tokio::test]
async fn a_name_that_another_node_has_forgotten_can_be_used_before_that_is_heard() {
    let memory = Arc::new(Memory::new(Epoch::new(1)));
    let faulty = Faulty::new(memory.clone(), 1, FaultPlan { foreign: 1, ..FaultPlan::none() });
    faulty.set_plan(FaultPlan::none());
    let running = node(&faulty).await;
    is_ready(&mut publish(&running, "shot:a", NOW)).await.unwrap().unwrap().unwrap();
    faulty.hold_news();
    memory.forget(&channel("shot:a")).await.unwrap();
    let mut outcome = publish(&running, "shot:a", NOW);
    assert!(is_ready(&mut outcome).await.is_none());
    running.node.tick(NOW + 1_000);
    assert_eq!(is_ready(&mut outcome).await.unwrap().unwrap().unwrap()[0].seq, 2);
    faulty.release_news();
    assert_eq!(is_ready(&mut publish(&running, "shot:a", NOW)).await.unwrap().unwrap().unwrap()[0].seq, 3);
}

// Mutant: `caught_up` said above the head -> told, though something may be missing.
#[tokio::test]
async fn a_cursor_above_the_head_waits_five_seconds_and_is_sent_elsewhere() {
    let (store, behind) = {
        let store: Arc<dyn Store> = Arc::new(double());
        let behind = Faulty::new(store.clone(), 2, FaultPlan { foreign: 1, ..FaultPlan::none() });
        behind.set_plan(FaultPlan::none());
        (store, behind)
    };
    let ahead = Faulty::new(store, 3, FaultPlan { foreign: 1, ..FaultPlan::none() });
    ahead.set_plan(FaultPlan::none());
    let (here, there) = (node_with(&ahead, 1).await, node_with(&behind, 2).await);
    behind.hold_news();
    let mut outcome = publish(&here, "room:a", NOW);
    is_ready(&mut outcome).await.unwrap().unwrap().unwrap();
    let mut reader = read(&here, Start::Beginning).await;
    assert_eq!(look(&mut reader, NOW).unwrap(), ["room:a#1", "CaughtUp"]);
    let cursor = Start::After(reader.cursor().unwrap());

    let mut waiting = read(&there, cursor.clone()).await;
    assert_eq!(look(&mut waiting, NOW).unwrap(), [""; 0], "neither a gap nor caught up");
    assert_eq!(waiting.due(), Some(NOW + 5_000));
    assert_eq!(look(&mut waiting, NOW + 4_999).unwrap(), [""; 0]);
    assert_eq!(look(&mut waiting, NOW + 5_000), Err(Error::Rebalance));

    let mut patient = read(&there, cursor).await;
    assert_eq!(look(&mut patient, NOW).unwrap(), [""; 0]);
    behind.release_news();
    rest().await;
    assert_eq!(look(&mut patient, NOW + 9_000).unwrap(), ["CaughtUp"]);
    assert_eq!(patient.due(), None);
}

// Mutants: publishes queued for an ended life are numbered in the next one -> the runtime spins on conflicts; `run`
// telling nobody -> who waits is sent away at the next heartbeat.
#[tokio::test]
async fn a_new_life_sends_readers_back_and_publishes_go_on() {
    let faulty = double();
    let running = node(&faulty).await;
    let mut outcome = publish(&running, "room:a", NOW);
    is_ready(&mut outcome).await.unwrap().unwrap().unwrap();
    let mut reader = read(&running, Start::Beginning).await;
    assert_eq!(look(&mut reader, NOW).unwrap(), ["room:a#1", "CaughtUp"]);
    faulty.set_plan(FaultPlan { unavailable: PER, ..FaultPlan::none() });
    let all = running.node.read(grant(&["room"]), &patterns(&["room:*"]), Start::Now, NOW).await.unwrap();
    let mut sent = publish(&running, "room:a", NOW);
    assert!(is_ready(&mut sent).await.is_none());
    let mut queued = publish(&running, "room:a", NOW);
    assert!(is_ready(&mut queued).await.is_none());
    running.heard.take();
    faulty.replace(Arc::new(Memory::new(Epoch::new(9))));
    assert_eq!(is_ready(&mut sent).await.unwrap().unwrap(), Err(Error::Unavailable));
    assert_eq!(is_ready(&mut queued).await.unwrap().unwrap(), Err(Error::Unavailable));
    rest().await;
    let heard = running.heard.take();
    assert!(reader.watches().chain(all.watches()).all(|watch| heard.contains(&watch)), "{heard:?}");
    assert_eq!(look(&mut reader, NOW), Err(Error::Rebalance));
    faulty.set_plan(FaultPlan::none());
    let mut outcome = publish(&running, "room:a", NOW);
    let placed = is_ready(&mut outcome).await.unwrap().unwrap().unwrap();
    assert_eq!((placed[0].seq, placed[0].epoch), (1, Epoch::new(9)));
    let mut back = read(&running, Start::After(reader.cursor().unwrap())).await;
    let seen = look(&mut back, NOW).unwrap();
    assert!(seen[0].contains("reason: Epoch"), "{seen:?}");
    assert_eq!(seen[1..], ["room:a#1", "CaughtUp"]);
}

// Mutant: `history` taking one page of the store whatever lies above the head -> an empty page whose cursor is the start.
#[tokio::test]
async fn history_finds_what_is_visible_below_what_is_not_yet() {
    let faulty = double();
    let running = node(&faulty).await;
    let mut outcome = publish(&running, "room:a", NOW);
    is_ready(&mut outcome).await.unwrap().unwrap().unwrap();
    faulty.hold_news();
    for _ in 0..3 {
        assert!(is_ready(&mut publish(&running, "room:a", NOW)).await.is_none());
    }
    let (grant, channel) = (grant(&["room"]), channel("room:a"));
    let newest = running.node.history(&grant, &channel, Side::Before(None), 2, NOW).await.unwrap();
    assert_eq!(newest.events.iter().map(|event| event.seq).collect::<Vec<_>>(), [1]);
    assert!(!newest.more && newest.gap.is_none(), "{newest:?}");
}
