//! Goodbyes: closes that say whether and when to come back. The one table of them.

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use sosik_core::Error;
use std::borrow::Cow;

use crate::code::Code;

/// One row per goodbye: variant (the [`Code`] of the same name), number, default `after_ms` and `spread_ms`.
macro_rules! goodbyes {
    ($($variant:ident $number:literal $after:literal $spread:literal;)*) => {
        /// Why the server ends a connection. Each has the meaning of the [`Code`] of the same name.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u16)]
        pub enum Goodbye {
            $(#[doc = concat!("[`Code::", stringify!($variant), "`], ", stringify!($number), ".")] $variant = $number,)*
        }

        impl Goodbye {
            /// Every goodbye, by number.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The code of the same name, with its meaning and HTTP status.
            pub const fn code(self) -> Code {
                match self { $(Self::$variant => Code::$variant,)* }
            }

            /// When to come back at the earliest, milliseconds. Default; the server may say another.
            pub const fn after_ms(self) -> u64 {
                match self { $(Self::$variant => $after,)* }
            }

            /// Over how long returning clients spread themselves at random after that, milliseconds. Default.
            pub const fn spread_ms(self) -> u64 {
                match self { $(Self::$variant => $spread,)* }
            }
        }
    };
}

goodbyes! {
    BadRequest   4000 0 0;
    Unauthorized 4001 0 0;
    TokenExpired 4002 0 0;
    Forbidden    4003 0 0;
    NotFound     4004 0 0;
    Version      4005 0 0;
    TooLarge     4006 0 0;
    Limit        4007 0 0;
    Kicked       4008 0 0;
    Overloaded   4100 1000 5000;
    Drain        4101 0 30000;
    Stalled      4102 1000 0;
    RateLimited  4103 1000 0;
    Internal     4104 1000 5000;
    Rebalance    4200 0 0;
    NoHeartbeat  4201 0 0;
    Replaced     4202 0 0;
    AuthChanged  4203 0 0;
}

impl Goodbye {
    /// The number in frames and in the WebSocket close (private use, RFC 6455 section 7.4.2).
    pub const fn number(self) -> u16 {
        self as u16
    }

    /// The name in frames.
    pub const fn name(self) -> &'static str {
        self.code().name()
    }

    /// Whether to come back at all.
    pub const fn retry(self) -> bool {
        !matches!(Class::of(self.number()), Class::Stop)
    }

    /// The goodbye with this number, `None` for others: then [`Class::of`] still says what to do.
    pub fn from_number(number: u16) -> Option<Self> {
        Self::ALL.iter().copied().find(|goodbye| goodbye.number() == number)
    }

    /// The frame with the table's defaults.
    pub fn frame(self) -> GoodbyeFrame {
        self.frame_after(self.after_ms(), self.spread_ms())
    }

    /// The frame with other times than the table's, milliseconds.
    pub fn frame_after(self, after_ms: u64, spread_ms: u64) -> GoodbyeFrame {
        GoodbyeFrame {
            code: self.number(),
            name: Cow::Borrowed(self.name()),
            retry: self.retry(),
            after_ms,
            spread_ms,
        }
    }

    /// The payload of a WebSocket close frame: the number and `reason`, cut at a character to the 123 bytes that a
    /// control frame has room for (RFC 6455 section 5.5).
    pub fn close_payload(self, reason: &str) -> Bytes {
        let reason = &reason[..reason.floor_char_boundary(CLOSE_REASON_BYTES_MAX)];
        let mut payload = BytesMut::with_capacity(2 + reason.len());
        payload.put_u16(self.number());
        payload.put_slice(reason.as_bytes());
        payload.freeze()
    }
}

/// What a client does after a goodbye, by the hundreds of its number; also for numbers of later versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// 4000–4099, and whatever is no goodbye of ours above it: do not come back by yourself.
    Stop,
    /// 4100–4199: come back later.
    BackOff,
    /// 4200–4299: come back at once.
    Return,
}

impl Class {
    /// The class of a number.
    pub const fn of(number: u16) -> Self {
        match number {
            4100..=4199 => Self::BackOff,
            4200..=4299 => Self::Return,
            _ => Self::Stop,
        }
    }
}

