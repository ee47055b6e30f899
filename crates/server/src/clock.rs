//! The real time. Nothing else in the server reads a clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderValue;
use sosik_transport::Clock;
use tokio::time::Instant;

/// The system's wall clock, and a steady one that starts at 0 when it is made.
#[derive(Debug)]
pub(crate) struct SystemClock {
    start: Instant,
}

impl SystemClock {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
    fn wall_ms(&self) -> u64 {
        // A clock before 1970 is a clock that was never set; the logs keep their own time from falling.
        millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
    }

    fn steady_ms(&self) -> u64 {
        millis(self.start.elapsed())
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The present as a `Date` header (RFC 9110 section 6.6.1).
#[allow(clippy::disallowed_methods, reason = "this file is the server's clock")]
pub(crate) fn http_date() -> HeaderValue {
    let text = httpdate::fmt_http_date(SystemTime::now());
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
}
