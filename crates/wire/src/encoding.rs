//! The four encodings of frames. Events are encoded at most once in each, whoever reads them.

pub mod binary;
pub mod chunk;
mod json;
mod sse;
pub mod websocket;

use bytes::Bytes;
use sosik_core::{Cursor, Event, event::Encodings};

use crate::down::Down;

/// How frames become bytes. The number of each is its slot in [`Event::encodings`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// One JSON object and a line feed: TCP, the HTTP stream, one-shot answers.
    JsonLine = 0,
    /// Server-sent events (WHATWG HTML, section 9.2): the cursor is the `id:`, the data is the JSON object without it.
    Sse = 1,
    /// A server's WebSocket text message (RFC 6455 section 5.2) with one JSON object.
    WebSocketText = 2,
    /// Length-prefixed frames, payloads unwrapped: TCP, the HTTP stream, and WebSocket behind
    /// [`websocket::wrap_binary`].
    Binary = 3,
}

impl Encoding {
    /// Every encoding, by slot.
    pub const ALL: [Self; Encodings::SLOTS] = [Self::JsonLine, Self::Sse, Self::WebSocketText, Self::Binary];

    /// The complete bytes of `event` with its own cursor: for a feed within one log. Made at most once per event.
    pub fn event(self, event: &Event) -> Bytes {
        let made = self.made(event);
        if self == Self::WebSocketText { made.clone() } else { chunk::open(made) }
    }

    /// The same as one chunk of an HTTP/1.1 body; a WebSocket message is none, and comes as it is.
    pub fn chunk(self, event: &Event) -> Bytes {
        self.made(event).clone()
    }

    /// What is made once: a chunk, with the frame inside.
    fn made(self, event: &Event) -> &Bytes {
        let make = || match self {
            Self::JsonLine => json::event(event),
            Self::Sse => sse::event(event),
            Self::WebSocketText => websocket::event(event),
            Self::Binary => binary::event(event),
        };
        event.encodings.get_or_make(self as usize, make)
    }

    /// The bytes of `event` with the feed's own `cursor`, for a feed whose set touches both logs: three slices to write
    /// one after the other (header, the shared stem, tail; some are empty). Nothing of the event is encoded again.
    pub fn event_with(self, event: &Event, cursor: &Cursor) -> [Bytes; 3] {
        let whole = self.event(event);
        match self {
            Self::JsonLine => json::event_with(&whole, cursor),
            Self::Sse => sse::event_with(&whole, cursor),
            Self::WebSocketText => websocket::event_with(&whole, cursor),
            Self::Binary => binary::event_with(&whole, cursor),
        }
    }

    /// The bytes of any other frame.
    pub fn frame(self, frame: &Down) -> Bytes {
        match self {
            Self::JsonLine => json::frame(frame),
            Self::Sse => sse::frame(frame),
            Self::WebSocketText => websocket::frame(frame),
            Self::Binary => binary::frame(frame),
        }
    }

    /// The heartbeat. The HTTP stream of JSON lines sends [`STREAM_HEARTBEAT`] instead of the frame.
    pub const fn heartbeat(self) -> Bytes {
        Bytes::from_static(match self {
            Self::JsonLine => json::HEARTBEAT,
            Self::Sse => sse::HEARTBEAT,
            Self::WebSocketText => websocket::HEARTBEAT,
            Self::Binary => binary::HEARTBEAT,
        })
    }
}

/// The heartbeat of the HTTP stream of JSON lines: an empty line.
pub const STREAM_HEARTBEAT: &[u8] = b"\n";

pub use sse::RETRY as SSE_RETRY;
