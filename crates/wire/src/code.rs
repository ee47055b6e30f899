//! Error codes: one table for error frames, HTTP status, problem documents, docs and TypeScript.

use sosik_core::Error;

/// One row per code: variant, name on the wire, HTTP status, milliseconds after which the *same* request may succeed
/// (`None`: not before something else changes), meaning.
macro_rules! codes {
    ($($variant:ident $name:literal $status:literal $after:expr, $meaning:literal;)*) => {
        /// Why a request was refused, on every transport by the same name.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Code {
            $(#[doc = $meaning] $variant,)*
        }

        impl Code {
            /// Every code, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name in frames and problem documents, snake case.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The HTTP status of a request refused with it (RFC 9110 section 15).
            pub const fn http_status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }

            /// When the same request may succeed, milliseconds from now; `None` when sending it again is no use.
            pub const fn after_ms(self) -> Option<u64> {
                match self { $(Self::$variant => $after,)* }
            }

            /// One sentence for the documentation.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)* }
            }
        }
    };
}

codes! {
    // The caller's fault: the request must change.
    BadRequest "bad_request" 400 None, "The request is malformed or contradicts itself; the message says where.";
    Version "version" 400 None, "Another protocol version was asked for; this server speaks version 1.";
    Limit "limit" 400 None, "More of something than its limit, such as channels; waiting does not help.";
    Unauthorized "unauthorized" 401 None, "No credentials, or ones that do not hold.";
    TokenExpired "token_expired" 401 None, "The token has ended; come back with a new one.";
    Forbidden "forbidden" 403 None, "The grant, or the page's origin, does not cover it.";
    Kicked "kicked" 403 None, "The operator or the application closed this connection for good.";
    NotFound "not_found" 404 None, "No such path, or nothing of that name here.";
    Method "method" 405 None, "The path does not take this HTTP method.";
    Already "already" 409 None, "The channel is followed already on this connection, maybe through a prefix.";
    ProducerGap "producer_gap" 409 None, "A publish before this one in its producer's sequence is missing; send again from `expected` on.";
    ProducerConflict "producer_conflict" 409 None, "This place of the producer's sequence was used for another event; go on with a new producer.";
    ProducerFenced "producer_fenced" 409 None, "A higher epoch of this producer has published; stop, or go on with a new producer.";
    ProducerForgotten "producer_forgotten" 409 None, "The producer's sequence is not remembered any more; look in the history, then go on with a new producer.";
    KeyConflict "key_conflict" 409 None, "The key was used for another publish; give each its own.";
    KeyExpired "key_expired" 409 None, "The key is older than what is remembered; look in the history before publishing with a new one.";
    TooLarge "too_large" 413 None, "An event, frame or body is above its limit; the message says both sizes.";
    MediaType "media_type" 415 None, "The body is not of a media type that this path takes; send application/json.";
    Misdirected "misdirected" 421 None, "The Host header names a server that this one is not.";
    // The syntax is right and this server cannot do it (RFC 9110 section 15.5.21). Not 501: the caller chose the
    // frame, and operators watch 5xx for faults of the server.
    Unsupported "unsupported" 422 None, "A frame or field that this server does not know or does not have yet.";
    Upgrade "upgrade" 426 None, "The path speaks WebSocket only; open it with a WebSocket handshake.";
    HeadTooLarge "head_too_large" 431 None, "The request's head has too many bytes or headers.";

    // Nobody's fault: come back.
    AuthChanged "auth_changed" 401 Some(0), "Rights have changed; come back with a new token.";
    Stalled "stalled" 408 Some(1_000), "The peer sent or took no byte for too long.";
    NoHeartbeat "no_heartbeat" 408 Some(0), "The peer was silent for longer than agreed.";
    Replaced "replaced" 409 Some(0), "A newer connection of the same client took over.";
    RateLimited "rate_limited" 429 Some(1_000), "Too many requests in too short a time.";
    Overloaded "overloaded" 503 Some(1_000), "Too much waits already.";
    Unavailable "unavailable" 503 Some(1_000), "The store does not answer; a publish may have been stored.";
    Rebalance "rebalance" 503 Some(1_000), "This node has not seen what the cursor has; here or elsewhere it soon will.";
    Drain "drain" 503 Some(1_000), "The server is going down or making room; another one answers.";

    // The server's fault.
    Internal "internal" 500 Some(1_000), "A fault of the server.";
    StorageFailed "storage_failed" 503 Some(5_000), "The store refuses writes until the operator restarts it.";
    StorageFull "storage_full" 507 Some(5_000), "The store is full; the operator must make room.";
}

