//! How much is kept of a channel and for how long.

use sosik_core::Capacity;

use super::*;

impl Rig {
    /// Time goes on evenly for so many milliseconds, ten ticks a second.
    pub(super) async fn pass(&mut self, ms: u64) {
        for _ in 0..ms / 100 {
            self.tick(100).await;
        }
        settle().await;
    }

    pub(super) async fn tick(&mut self, ms: u64) {
        self.now += ms;
        self.running.node.tick(self.now);
        tokio::task::yield_now().await;
        if self.now % 1_000 < 100 {
            settle().await;
        }
    }

    /// What is kept of a channel: its first number and how many.
    pub(super) async fn kept(&self, name: &str) -> (u64, u64) {
        let log = if name.starts_with("disk") { 0 } else { 1 };
        let head = self.stores[log].inner.channel(&channel(name)).await.unwrap().unwrap();
        (head.first_seq, head.events())
    }

    pub(super) async fn with_capacity(capacity: Capacity) -> Self {
        let mut rig = Self::new().await;
        let stores = rig.stores.clone().map(|store| Arc::new(store) as Arc<dyn Store>);
        let options = NodeOptions {
            capacities: [capacity; 2],
            ..NodeOptions::new(rig.spaces.clone(), fastrand::u64(..))
        };
        rig.running = Running::open(options, stores).await;
        rig
    }

    pub(super) async fn publish_one(&self, name: &str, bytes: usize) -> Result<u64, Error> {
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

/// Fifty events of which the order of those from 11 to 30 cannot be read: those of `room:lost` are all among them, and that
/// of `room:next` comes next.
pub(super) async fn unreadable(rig: &Rig) {
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
