//! The transports, as bytes to send.

use super::answers::Place;

/// How a reader reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carrier {
    Poll,
    LongPoll,
    Stream,
    Sse,
    WebSocket,
    Tcp,
}

impl Carrier {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Poll => "poll",
            Self::LongPoll => "long_poll",
            Self::Stream => "stream",
            Self::Sse => "sse",
            Self::WebSocket => "websocket",
            Self::Tcp => "tcp",
        }
    }

    /// Whether each answer ends and the next one is asked for.
    pub(crate) fn asks_again(self) -> bool {
        matches!(self, Self::Poll | Self::LongPoll)
    }

    /// What opens the reader of `channel` behind `after`. A long-poll asks for its place first, without being held.
    pub(crate) fn opening(self, channel: u32, after: &str) -> Vec<u8> {
        let channel = channel_name(channel);
        let frames = [
            "{\"type\":\"hello\",\"protocol\":1}".to_owned(),
            format!("{{\"type\":\"subscribe\",\"id\":1,\"channels\":[\"{channel}\"],\"after\":\"{after}\"}}"),
        ];
        match self {
            Self::Poll => get("poll", &channel, after, "", ""),
            Self::LongPoll => get("long-poll", &channel, after, "&wait=0", ""),
            Self::Stream => get("stream", &channel, after, "", ""),
            Self::Sse => get("sse", &channel, after, "", ""),
            Self::Tcp => frames.map(|frame| frame + "\n").concat().into_bytes(),
            Self::WebSocket => {
                let handshake = "GET /v1/websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
                let mut bytes = handshake.as_bytes().to_vec();
                // Masked with zeros (RFC 6455 section 5.3): the key may be any, and this is a benchmark.
                for frame in frames {
                    bytes.push(0x81);
                    // The length in as few bytes as it takes (RFC 6455 section 5.2): another one is refused.
                    match frame.len() as u16 {
                        length @ 0..126 => bytes.push(0x80 | length as u8),
                        length => {
                            bytes.push(0x80 | 126);
                            bytes.extend(length.to_be_bytes());
                        }
                    }
                    bytes.extend([0; 4]);
                    bytes.extend(frame.as_bytes());
                }
                bytes
            }
        }
    }

    /// The request behind an answer.
    pub(crate) fn again(self, channel: u32, place: &Place) -> Vec<u8> {
        let channel = channel_name(channel);
        match (self, &place.etag) {
            (Self::Poll, Some(etag)) => {
                get("poll", &channel, &place.cursor, "", &format!("If-None-Match: {etag}\r\n"))
            }
            (Self::Poll, None) => get("poll", &channel, &place.cursor, "", ""),
            _ => get("long-poll", &channel, &place.cursor, "&wait=50", ""),
        }
    }
}

/// What readers of the channel with this number read. All names have one length.
pub(crate) fn channel_name(number: u32) -> String {
    format!("{CHANNEL_PREFIX}{number:06}")
}

fn get(path: &str, channel: &str, after: &str, more: &str, header: &str) -> Vec<u8> {
    format!(
        "GET /v1/{path}?channel={channel}&after={after}{more} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bench\r\n{header}\r\n"
    )
    .into_bytes()
}

/// In the namespace that `sosik serve --demo` opens.
pub(crate) const CHANNEL_PREFIX: &str = "demo:bench-";
