//! Time as the transports know it.

/// Where the time comes from; only the server knows a real clock.
pub trait Clock: Send + Sync + std::fmt::Debug + 'static {
    /// Milliseconds since 1970-01-01 UTC: for events and grants.
    fn wall_ms(&self) -> u64;
    /// Milliseconds since some start, never falling: for heartbeats and deadlines.
    fn steady_ms(&self) -> u64;
}

/// Both times at one moment: asked once for many feeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// See [`Clock::wall_ms`].
    pub wall_ms: u64,
    /// See [`Clock::steady_ms`].
    pub steady_ms: u64,
}

impl Now {
    /// The present.
    pub fn of(clock: &dyn Clock) -> Self {
        Self { wall_ms: clock.wall_ms(), steady_ms: clock.steady_ms() }
    }

    /// When the steady clock will show what `wall_ms` says.
    pub(crate) fn steady_at(self, wall_ms: u64) -> u64 {
        self.steady_ms + wall_ms.saturating_sub(self.wall_ms)
    }
}
