//! How frames become bytes on one connection: an encoding, and what a transport wraps around it.

use bytes::Bytes;
use smallvec::SmallVec;
use sosik_core::{Cursor, Event};
use sosik_wire::{Down, Encoding, STREAM_HEARTBEAT, chunk, websocket};

/// The forms of frames on connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// JSON lines in an HTTP body: the heartbeat is an empty line.
    Stream,
    /// The same, each frame in a chunk of its own (RFC 9112 section 7.1).
    StreamChunks,
    /// JSON lines over TCP: every frame is a JSON object.
    Lines,
    /// Server-sent events.
    Sse,
    /// The same, each in a chunk of its own.
    SseChunks,
    /// WebSocket text messages.
    Text,
    /// Length-prefixed frames.
    Binary,
    /// The same, each in a chunk of its own.
    BinaryChunks,
    /// Length-prefixed frames, each in one WebSocket binary message.
    Message,
}

/// The pieces of one frame, in order.
pub type Pieces = SmallVec<[Bytes; 4]>;

impl Form {
    const fn encoding(self) -> Encoding {
        match self {
            Self::Stream | Self::StreamChunks | Self::Lines => Encoding::JsonLine,
            Self::Sse | Self::SseChunks => Encoding::Sse,
            Self::Text => Encoding::WebSocketText,
            Self::Binary | Self::BinaryChunks | Self::Message => Encoding::Binary,
        }
    }

    /// The same frames in chunks, for the body of an HTTP/1.1 answer.
    pub(crate) const fn in_chunks(self) -> Self {
        match self {
            Self::Stream => Self::StreamChunks,
            Self::Sse => Self::SseChunks,
            Self::Binary => Self::BinaryChunks,
            other => other,
        }
    }

    /// Whether each frame is a chunk.
    pub(crate) const fn is_chunks(self) -> bool {
        matches!(self, Self::StreamChunks | Self::SseChunks | Self::BinaryChunks)
    }

    /// An event. Without `cursor` its own place is the reader's cursor, and the bytes are the ones that every such
    /// reader gets; with one they are shared up to the cursor.
    pub fn event(self, event: &Event, cursor: Option<&Cursor>) -> Pieces {
        match cursor {
            None if self.is_chunks() => Pieces::from_iter([self.encoding().chunk(event)]),
            None => self.wrap(Pieces::from_iter([self.encoding().event(event)])),
            Some(cursor) => self.wrap(Pieces::from_iter(self.encoding().event_with(event, cursor))),
        }
    }

    /// Any other frame.
    pub fn frame(self, frame: &Down) -> Pieces {
        self.whole(self.encoding().frame(frame))
    }

    /// A sign of life.
    pub fn heartbeat(self) -> Pieces {
        self.whole(match self {
            Self::Stream | Self::StreamChunks => Bytes::from_static(STREAM_HEARTBEAT),
            _ => self.encoding().heartbeat(),
        })
    }

    /// Bytes that are a frame of the transport's own, wrapped as the others are.
    pub(crate) fn whole(self, frame: Bytes) -> Pieces {
        self.wrap(Pieces::from_iter([frame]))
    }

    fn wrap(self, mut pieces: Pieces) -> Pieces {
        if self == Self::Message {
            pieces.insert(0, websocket::wrap_binary(&pieces));
        } else if self.is_chunks() {
            pieces.insert(0, chunk::header(pieces.iter().map(Bytes::len).sum()));
            pieces.push(Bytes::from_static(chunk::END));
        }
        pieces
    }
}
