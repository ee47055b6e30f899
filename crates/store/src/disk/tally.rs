//! The figures of a log on disk, as they are counted.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

use sosik_core::figures::{COMMIT_US_BOUNDS, StoreFigures};

/// Counters since the log was opened.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) events: AtomicU64,
    pub(super) syncs_failed: AtomicU64,
    pub(super) appends_full: AtomicU64,
    pub(super) reopened: AtomicU64,
    pub(super) disk_bytes: AtomicU64,
    /// Commits that took events away.
    pub(super) removed: AtomicU64,
    /// Damaged places, the most that one pass of the scrub has found.
    pub(super) damaged: AtomicU64,
    pub(super) scrubbed_bytes: AtomicU64,
    pub(super) scrub_progress: AtomicU64,
    commit_us: AtomicU64,
    commits_by_us: [AtomicU64; COMMIT_US_BOUNDS.len() + 1],
}

impl Tally {
    pub(super) fn committed(&self, events: usize, took: Duration) {
        self.events.fetch_add(events as u64, Relaxed);
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.commit_us.fetch_add(us, Relaxed);
        self.commits_by_us[COMMIT_US_BOUNDS.partition_point(|&bound| bound < us)].fetch_add(1, Relaxed);
    }

    /// What is counted here; the rest is left at its default.
    pub(super) fn figures(&self) -> StoreFigures {
        let commits_by_us = self.commits_by_us.each_ref().map(|count| count.load(Relaxed));
        StoreFigures {
            disk_bytes: self.disk_bytes.load(Relaxed),
            damaged: self.damaged.load(Relaxed),
            scrubbed_bytes: self.scrubbed_bytes.load(Relaxed),
            scrub_progress: self.scrub_progress.load(Relaxed),
            events: self.events.load(Relaxed),
            commits: commits_by_us.iter().sum(),
            commit_us: self.commit_us.load(Relaxed),
            commits_by_us,
            syncs_failed: self.syncs_failed.load(Relaxed),
            appends_full: self.appends_full.load(Relaxed),
            reopened: self.reopened.load(Relaxed),
            ..StoreFigures::default()
        }
    }
}

/// The monotonic clock, for how long things take and how often they are tried: nothing that is stored depends on it.
#[allow(
    clippy::disallowed_methods,
    reason = "the writer is a thread of its own, at the edge; no test pauses it"
)]
pub(super) fn clock() -> Instant {
    Instant::now()
}
