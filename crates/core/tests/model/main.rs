//! Random histories against a model so plain that it is its own proof: a list of everything that ever happened, and a
//! client that follows the rules. Each seed is one history; `SOSIK_SEEDS` raises their number.
#![allow(clippy::unwrap_used)]

#[path = "../kit/mod.rs"]
mod kit;

mod client;
mod world;

use sosik_testkit::seed::seeds;

use self::world::{Profile, World};

/// Small namespaces, everything at once.
// Mutants, each planted and seen to fail here: see the list at the end of this file.
#[tokio::test]
async fn what_a_reader_is_told_is_what_happened() {
    for seed in seeds(1_500) {
        World::new(seed.rng(), Profile { dawdle: 60, big: false, steps: 70 }).await.run().await;
    }
}

/// The store answers at once: another order of things.
#[tokio::test]
async fn what_a_reader_is_told_is_what_happened_when_the_store_is_quick() {
    for seed in seeds(1_500) {
        World::new(seed.rng(), Profile { dawdle: 0, big: false, steps: 70 }).await.run().await;
    }
}

/// Events so large that the tails hold only the newest of them: most comes from pages.
#[tokio::test]
async fn what_a_reader_is_told_is_what_happened_below_the_tails() {
    for seed in seeds(150) {
        World::new(seed.rng(), Profile { dawdle: 60, big: true, steps: 120 }).await.run().await;
    }
}
