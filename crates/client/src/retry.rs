//! How often a publish is sent again, and when: bounded, and as the server wishes.

use std::{fmt, sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::{backoff::Backoff, error::Error, target::Target};

/// Told each time a publish will be sent again: why the last attempt failed, and when the next one begins.
#[derive(Clone)]
pub struct OnRetry(Arc<Told>);

type Told = dyn Fn(&Error, Duration) + Send + Sync;

impl OnRetry {
    /// From a closure. It is called between two attempts and must not wait.
    pub fn new(told: impl Fn(&Error, Duration) + Send + Sync + 'static) -> Self {
        Self(Arc::new(told))
    }
}

impl fmt::Debug for OnRetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnRetry")
    }
}

/// The attempts of one publish, or of a producer since its last acknowledgement.
#[derive(Debug)]
pub(crate) struct Retry {
    to: Arc<Target>,
    until: Instant,
    backoff: Backoff,
    round: u32,
    unsure: bool,
}

impl Retry {
    /// For [`crate::Timers::publish`] from now on.
    pub(crate) fn new(to: Arc<Target>) -> Self {
        let until = Instant::now() + to.timers.publish;
        Self { to, until, backoff: Backoff::default(), round: 0, unsure: false }
    }

    /// How many attempts have failed.
    pub(crate) fn round(&self) -> u32 {
        self.round
    }

    /// Whether an attempt may have been carried out without an answer.
    pub(crate) fn is_unsure(&self) -> bool {
        self.unsure
    }

    /// An attempt failed with `error`: how long to wait before the next one. Errors: the same will fail again, or there is
    /// no time left; [`Error::Unknown`] if any attempt may have been carried out.
    pub(crate) fn again(&mut self, error: Error) -> Result<Duration, Error> {
        self.round += 1;
        self.unsure |= error.leaves_unsure();
        let wait = self.backoff.delay(error.advice(), fastrand::f64());
        if error.retry() && Instant::now() + wait < self.until {
            if let Some(OnRetry(tell)) = &self.to.on_retry {
                tell(&error, wait);
            }
            return Ok(wait);
        }
        Err(if self.unsure { error.into_unknown() } else { error })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{error::Refusal, options::Options};

    fn retry() -> Retry {
        Retry::new(Arc::new(Target::new(Options::default()).unwrap()))
    }

    fn refused(code: &str, status: u16, retry: bool, after: Option<u64>) -> Error {
        let retry_after = after.map(Duration::from_secs);
        let (code, message) = (code.to_owned(), String::new());
        Error::Refused(Refusal { code, message, status, retry, retry_after, expected: None })
    }

    // Mutant: the server's word not obeyed -> fails.
    #[tokio::test(start_paused = true)]
    async fn a_publish_is_sent_again_when_the_server_wishes_and_not_for_ever() {
        let wait = retry().again(refused("overloaded", 503, true, Some(7))).unwrap();
        assert_eq!(wait, Duration::from_secs(7));
        let too_late = retry().again(refused("overloaded", 503, true, Some(61))).unwrap_err();
        assert!(matches!(too_late, Error::Refused(_)), "{too_late}");
        let (mut retry, began) = (retry(), Instant::now());
        while let Ok(wait) = retry.again(Error::Lost("cut".to_owned())) {
            tokio::time::sleep(wait).await;
        }
        assert!(retry.round() > 3 && began.elapsed() <= Duration::from_secs(60), "{retry:?}");
    }

    // Mutants: `unsure` forgotten by a later attempt that failed for sure; a refusal by a proxy taken for one by the server
    // -> the caller is told that nothing was stored.
    #[tokio::test(start_paused = true)]
    async fn what_may_have_been_stored_is_never_called_refused() {
        let forbidden = || refused("forbidden", 403, false, None);
        assert!(matches!(retry().again(forbidden()), Err(Error::Refused(_))));
        for first in [
            Error::Unknown { reason: "cut".to_owned(), key: None },
            Error::Unexpected("a page".to_owned()),
            refused("unavailable", 503, true, Some(0)),
            refused("internal", 500, true, Some(0)),
            refused("", 502, true, None),
            refused("", 504, true, None),
        ] {
            let mut retry = retry();
            retry.again(first.clone()).unwrap();
            let last = retry.again(forbidden());
            assert!(matches!(last, Err(Error::Unknown { .. })), "{first}: {last:?}");
        }
        for first in [
            Error::Lost("cut".to_owned()),
            Error::Unreachable { to: "x".to_owned(), reason: "y".to_owned() },
            refused("overloaded", 503, true, Some(0)),
            refused("", 429, true, None),
        ] {
            let mut retry = retry();
            retry.again(first.clone()).unwrap();
            assert!(matches!(retry.again(forbidden()), Err(Error::Refused(_))), "{first}");
        }
    }
}
