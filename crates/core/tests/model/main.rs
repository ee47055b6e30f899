//! Random histories against a model so plain that it is its own proof: a list of everything that ever happened, and a
//! client that follows the rules. Each seed is one history; `SOSIK_SEEDS` raises their number.
#![allow(clippy::unwrap_used)]

#[path = "../kit/mod.rs"]
mod kit;

mod asked;
mod client;
mod ground;
mod judge;
mod world;

use sosik_testkit::seed::seeds;

use self::world::{Profile, World};

/// Small namespaces, everything at once.
// Mutants, each planted and seen to fail in this file:
// half.rs: no gap before a channel's first event; no marks of channels without events; `told` moved to the place looked
//   at; each item of one position with the position as its cursor; events once for each member they belong to.
// fetch.rs: what is gone below the first event of a page left out.
// reader.rs: a join that is done forgotten when it could not be written; no floor for who joins above the place.
// start.rs: no floors of the channels under a prefix. member.rs: the mark of forgotten channels not read from the store.
// append/ahead.rs: a channel without a record remembered as unknown after a conflict -> the log hangs. append/plan.rs:
//   entries linked to the first of the batch.
#[tokio::test]
async fn what_a_reader_is_told_is_what_happened() {
    for seed in seeds(1_500) {
        World::new(seed.rng(), Profile { dawdle: 60, big: false, steps: 70, on_disk: false })
            .await
            .run()
            .await;
    }
}

/// The store answers at once: another order of things.
#[tokio::test]
async fn what_a_reader_is_told_is_what_happened_when_the_store_is_quick() {
    for seed in seeds(1_500) {
        World::new(seed.rng(), Profile { dawdle: 0, big: false, steps: 70, on_disk: false })
            .await
            .run()
            .await;
    }
}

/// Events so large that the tails hold only the newest of them: most comes from pages.
#[tokio::test]
async fn what_a_reader_is_told_is_what_happened_below_the_tails() {
    for seed in seeds(150) {
        World::new(seed.rng(), Profile { dawdle: 60, big: true, steps: 120, on_disk: false })
            .await
            .run()
            .await;
    }
}

/// One log on a real disk, closed and opened again by every restart: readers come back with their cursors, and at first
/// everything comes from pages.
#[tokio::test]
async fn what_a_reader_is_told_is_what_happened_on_disk_and_over_restarts() {
    for seed in seeds(20) {
        let mut rng = seed.rng();
        let profile = Profile { dawdle: 60, big: rng.u8(..4) == 0, steps: 120, on_disk: true };
        World::new(rng, profile).await.run().await;
    }
}
