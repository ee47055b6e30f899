//! What a peer hears for whom there is no room: why, and when to come back. Each hears another time, so that those who are
//! turned away together do not come back together.

use bytes::Bytes;
use sosik_wire::{Code, Down, Encoding, Goodbye, GoodbyeFrame, Problem, problem::CONTENT_TYPE};

use crate::addresses::TooMany;

/// Why a connection is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TurnedAway {
    /// The server has as many as it may have.
    Full,
    /// So has the peer's address.
    Address(TooMany),
}

impl TurnedAway {
    /// The words of metrics, by [`TurnedAway::index`].
    pub(crate) const REASONS: [&'static str; 3] = ["full", "address", "rate"];

    pub(crate) fn index(self) -> usize {
        match self {
            Self::Full => 0,
            Self::Address(TooMany::Open) => 1,
            Self::Address(TooMany::New(_)) => 2,
        }
    }

    /// An HTTP answer in full.
    pub(crate) fn over_http(self) -> Bytes {
        let GoodbyeFrame { after_ms, spread_ms, .. } = self.goodbye();
        let problem = Problem {
            // HTTP has no spread: the server draws.
            retry_after_ms: after_ms + fastrand::u64(0..=spread_ms),
            ..Problem::new(self.code(), self.words())
        };
        let body = problem.to_json();
        let mut answer = format!(
            "HTTP/1.1 {} {}\r\ncontent-type: {CONTENT_TYPE}\r\ncontent-length: {}\r\nretry-after: {}\r\n\
             cache-control: no-store\r\nconnection: close\r\n\r\n",
            problem.status,
            problem.title,
            body.len(),
            problem.retry_after().unwrap_or(1),
        )
        .into_bytes();
        answer.extend_from_slice(&body);
        answer.into()
    }

    /// A frame of the TCP transport. The peer has not said its encoding yet: a line, as most speak lines.
    pub(crate) fn over_tcp(self) -> Bytes {
        Encoding::JsonLine.frame(&Down::Goodbye(self.goodbye()))
    }

    fn goodbye(self) -> GoodbyeFrame {
        let spread_ms = Goodbye::Overloaded.spread_ms();
        match self {
            Self::Full => Goodbye::Overloaded.frame(),
            Self::Address(TooMany::Open) => {
                Goodbye::RateLimited.frame_after(Goodbye::RateLimited.after_ms(), spread_ms)
            }
            Self::Address(TooMany::New(wait)) => {
                let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
                Goodbye::RateLimited.frame_after(wait_ms.max(Goodbye::RateLimited.after_ms()), spread_ms)
            }
        }
    }

    fn code(self) -> Code {
        match self {
            Self::Full => Code::Overloaded,
            Self::Address(_) => Code::RateLimited,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Full => "the server has too many connections; come back at the time that Retry-After says",
            Self::Address(TooMany::Open) => {
                "your address has too many connections; close some, or share one among several channels. Behind a \
                 proxy the operator raises or switches off connections_per_address_max"
            }
            Self::Address(TooMany::New(_)) => {
                "your address makes too many new connections; keep one open, and come back at the time that Retry-After \
                 says. Behind a proxy the operator raises or switches off connections_per_address_max"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::{collections::BTreeSet, time::Duration};

    use super::*;

    const ALL: [TurnedAway; 3] = [
        TurnedAway::Full,
        TurnedAway::Address(TooMany::Open),
        TurnedAway::Address(TooMany::New(Duration::from_secs(1))),
    ];

    // Mutant: the spread left out of `retry_after_ms` -> all are told the same second.
    #[test]
    fn those_who_are_turned_away_together_come_back_apart() {
        for turned in ALL {
            let mut seconds = BTreeSet::new();
            for _ in 0..500 {
                let answer = String::from_utf8(turned.over_http().to_vec()).unwrap();
                let (head, body) = answer.split_once("\r\n\r\n").unwrap();
                let header =
                    |name| head.lines().find_map(|line| line.strip_prefix(name)).unwrap().parse().unwrap();
                let retry_after: u64 = header("retry-after: ");
                assert_eq!(header("content-length: "), body.len() as u64);
                let problem: Problem = serde_json::from_str(body).unwrap();
                assert_eq!(problem.retry_after(), Some(retry_after));
                seconds.insert(retry_after);
            }
            assert_eq!(seconds, (1..=6).filter(|second| seconds.contains(second)).collect(), "{turned:?}");
            assert!(seconds.len() >= 5, "{turned:?}: {seconds:?}");
            let line = String::from_utf8(turned.over_tcp().to_vec()).unwrap();
            assert!(line.contains(r#""retry":true,"after_ms":1000,"spread_ms":5000"#), "{line}");
        }
    }

    #[test]
    fn each_says_its_own_code() {
        let status = |turned: TurnedAway| String::from_utf8(turned.over_http()[9..12].to_vec()).unwrap();
        assert_eq!(ALL.map(status), ["503", "429", "429"]);
        let all = ALL.map(TurnedAway::index).map(|index| TurnedAway::REASONS[index]);
        assert_eq!(all, ["full", "address", "rate"]);
    }
}
