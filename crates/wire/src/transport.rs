//! The six transports by name. The one table of them.

use std::{fmt, str::FromStr};

/// One row per transport: variant, name, HTTP path (`None`: no HTTP), whether frames go up on the same connection,
/// meaning.
macro_rules! transports {
    ($($variant:ident $name:literal $path:expr, $two_way:literal, $meaning:literal;)*) => {
        /// How bytes reach a client. Frames, order and promises are the same over each.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum TransportName {
            $(#[doc = $meaning] $variant,)*
        }

        impl TransportName {
            /// Every transport, in the order of the documentation.
            pub const ALL: [Self; 6] = [$(Self::$variant),*];

            /// The name in frames, options and metrics, snake case.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The path of its HTTP request, `None` for raw TCP.
            pub const fn path(self) -> Option<&'static str> {
                match self { $(Self::$variant => $path,)* }
            }

            /// Whether a client sends its frames over the same connection; over the others it uses `POST /v1/send`.
            pub const fn two_way(self) -> bool {
                match self { $(Self::$variant => $two_way,)* }
            }
        }
    };
}

transports! {
    Poll "poll" Some("/v1/poll"), false, "A request now and then, answered at once.";
    LongPoll "long_poll" Some("/v1/long-poll"), false, "A request that is held until there is news or its wait ends.";
    Stream "stream" Some("/v1/stream"), false, "One HTTP response without end: JSON lines or length-prefixed frames.";
    Sse "sse" Some("/v1/sse"), false, "Server-sent events (WHATWG HTML, section 9.2).";
    WebSocket "websocket" Some("/v1/websocket"), true, "A WebSocket (RFC 6455).";
    Tcp "tcp" None, true, "A TCP connection without HTTP: JSON lines or length-prefixed frames.";
}

impl fmt::Display for TransportName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for TransportName {
    type Err = UnknownTransport;

    fn from_str(name: &str) -> Result<Self, UnknownTransport> {
        let found = Self::ALL.into_iter().find(|transport| transport.name() == name);
        found.ok_or_else(|| UnknownTransport(name.chars().take(32).collect()))
    }
}

/// No transport has this name. The caller's fault; the text lists the ones there are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no transport is named {0:?}; there are {known}", known = TransportName::ALL.map(TransportName::name).join(", "))]
pub struct UnknownTransport(String);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    // Mutant: `long_poll` written `long-poll`, or a name given twice -> fails.
    #[test]
    fn every_transport_comes_back_from_its_name() {
        let names: Vec<_> = TransportName::ALL.iter().map(ToString::to_string).collect();
        assert_eq!(names, ["poll", "long_poll", "stream", "sse", "websocket", "tcp"]);
        for transport in TransportName::ALL {
            assert_eq!(transport.name().parse(), Ok(transport));
            assert_eq!(transport.path().is_none(), transport == TransportName::Tcp);
        }
        let unknown = "ws".parse::<TransportName>().unwrap_err().to_string();
        assert!(unknown.contains("\"ws\"") && unknown.contains("websocket, tcp"), "{unknown}");
    }
}
