//! The history checker is right about right histories, and catches each way of breaking one.
#![allow(clippy::unwrap_used)]

mod model;
mod mutants;

use sosik_lab::checker::{Counts, check};

#[test]
fn thousands_of_right_histories_break_nothing() {
    let mut counts = Counts::default();
    for seed in 0..3_000 {
        let mut history = model::history(seed);
        if seed % 4 == 0 {
            history.trimmed_to = None;
        }
        let verdict = check(&history);
        assert!(verdict.violations.is_empty(), "seed {seed}: {verdict}");
        counts.events += verdict.counts.events;
        counts.gaps += verdict.counts.gaps;
        counts.dropped += verdict.counts.dropped;
        counts.delivered += verdict.counts.delivered;
        counts.told_gone += verdict.counts.told_gone;
    }
    // A model that does nothing would pass too.
    assert!(counts.delivered > 100_000 && counts.told_gone > 1_000, "{counts:?}");
    assert!(counts.gaps > 1_000 && counts.dropped > 1_000, "{counts:?}");
}
