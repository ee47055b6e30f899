//! One clock for both ends: the load sends and receives in one process, so that a latency is a difference and needs no agreement.

use std::{sync::OnceLock, time::Instant};

/// This moment.
#[allow(clippy::disallowed_methods, reason = "the one place of the load that reads the clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Nanoseconds since the first call of this process.
pub(crate) fn ns() -> u64 {
    now().saturating_duration_since(*origin()).as_nanos() as u64
}

fn origin() -> &'static Instant {
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    ORIGIN.get_or_init(now)
}
