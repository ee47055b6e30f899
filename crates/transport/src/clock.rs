//! Time as the transports know it.

/// Where the time comes from; only the server knows a real clock.
pub trait Clock: Send + Sync + std::fmt::Debug + 'static {
    /// Milliseconds since 1970-01-01 UTC: for events and grants.
    fn wall_ms(&self) -> u64;
    /// Milliseconds since some start, never falling: for heartbeats and deadlines.
    fn steady_ms(&self) -> u64;
}
