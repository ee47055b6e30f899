//! Seeds: every random test is a function of one number, and says which when it fails.

/// The seeds that a random test runs: 0 to `least` (exclusive), or to `SOSIK_SEEDS` if that is more.
///
/// `SOSIK_SEED=n` runs that one alone, to repeat a failure.
pub fn seeds(least: u64) -> impl Iterator<Item = Seed> {
    let number = |name| std::env::var(name).ok().and_then(|text: String| text.parse::<u64>().ok());
    let range = match number("SOSIK_SEED") {
        Some(one) => one..one.saturating_add(1),
        None => 0..number("SOSIK_SEEDS").map_or(least, |wanted| wanted.max(least)),
    };
    range.map(Seed)
}

/// One in `share` of [`seeds`], rounded up, but at least `least`: for runs that take a second or more each.
pub fn share_of_seeds(least: u64, share: usize) -> impl Iterator<Item = Seed> {
    let seeds = seeds(least);
    let count = seeds.size_hint().0;
    seeds.take(count.div_ceil(share).max(least as usize))
}

/// One seed. If a panic passes through its owner, it prints how to repeat the run.
#[derive(Debug)]
pub struct Seed(u64);

impl Seed {
    /// The number itself.
    pub fn number(&self) -> u64 {
        self.0
    }

    /// The random numbers of this seed, from the beginning.
    pub fn rng(&self) -> fastrand::Rng {
        fastrand::Rng::with_seed(self.0)
    }
}

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("failed with seed {}; repeat it alone with SOSIK_SEED={}", self.0, self.0);
        }
    }
}
