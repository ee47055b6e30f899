//! Times in buckets that are never more than 1/64 wide: quantiles of millions of deliveries in 16 KiB.

use std::time::Duration;

/// Counted durations.
#[derive(Debug, Clone)]
pub(crate) struct Latencies {
    buckets: Vec<u64>,
    count: u64,
    most_ns: u64,
}

impl Default for Latencies {
    fn default() -> Self {
        Self { buckets: vec![0; BUCKETS], count: 0, most_ns: 0 }
    }
}

impl Latencies {
    pub(crate) fn add_ns(&mut self, ns: u64) {
        self.buckets[bucket(ns)] += 1;
        self.count += 1;
        self.most_ns = self.most_ns.max(ns);
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.buckets.iter_mut().zip(&other.buckets).for_each(|(own, more)| *own += more);
        self.count += other.count;
        self.most_ns = self.most_ns.max(other.most_ns);
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    pub(crate) fn most(&self) -> Duration {
        Duration::from_nanos(self.most_ns)
    }

    /// The time that `share` (0 to 1) of all did not exceed, by at most 1/64 too long; zero if there are none.
    pub(crate) fn quantile(&self, share: f64) -> Duration {
        let wanted = ((self.count as f64 * share).ceil() as u64).max(1);
        let mut below = 0;
        for (at, count) in self.buckets.iter().enumerate() {
            below += count;
            if below >= wanted {
                return Duration::from_nanos(upper_ns(at).min(self.most_ns));
            }
        }
        Duration::ZERO
    }

    /// Milliseconds of [`quantile`](Self::quantile).
    pub(crate) fn ms(&self, share: f64) -> f64 {
        self.quantile(share).as_secs_f64() * 1e3
    }
}

/// Below 64 ns each has its own; above, every power of two has 64.
fn bucket(ns: u64) -> usize {
    let power = ns.max(1).ilog2();
    if power < 6 {
        return ns as usize;
    }
    let within = (ns >> (power - 6)) as usize - STEPS;
    ((power as usize - 5) * STEPS + within).min(BUCKETS - 1)
}

/// The longest time of a bucket.
fn upper_ns(bucket: usize) -> u64 {
    if bucket < STEPS {
        return bucket as u64;
    }
    let shift = (bucket / STEPS - 1) as u32;
    (((bucket % STEPS + STEPS + 1) as u64) << shift) - 1
}

const STEPS: usize = 64;
/// Up to 2^37 ns, more than two minutes: longer than any run.
const BUCKETS: usize = 32 * STEPS;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_never_too_short_and_at_most_a_64th_too_long() {
        for ns in [1, 63, 64, 65, 1_000, 123_456, 98_765_432_109] {
            let mut latencies = Latencies::default();
            latencies.add_ns(ns);
            latencies.add_ns(ns * 10);
            let told = latencies.quantile(0.5).as_nanos() as u64;
            assert!(told >= ns && told <= ns + ns / 64 + 1, "{ns} {told}");
        }
    }

    #[test]
    fn the_99th_of_a_hundred_is_not_the_last() {
        let mut latencies = Latencies::default();
        (1..=100).for_each(|ms| latencies.add_ns(ms * 1_000_000));
        assert_eq!(latencies.count(), 100);
        assert!((99.0..100.0).contains(&latencies.ms(0.99).floor()), "{}", latencies.ms(0.99));
        assert_eq!(latencies.quantile(1.0), latencies.most());
        assert_eq!(latencies.most(), Duration::from_millis(100));
    }
}