impl Code {
    /// Whether the same request may succeed later.
    pub const fn retry(self) -> bool {
        self.after_ms().is_some()
    }

    /// The code with this name, `None` for names of later versions.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.name() == name)
    }

    /// The reason phrase of its status, as registered (RFC 9110 section 15, RFC 6585, RFC 4918).
    pub const fn phrase(self) -> &'static str {
        match self.http_status() {
            400 => "Bad Request",
            401 => "Unauthorized",
            403 => "Forbidden",
            404 => "Not Found",
            405 => "Method Not Allowed",
            408 => "Request Timeout",
            409 => "Conflict",
            413 => "Content Too Large",
            415 => "Unsupported Media Type",
            421 => "Misdirected Request",
            422 => "Unprocessable Content",
            426 => "Upgrade Required",
            429 => "Too Many Requests",
            431 => "Request Header Fields Too Large",
            503 => "Service Unavailable",
            507 => "Insufficient Storage",
            _ => "Internal Server Error",
        }
    }
}

impl From<&Error> for Code {
    fn from(error: &Error) -> Self {
        match error {
            Error::Name(_) | Error::Cursor(_) | Error::Request(_) => Self::BadRequest,
            Error::Forbidden { .. } => Self::Forbidden,
            Error::Expired => Self::TokenExpired,
            Error::Revoked => Self::AuthChanged,
            Error::TooLarge { .. } => Self::TooLarge,
            Error::Limit { .. } => Self::Limit,
            Error::Already(_) => Self::Already,
            Error::NotFollowed(_) => Self::NotFound,
            Error::ProducerGap { .. } => Self::ProducerGap,
            Error::ProducerConflict => Self::ProducerConflict,
            Error::ProducerFenced { .. } => Self::ProducerFenced,
            Error::ProducerForgotten => Self::ProducerForgotten,
            Error::KeyConflict => Self::KeyConflict,
            Error::KeyExpired => Self::KeyExpired,
            Error::Overloaded => Self::Overloaded,
            Error::Unavailable => Self::Unavailable,
            Error::Rebalance => Self::Rebalance,
            Error::StorageFailed => Self::StorageFailed,
            Error::StorageFull => Self::StorageFull,
            _ => Self::Internal,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    // Mutant: a second row with the name `limit` -> `from_name` gives the other one back.
    #[test]
    fn every_code_comes_back_from_its_name_and_has_a_phrase() {
        for &code in Code::ALL {
            assert_eq!(Code::from_name(code.name()), Some(code));
            assert_eq!(code.phrase() == "Internal Server Error", code.http_status() == 500, "{code:?}");
            assert!(code.meaning().ends_with('.'));
        }
        assert_eq!(Code::from_name("from_the_future"), None);
    }

    // Mutant: `Expired` mapped to `unauthorized` -> clients with a token function would stop for good.
    #[test]
    fn errors_of_the_core_have_the_codes_of_the_protocol() {
        for (error, name, status) in [
            (Error::Request("x"), "bad_request", 400),
            (Error::Expired, "token_expired", 401),
            (Error::Revoked, "auth_changed", 401),
            (Error::TooLarge { what: "event", bytes: 2, most: 1 }, "too_large", 413),
            (Error::Limit { what: "channels", most: 1 }, "limit", 400),
            (Error::ProducerGap { expected: 1 }, "producer_gap", 409),
            (Error::ProducerConflict, "producer_conflict", 409),
            (Error::ProducerFenced { epoch: 2 }, "producer_fenced", 409),
            (Error::ProducerForgotten, "producer_forgotten", 409),
            (Error::KeyConflict, "key_conflict", 409),
            (Error::KeyExpired, "key_expired", 409),
            (Error::Rebalance, "rebalance", 503),
            (Error::StorageFailed, "storage_failed", 503),
            (Error::StorageFull, "storage_full", 507),
        ] {
            assert_eq!((Code::from(&error).name(), Code::from(&error).http_status()), (name, status));
        }
    }
}
