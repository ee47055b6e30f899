//! How much is kept and for how long: retention, the capacity of a log, and what operators take away.

use sosik_core::{Capacity, Cut, Full, Removed, Side, Verb, Verbs, limits::APPEND_RETRY_MS};

use super::*;

impl Rig {
    /// Time goes on evenly for so many milliseconds, ten ticks a second.
    async fn pass(&mut self, ms: u64) {
        for _ in 0..ms / 100 {
            self.tick(100).await;
        }
        settle().await;
    }

    async fn tick(&mut self, ms: u64) {
        self.now += ms;
        self.running.node.tick(self.now);
        tokio::task::yield_now().await;
        if self.now % 1_000 < 100 {
            settle().await;
        }
    }

    /// What is kept of a channel: its first number and how many.
    async fn kept(&self, name: &str) -> (u64, u64) {
        let log = if name.starts_with("disk") { 0 } else { 1 };
        let head = self.stores[log].inner.channel(&channel(name)).await.unwrap().unwrap();
        (head.first_seq, head.events())
    }

    async fn with_capacity(capacity: Capacity) -> Self {
        let mut rig = Self::new().await;
        let stores = rig.stores.clone().map(|store| Arc::new(store) as Arc<dyn Store>);
        let options = NodeOptions {
            capacities: [capacity; 2],
            ..NodeOptions::new(rig.spaces.clone(), fastrand::u64(..))
        };
        rig.running = Running::open(options, stores).await;
        rig
    }

    async fn publish_one(&self, name: &str, bytes: usize) -> Result<u64, Error> {
        let drafts = vec![Draft::json(channel(name), format!("\"{}\"", "x".repeat(bytes - 2)))];
        let published = self.running.node.publish(&grant(SPACES), drafts, self.now).await?;
        settle().await;
        Ok(published[0].seq)
    }
}

// Mutant: down to one fewer than the maximum -> fails.
#[tokio::test]
async fn a_channel_keeps_its_maximum_and_at_most_a_tenth_more() {
    let mut rig = Rig::with(|space| space.events_max = 100).await;
    for n in 1..=110 {
        rig.publish(&["room:a"]).await;
        assert_eq!(rig.kept("room:a").await, (1, n));
    }
    rig.publish(&["room:a"]).await;
    assert_eq!(rig.kept("room:a").await, (12, 100));
    // A burst is taken away at once, also one larger than what is read at once.
    rig.publish(&["room:a"; 700]).await;
    rig.publish(&["room:a"; 900]).await;
    assert_eq!(rig.kept("room:a").await, (1612, 100));
    let told = rig.told(&["room:a"], Start::Beginning).await;
    assert_eq!(told[..2], ["room:a trimmed at 1611 next 1612 lost 1611", "room:a#1612"]);
    rig.restart().await;
    let told = rig.told(&["room:a"], Start::Beginning).await;
    assert_eq!(told[..2], ["room:a trimmed at 1611 next 1612 lost 1611", "room:a#1612"]);
}

#[tokio::test]
async fn a_restart_does_not_let_a_channel_keep_more() {
    let mut rig = Rig::with(|space| space.events_max = 100).await;
    rig.publish(&["room:a"; 105]).await;
    for next in 1..=30 {
        rig.restart().await;
        rig.publish(&["room:a"]).await;
        let (first_seq, events) = rig.kept("room:a").await;
        assert!((100..=110).contains(&events) && first_seq + events == 106 + next, "{first_seq} {events}");
    }
}

// Mutant: as many taken away as are above, and one event more -> fails.
#[tokio::test]
async fn a_channel_keeps_its_bytes_and_at_most_a_tenth_more() {
    for restarts in [false, true] {
        let mut rig = Rig::with(|space| space.bytes_max = 100_000).await;
        let mut most = 0;
        for n in 1..=60 {
            rig.publish_one("room:a", 3_000).await.unwrap();
            if restarts && n % 7 == 0 {
                rig.restart().await;
            }
            let head = rig.stores[1].inner.channel(&channel("room:a")).await.unwrap().unwrap();
            most = most.max(head.bytes);
            assert!(head.bytes <= 110_000 && (head.first_seq == 1 || head.bytes >= 100_000), "{head:?}");
        }
        assert!(most > 105_000, "up to a tenth more is left alone: {most}");
        assert!(rig.kept("room:a").await.0 > 20);
    }
}

