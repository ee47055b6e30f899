//! `poll`: a request now and then, answered at once.

use std::{sync::Arc, time::Duration};

use sosik_wire::{Advice, TransportName};
use tokio::time::{Instant, sleep_until};

use super::{
    Carrier, News,
    one_shot::{Brought, OneShot},
};
use crate::{error::Error, options::Timers, start::Ask, target::Target};

/// The requests and when the next is due.
#[derive(Debug)]
pub(crate) struct Poll {
    requests: OneShot,
    timers: Timers,
    /// The last interval of our own choice.
    interval: Duration,
    /// What the server wished for in a frame.
    wished: Option<Duration>,
    due: Instant,
}

impl Carrier for Poll {
    async fn open(to: Arc<Target>, ask: Ask) -> Result<Self, Error> {
        let path = TransportName::Poll.path().expect("it is an HTTP transport");
        let timers = to.timers.clone();
        let interval = timers.poll_least;
        Ok(Self {
            requests: OneShot::new(to, path, ask),
            timers,
            interval,
            wished: None,
            due: Instant::now(),
        })
    }

    async fn more(&mut self) -> Result<(), Error> {
        sleep_until(self.due).await;
        let brought = self.requests.ask(None).await?;
        self.interval = interval(self.interval, brought.news, &self.timers);
        let wished = brought.hints.next_ms.map(Duration::from_millis).or(self.wished);
        self.due = Instant::now() + pause(self.interval, wished, brought, fastrand::f64());
        Ok(())
    }

    fn next(&mut self) -> Result<Option<News>, Error> {
        Ok(self.requests.next())
    }

    fn patience(&self, heartbeat: Duration) -> Duration {
        self.due.saturating_duration_since(Instant::now()) + heartbeat
    }

    fn advise(&mut self, advice: &Advice) {
        self.wished = advice.next_ms.map(Duration::from_millis).or(self.wished);
    }
}

/// Our own interval after an answer: half of the last after news, half as much again after none.
fn interval(last: Duration, news: bool, timers: &Timers) -> Duration {
    let next = if news { last / 2 } else { last * 3 / 2 };
    next.clamp(timers.poll_least, timers.poll_most.max(timers.poll_least))
}

/// How long to wait: not at all while there is more, else what the server wished and up to a fifth more, else our own
/// interval and up to a fifth more or less. `random` in 0..1.
fn pause(own: Duration, wished: Option<Duration>, brought: Brought, random: f64) -> Duration {
    if brought.more {
        return Duration::ZERO;
    }
    match wished {
        Some(wished) => wished.mul_f64(1.0 + 0.2 * random),
        None => own.mul_f64(0.8 + 0.4 * random),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use sosik_wire::Hints;

    use super::*;

    // Mutant: the factors exchanged, or a bound left out -> fails.
    #[test]
    fn news_halves_the_interval_and_silence_stretches_it() {
        let timers = Timers::default();
        let after = |last, news| interval(Duration::from_secs(last), news, &timers).as_secs();
        assert_eq!((after(8, true), after(8, false)), (4, 12));
        assert_eq!((after(1, true), after(28, false)), (1, 30));
    }

    // Mutant: `more` ignored -> a reader far behind reads one page per interval; jitter below the wish -> fails.
    #[test]
    fn more_is_asked_at_once_and_the_servers_wish_is_a_floor() {
        let (own, wish) = (Duration::from_secs(10), Some(Duration::from_secs(2)));
        let brought = |more| Brought { news: true, more, hints: Hints::default() };
        assert_eq!(pause(own, wish, brought(true), 0.5), Duration::ZERO);
        assert_eq!(pause(own, wish, brought(false), 0.0), Duration::from_secs(2));
        assert_eq!(pause(own, wish, brought(false), 0.5), Duration::from_millis(2_200));
        assert_eq!(pause(own, None, brought(false), 0.0), Duration::from_secs(8));
        assert_eq!(pause(own, None, brought(false), 0.5), own);
    }
}
