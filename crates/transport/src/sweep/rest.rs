//! How a busy channel merges what it sends: after a sweep it rests half as long as the sweep took.
//!
//! On a quiet channel nothing is late, because nothing comes while it rests. On a loaded one each sweep finds more for
//! every reader, and one write carries it all.

use std::{collections::HashMap, hash::Hash, time::Duration};

use sosik_core::WatchId;
use tokio::time::{Instant, sleep_until};

/// The watches of one shard that rest.
#[derive(Debug)]
pub(super) struct Rests<K = WatchId>(HashMap<K, Rest>);

#[derive(Debug)]
struct Rest {
    until: Instant,
    /// Something has changed meanwhile.
    deferred: bool,
}

impl<K> Default for Rests<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Copy + Eq + Hash> Rests<K> {
    /// Whether `watch` rests; then [`Rests::over`] answers it when it has rested.
    pub(super) fn defer(&mut self, watch: K) -> bool {
        match self.0.get_mut(&watch) {
            Some(rest) if rest.until > Instant::now() => {
                rest.deferred = true;
                true
            }
            _ => false,
        }
    }

    /// A sweep of `watch` that began then is over.
    pub(super) fn rest(&mut self, watch: K, began: Instant) {
        let now = Instant::now();
        let pause = (now.duration_since(began) / 2).min(REST_MAX);
        if pause < REST_MIN {
            self.0.remove(&watch);
        } else {
            self.0.insert(watch, Rest { until: now + pause, deferred: false });
        }
        if self.0.len() > RESTS_TIDIED {
            self.0.retain(|_, rest| rest.deferred || rest.until > now);
        }
    }

    /// Waits until one that was deferred has rested; answers all that have by then.
    pub(super) async fn over(&mut self) -> Vec<K> {
        let deferred = self.0.values().filter(|rest| rest.deferred);
        match deferred.map(|rest| rest.until).min() {
            Some(first) => sleep_until(first).await,
            None => std::future::pending().await,
        }
        let now = Instant::now();
        let rested = self.0.extract_if(|_, rest| rest.deferred && rest.until <= now);
        rested.map(|(watch, _)| watch).collect()
    }
}

/// Longest rest: what a reader may wait longer for the sake of the others.
const REST_MAX: Duration = Duration::from_millis(20);
/// Rests that are shorter are not worth their timer.
const REST_MIN: Duration = Duration::from_micros(100);
/// Rests that nobody waits for are thrown away beyond this many.
const RESTS_TIDIED: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    // Mutant: `deferred` not set -> nothing comes when it is over, and this hangs.
    #[tokio::test(start_paused = true)]
    async fn what_changes_during_a_rest_is_swept_at_its_end() {
        let [busy, quiet] = ["busy", "quiet"];
        let mut rests = Rests::default();
        let began = Instant::now();
        tokio::time::advance(Duration::from_millis(8)).await;
        rests.rest(busy, began);
        rests.rest(quiet, Instant::now());
        assert!(!rests.defer(quiet), "a sweep that took no time needs no rest");
        assert!(rests.defer(busy));
        assert_eq!(rests.over().await, [busy]);
        assert_eq!(began.elapsed(), Duration::from_millis(12));
        assert!(!rests.defer(busy));
    }

    // Mutants: `over` that counts those that nobody waits for -> it answers at once; `until` not looked at -> it rests for
    // ever.
    #[tokio::test(start_paused = true)]
    async fn a_rest_that_nothing_changed_in_ends_without_a_word() {
        let mut rests = Rests::default();
        let began = Instant::now();
        tokio::time::advance(Duration::from_secs(1)).await;
        rests.rest("busy", began);
        assert!(tokio::time::timeout(Duration::from_secs(9), rests.over()).await.is_err());
        assert!(!rests.defer("busy"));
    }
}