// Mutants: nothing held back in the first minute; more than a hundredth at once -> fails.
#[tokio::test]
async fn what_is_too_old_goes_slowly_and_not_in_the_first_minute() {
    let mut rig = Rig::with(|space| space.age_max_ms = Some(600_000)).await;
    rig.publish(&["room:a"; 500]).await;
    rig.publish(&["room:b"; 20]).await;
    rig.pass(500_000).await;
    rig.publish(&["room:a"]).await;
    rig.pass(99_000).await;
    assert_eq!(rig.kept("room:a").await, (1, 501), "not old enough");
    rig.restart().await;
    rig.pass(59_000).await;
    assert_eq!(rig.kept("room:a").await, (1, 501), "nothing in the first minute");
    let mut before = 501;
    for _ in 0..5 {
        rig.pass(1_000).await;
        let (_, events) = rig.kept("room:a").await;
        assert!(before - events <= 6, "{before} to {events} within a second");
        before = events;
    }
    assert!((470..485).contains(&before), "{before}");
    assert!(rig.kept("room:b").await.1 >= 18, "one of twenty in five seconds");
    rig.pass(900_000).await;
    assert_eq!(rig.kept("room:a").await, (502, 0), "in the end all of it");
    let told = rig.told(&["room:a"], Start::Beginning).await;
    assert_eq!(told, ["room:a trimmed at 521 next 502 lost 501"]);
}

// Mutants: the jump taken for time that has passed; the wall clock believed at once -> hundreds are gone.
#[tokio::test]
async fn a_clock_that_jumps_empties_nothing() {
    let mut rig = Rig::with(|space| space.age_max_ms = Some(600_000)).await;
    rig.now = 100 * 3_600_000;
    rig.publish(&["room:a"; 300]).await;
    rig.pass(120_000).await;
    let before = rig.now;
    // An hour ahead for ten minutes in all, and back, several times.
    for _ in 0..5 {
        rig.now += 3_600_000;
        rig.pass(30_000).await;
        rig.now -= 3_600_000;
        rig.pass(1_000).await;
    }
    assert_eq!(rig.now, before + 155_000);
    assert_eq!(rig.kept("room:a").await, (1, 300), "none is ten minutes old");
    rig.now -= 3_600_000;
    rig.pass(60_000).await;
    assert_eq!(rig.kept("room:a").await, (1, 300), "an hour behind");
}

// Mutant: the walk leaving out what has no options -> it stays.
#[tokio::test]
async fn channels_age_that_nobody_touches_and_whose_namespace_is_gone() {
    let mut rig = Rig::with(|space| space.age_max_ms = (*space.name != *"game").then_some(600_000)).await;
    rig.publish(&["room:a", "room:b", "game:a", "shot:a"]).await;
    rig.spaces.retain(|space| *space.name != *"shot");
    rig.now += 8 * 24 * 3_600_000;
    rig.restart().await;
    rig.pass(62_000).await;
    for (name, events) in [("room:a", 0), ("room:b", 0), ("game:a", 1), ("shot:a", 0)] {
        assert_eq!(rig.kept(name).await.1, events, "{name}");
    }
}

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

