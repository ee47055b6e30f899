//! When to come back after a connection ended: full jitter, and the server's word before it.

use std::time::Duration;

/// How often it failed since it last went well.
#[derive(Debug, Clone, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

/// A server's wish when to come back: not before `after`, then at a random moment of `spread`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Return {
    pub(crate) after: Duration,
    pub(crate) spread: Duration,
}

impl Backoff {
    /// A connection that ended had lived for `life`; a long life forgets the failures before it.
    pub(crate) fn lived(&mut self, life: Duration) {
        if life >= HEALTHY_AFTER {
            self.failures = 0;
        }
    }

    /// How long to wait now, with `random` in 0..1. The first time since health the server's word alone counts; after
    /// that it is a floor, so that a server that sends everybody away *at once* is not asked in a tight loop.
    pub(crate) fn delay(&mut self, advice: Option<Return>, random: f64) -> Duration {
        self.failures = self.failures.saturating_add(1);
        let own = ceiling(self.failures).mul_f64(random);
        match advice {
            None => own,
            Some(advice) => {
                let wished = advice.after + advice.spread.mul_f64(random);
                if self.failures == 1 { wished } else { wished.max(own) }
            }
        }
    }
}

/// 1 s for the first attempt, doubled for each further, at most 20 s.
fn ceiling(attempt: u32) -> Duration {
    DELAY_MAX.min(DELAY_UNIT * 2_u32.saturating_pow(attempt))
}

const DELAY_UNIT: Duration = Duration::from_millis(500);
const DELAY_MAX: Duration = Duration::from_secs(20);
const HEALTHY_AFTER: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn ms(number: u64) -> Duration {
        Duration::from_millis(number)
    }

    // Mutant: `pow(attempt)` made `pow(attempt - 1)`, or no cap -> fails.
    #[test]
    fn delays_are_anywhere_below_a_ceiling_that_doubles_to_twenty_seconds() {
        let mut backoff = Backoff::default();
        let ceilings: Vec<_> = (0..8).map(|_| backoff.delay(None, 1.0)).collect();
        assert_eq!(ceilings, [1_000, 2_000, 4_000, 8_000, 16_000, 20_000, 20_000, 20_000].map(ms));
        assert_eq!(backoff.delay(None, 0.0), Duration::ZERO);
        assert_eq!(backoff.delay(None, 0.25), ms(5_000));
        assert_eq!(Backoff { failures: u32::MAX }.delay(None, 1.0), ms(20_000));
    }

    // Mutant: any life resets -> a server that accepts and cuts is asked each half second for ever.
    #[test]
    fn only_thirty_seconds_of_health_forget_the_failures() {
        let mut backoff = Backoff { failures: 5 };
        backoff.lived(ms(29_999));
        assert_eq!(backoff.delay(None, 1.0), ms(20_000));
        backoff.lived(ms(30_000));
        assert_eq!(backoff.delay(None, 1.0), ms(1_000));
    }

    // Mutant: own delay added to the advice, or the spread forgotten -> fails.
    #[test]
    fn the_servers_word_wins() {
        let drain = Return { after: ms(100), spread: ms(30_000) };
        let at_once = Return { after: ms(0), spread: ms(0) };
        assert_eq!(Backoff::default().delay(Some(drain), 0.5), ms(15_100));
        assert_eq!(Backoff::default().delay(Some(at_once), 0.9), ms(0));
    }

    // Mutant: the advice alone counts always -> a reader and a server that sends it away spin.
    #[test]
    fn being_sent_away_at_once_again_and_again_slows_down() {
        let at_once = Return { after: ms(0), spread: ms(0) };
        let late = Return { after: ms(60_000), spread: ms(0) };
        let mut backoff = Backoff::default();
        let delays: Vec<_> = (0..4).map(|_| backoff.delay(Some(at_once), 0.5)).collect();
        assert_eq!(delays, [0, 1_000, 2_000, 4_000].map(ms));
        assert_eq!(backoff.delay(Some(late), 0.5), ms(60_000));
    }
}
