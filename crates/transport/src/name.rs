//! The six transports by name.

use std::fmt;

/// How bytes reach a client. The names are the same in options, frames, metrics and documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// One answer, at once.
    Poll,
    /// One answer, held until there is news.
    LongPoll,
    /// An answer that does not end, of lines or length-prefixed frames.
    Stream,
    /// Server-sent events.
    Sse,
    /// WebSocket.
    WebSocket,
    /// A plain TCP connection.
    Tcp,
}

impl Transport {
    /// All, from the humblest to the fastest.
    pub const ALL: [Self; 6] =
        [Self::Poll, Self::LongPoll, Self::Stream, Self::Sse, Self::WebSocket, Self::Tcp];

    /// The name in options, frames and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Poll => "poll",
            Self::LongPoll => "long_poll",
            Self::Stream => "stream",
            Self::Sse => "sse",
            Self::WebSocket => "websocket",
            Self::Tcp => "tcp",
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