// Mutant: what failed asked again at once -> nothing ages while it fails.
#[tokio::test]
async fn a_channel_that_cannot_be_trimmed_keeps_no_other_from_aging() {
    let mut rig = Rig::with(|space| (space.events_max, space.age_max_ms) = (100, Some(600_000))).await;
    *rig.stores[1].refusing.lock().unwrap() = Some("room:bad");
    rig.publish(&["game:a"; 2]).await;
    rig.now += 3_600_000;
    rig.restart().await;
    rig.publish(&["room:bad"; 200]).await;
    rig.pass(180_000).await;
    assert_eq!((rig.kept("room:bad").await.1, rig.kept("game:a").await.1), (200, 0));
    *rig.stores[1].refusing.lock().unwrap() = None;
    rig.pass(2_000).await;
    assert_eq!(rig.kept("room:bad").await.1, 100, "it is asked again");
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

/// Fifty events of which the order of those from 11 to 30 cannot be read: those of `room:lost` are all among them, and that
/// of `room:next` comes next.
async fn unreadable(rig: &Rig) {
    for at in 1..=50 {
        let name = match at {
            12 | 14 => "room:lost",
            31 => "room:next",
            at if at % 2 == 1 => "room:a",
            _ => "room:b",
        };
        rig.publish_one(name, 1_000).await.unwrap();
    }
    *rig.stores[1].lost.lock().unwrap() = Some((Position::new(11), Position::new(30)));
}

// Mutants, each planted and seen to fail: not gone on behind it; gone on at the first place that is found to be readable;
// not counted.
#[tokio::test]
async fn an_order_that_cannot_be_read_keeps_nothing_behind_it_from_aging() {
    let mut rig = Rig::with(|space| space.age_max_ms = Some(600_000)).await;
    unreadable(&rig).await;
    rig.publish(&["room:c"]).await;
    rig.restart().await;
    rig.pass(900_000).await;
    for (name, events) in [("room:a", 0), ("room:b", 0), ("room:c", 0), ("room:next", 0), ("room:lost", 2)] {
        assert_eq!(rig.kept(name).await.1, events, "{name}");
    }
    assert_eq!(rig.running.node.log(LogId::Memory).figures().unreadable, 1);
}

// Mutant, planted and seen to fail: the whole log passed over.
#[tokio::test]
async fn an_order_that_cannot_be_read_to_its_end_is_asked_again_and_not_without_end() {
    let mut rig = Rig::with(|space| space.age_max_ms = Some(600_000)).await;
    unreadable(&rig).await;
    *rig.stores[1].lost.lock().unwrap() = Some((Position::new(1), Position::new(50)));
    rig.restart().await;
    rig.pass(700_000).await;
    rig.stores[1].reads.store(0, Ordering::Relaxed);
    rig.pass(100_000).await;
    let reads = rig.stores[1].reads.load(Ordering::Relaxed);
    assert!(reads < 100 * 2 * 20, "{reads} in a hundred seconds");
    assert_eq!(rig.kept("room:b").await.1, 23);
    *rig.stores[1].lost.lock().unwrap() = None;
    rig.pass(400_000).await;
    assert_eq!(rig.kept("room:b").await.1, 0, "nothing was passed over");
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

// Mutants: a channel that is followed forgotten; one before its time -> fails.
#[tokio::test]
async fn a_channel_is_forgotten_when_it_was_quiet_for_long_and_nobody_follows_it() {
    let mut rig = Rig::with(|space| {
        space.forget_after_ms = space.forgettable.then_some(600_000);
        space.age_max_ms = Some(300_000);
    })
    .await;
    rig.publish_each(&["shot:a", "shot:b", "shot:c", "room:a"]).await;
    let reader = rig.read(&["shot:b"], Start::Now).await;
    let has =
        async |rig: &Rig, name: &str| rig.stores[1].inner.channel(&channel(name)).await.unwrap().is_some();
    rig.pass(300_000).await;
    rig.publish_each(&["shot:c"]).await;
    rig.pass(290_000).await;
    assert!(has(&rig, "shot:a").await, "not quiet for long");
    rig.pass(60_000).await;
    assert_eq!(
        [has(&rig, "shot:a").await, has(&rig, "shot:b").await, has(&rig, "shot:c").await],
        [false, true, true]
    );
    drop(reader);
    rig.pass(400_000).await;
    assert!(!has(&rig, "shot:b").await && !has(&rig, "shot:c").await, "also those of which nothing was left");
    assert!(has(&rig, "room:a").await, "its namespace does not forget");
    let next = rig.publish(&["shot:a"]).await;
    assert_eq!(next[0].seq, next[0].position.number());
    let told = rig.told(&["shot:a"], behind(1)).await;
    assert_eq!(told[1..], [format!("shot:a#{}", next[0].seq)], "{told:?}");
    assert!(told[0].starts_with("shot:a forgotten"), "{told:?}");
}
