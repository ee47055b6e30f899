//! `long_poll`: a request that is held until there is news or its wait ends.

use std::{sync::Arc, time::Duration};

use sosik_wire::{Advice, TransportName};
use tokio::time::{Instant, sleep_until};

use super::{Carrier, News, one_shot::OneShot};
use crate::{error::Error, start::Ask, target::Target};

/// The requests and when the next is due.
#[derive(Debug)]
pub(crate) struct LongPoll {
    requests: OneShot,
    /// Whole seconds.
    wait: Duration,
    /// What the next request asks for: the first is answered at once, so that the reader soon knows its place.
    next_wait: Duration,
    rearm: Option<Duration>,
    due: Instant,
}

impl Carrier for LongPoll {
    async fn open(to: Arc<Target>, ask: Ask) -> Result<Self, Error> {
        let path = TransportName::LongPoll.path().expect("it is an HTTP transport");
        let wait = to.timers.wait;
        let requests = OneShot::new(to, path, ask);
        Ok(Self { requests, wait, next_wait: Duration::ZERO, rearm: None, due: Instant::now() })
    }

    async fn more(&mut self) -> Result<(), Error> {
        sleep_until(self.due).await;
        let brought = self.requests.ask(Some(self.next_wait.as_secs())).await?;
        let now = Instant::now();
        let held = now.saturating_duration_since(self.due);
        let in_vain = !brought.news && !self.next_wait.is_zero() && held < HELD_LEAST;
        let rearm = brought.hints.rearm_ms.map(Duration::from_millis).or(self.rearm);
        self.due = now + pause(rearm, brought.more, in_vain, fastrand::f64());
        if !brought.more {
            self.next_wait = self.wait;
        }
        Ok(())
    }

    fn next(&mut self) -> Result<Option<News>, Error> {
        Ok(self.requests.next())
    }

    /// While a request is held there is no heartbeat; its answer is one.
    fn patience(&self, heartbeat: Duration) -> Duration {
        self.due.saturating_duration_since(Instant::now()) + self.next_wait.max(heartbeat)
    }

    fn advise(&mut self, advice: &Advice) {
        self.rearm = advice.rearm_ms.map(Duration::from_millis).or(self.rearm);
        self.wait = advice.wait_s.map_or(self.wait, Duration::from_secs);
    }
}

/// How long to wait before the next request: not at all while there is more, else up to what the server wished. Whoever
/// answered a held request at once and with nothing does not hold requests, so it is asked as seldom as by polls.
/// `random` in 0..1.
fn pause(rearm: Option<Duration>, more: bool, in_vain: bool, random: f64) -> Duration {
    if more {
        return Duration::ZERO;
    }
    let wished = rearm.unwrap_or_default().mul_f64(random);
    if in_vain { wished.max(NOT_HELD_PAUSE.mul_f64(0.5 + random)) } else { wished }
}

const HELD_LEAST: Duration = Duration::from_millis(500);
const NOT_HELD_PAUSE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    // Mutant: `in_vain` ignored -> a proxy that answers held requests itself is asked without a pause.
    #[test]
    fn the_next_request_goes_out_at_once_unless_somebody_wishes_otherwise() {
        let rearm = Some(Duration::from_secs(2));
        assert_eq!(pause(None, false, false, 0.9), Duration::ZERO);
        assert_eq!(pause(rearm, false, false, 0.5), Duration::from_secs(1));
        assert_eq!(pause(rearm, true, true, 0.5), Duration::ZERO);
        assert_eq!(pause(None, false, true, 0.5), Duration::from_secs(1));
    }
}