/// How the end of a feed is told: what the core answered, as a goodbye.
impl From<&Error> for Goodbye {
    fn from(error: &Error) -> Self {
        match error {
            Error::Name(_) | Error::Cursor(_) | Error::Request(_) => Self::BadRequest,
            Error::Already(_) | Error::NotFollowed(_) => Self::BadRequest,
            Error::Forbidden { .. } => Self::Forbidden,
            Error::Expired => Self::TokenExpired,
            Error::Revoked => Self::AuthChanged,
            Error::TooLarge { .. } => Self::TooLarge,
            Error::Limit { .. } => Self::Limit,
            Error::Overloaded | Error::Unavailable => Self::Overloaded,
            Error::Rebalance => Self::Rebalance,
            // A failed or full store is an error of publishes and no close; a feed that cannot go on ends like this.
            _ => Self::Internal,
        }
    }
}

/// `{"type":"goodbye",…}`: the last frame of a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoodbyeFrame {
    /// 4000–4299; [`Goodbye::from_number`] and [`Class::of`] read it.
    pub code: u16,
    /// The name of the code.
    #[serde(default)]
    pub name: Cow<'static, str>,
    /// Whether to come back at all.
    #[serde(default)]
    pub retry: bool,
    /// When to come back at the earliest, milliseconds.
    #[serde(default)]
    pub after_ms: u64,
    /// Over how long to spread the return at random after that, milliseconds.
    #[serde(default)]
    pub spread_ms: u64,
}

/// The most bytes of a close reason: 125 of a control frame less 2 of the code.
pub const CLOSE_REASON_BYTES_MAX: usize = 123;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    // Mutant: drain written as 4150 -> the row is not where the protocol has it.
    #[test]
    fn the_table_is_that_of_the_protocol() {
        let table: Vec<_> = Goodbye::ALL.iter().map(|g| (g.number(), g.name(), g.retry())).collect();
        assert_eq!(
            table,
            [
                (4000, "bad_request", false),
                (4001, "unauthorized", false),
                (4002, "token_expired", false),
                (4003, "forbidden", false),
                (4004, "not_found", false),
                (4005, "version", false),
                (4006, "too_large", false),
                (4007, "limit", false),
                (4008, "kicked", false),
                (4100, "overloaded", true),
                (4101, "drain", true),
                (4102, "stalled", true),
                (4103, "rate_limited", true),
                (4104, "internal", true),
                (4200, "rebalance", true),
                (4201, "no_heartbeat", true),
                (4202, "replaced", true),
                (4203, "auth_changed", true),
            ]
        );
        for &goodbye in Goodbye::ALL {
            assert_eq!(Goodbye::from_number(goodbye.number()), Some(goodbye));
            assert_eq!(goodbye.retry(), goodbye.code().retry(), "{goodbye:?}");
        }
        assert_eq!(
            (Goodbye::from_number(4299), Class::of(4299), Class::of(1000)),
            (None, Class::Return, Class::Stop)
        );
    }

    // Mutant: cutting at byte 123 whatever stands there -> the reason is no UTF-8 any more, and browsers fail the close.
    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let payload = Goodbye::Drain.close_payload(&"소".repeat(60));
        assert_eq!(payload[..2], 4101_u16.to_be_bytes());
        assert_eq!(std::str::from_utf8(&payload[2..]).unwrap(), "소".repeat(41));
        let payload = Goodbye::Drain.close_payload(&format!("{}소", "x".repeat(122)));
        assert_eq!(std::str::from_utf8(&payload[2..]).unwrap(), "x".repeat(122));
    }

    #[test]
    fn ends_of_feeds_have_their_goodbye() {
        for (error, number) in [
            (Error::Expired, 4002),
            (Error::Revoked, 4203),
            (Error::Rebalance, 4200),
            (Error::Overloaded, 4100),
            (Error::StorageFailed, 4104),
        ] {
            assert_eq!(Goodbye::from(&error).number(), number);
        }
    }
}
