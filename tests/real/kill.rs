//! `kill -9` in the middle of a burst, again and again on the same directory.
//!
//! Eight publishers and five readers live through it; the readers go over all six transports. What everybody was told is
//! judged by the history checker, and compared with what the log has in the end. `SOSIK_SEEDS` says how many directories
//! there are (one in 100 of it), each for ten kills; a seed that fails is printed.

use std::time::Duration;

use fastrand::Rng;
use sosik_testkit::seed::share_of_seeds;
use sosik_tests::{
    scratch::Scratch,
    sosik::{Serve, Sosik, note},
};
use tokio::time::sleep;

use crate::{block_on, burst::Retries, crowd::Crowd, up::place};

// Mutants: the answers sent, and the head moved, 2 ms before the write; the records of channels not written (numbers are
// used again); the first event of a page left out behind a cursor -> all fail.
#[test]
fn kill_9_in_a_burst_loses_changes_and_repeats_nothing() {
    lives(&[Retries::None]);
}

// Mutants: as above; a disk log that keeps no memos -> fails.
#[test]
fn kill_9_in_a_burst_stores_each_retry_once() {
    lives(&[Retries::Keys, Retries::Numbers]);
}

fn lives(retries: &[Retries]) {
    for seed in share_of_seeds(SEEDS, SHARE) {
        block_on(life(retries, seed.rng()));
    }
}

/// One directory, from its making to the judgement.
async fn life(retries: &[Retries], mut rng: Rng) {
    let scratch = Scratch::new().unwrap();
    let serve = Serve::open(&[("talk", ""), ("short", "events_max = 40")]);
    let mut crowd = Crowd::gather(retries, &mut rng);
    for _ in 0..KILLS {
        let server = start(&serve, &scratch, &mut rng).await;
        crowd.tell(Some(place(&server)));
        crowd.stored(rng.u64(1..ACKS_MAX)).await;
        sleep(Duration::from_micros(rng.u64(..3_000))).await;
        crowd.tell(None);
        server.kill().await;
    }
    let server = start(&serve, &scratch, &mut rng).await;
    crowd.tell(Some(place(&server)));
    let (acked, uncertain) = crowd.outcomes.told();
    let again = crowd.outcomes.duplicates();
    note(&format!(
        "{} acknowledged, {again} of them again, {} of unknown fate",
        acked.len(),
        uncertain.len()
    ));
    assert!(!uncertain.is_empty() || again > 0, "nothing was cut off: the kills came at no burst");
    crowd.end(&place(&server)).await;
    assert!(server.stop().await.status.success());
}

/// Starts it; now and then it is killed before it listens, and started again.
async fn start(serve: &Serve, scratch: &Scratch, rng: &mut Rng) -> Sosik {
    let data = scratch.path().join("data");
    while rng.u8(..4) == 0 {
        let starting = serve.begin(&data, scratch.path());
        sleep(Duration::from_millis(rng.u64(..60))).await;
        starting.kill().await;
    }
    serve.start(&data, scratch.path()).await.unwrap_or_else(|ended| panic!("it does not start: {ended:?}"))
}

/// Directories in `make test`.
const SEEDS: u64 = 1;
/// A directory takes many seconds: of the seeds asked for by `SOSIK_SEEDS`, one in so many is run.
const SHARE: usize = 100;
/// Of one directory, not counting those before it listens.
const KILLS: usize = 10;
/// Acknowledgements between a start and a kill.
const ACKS_MAX: u64 = 400;
