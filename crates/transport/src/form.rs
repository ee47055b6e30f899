//! How frames become bytes on one connection: an encoding, and what a transport wraps around it.

use bytes::Bytes;
use smallvec::SmallVec;
use sosik_core::{Cursor, Event};
use sosik_wire::{Down, Encoding, STREAM_HEARTBEAT, websocket};

/// The five forms of frames on connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// JSON lines in an HTTP body: the heartbeat is an empty line.
    Stream,
    /// JSON lines over TCP: every frame is a JSON object.
    Lines,
    /// Server-sent events.
    Sse,
    /// WebSocket text messages.
    Text,
    /// Length-prefixed frames.
    Binary,
    /// Length-prefixed frames, each in one WebSocket binary message.
    Message,
}

/// The pieces of one frame, in order.
pub type Pieces = SmallVec<[Bytes; 4]>;

impl Form {
    const fn encoding(self) -> Encoding {
        match self {
            Self::Stream | Self::Lines => Encoding::JsonLine,
            Self::Sse => Encoding::Sse,
            Self::Text => Encoding::WebSocketText,
            Self::Binary | Self::Message => Encoding::Binary,
        }
    }

    /// An event. Without `cursor` its own place is the reader's cursor, and the bytes are the ones that every such
    /// reader gets; with one they are shared up to the cursor.
    pub fn event(self, event: &Event, cursor: Option<&Cursor>) -> Pieces {
        let mut pieces = Pieces::new();
        match cursor {
            None => pieces.push(self.encoding().event(event)),
            Some(cursor) => pieces.extend(self.encoding().event_with(event, cursor)),
        }
        self.wrap(pieces)
    }

    /// Any other frame.
    pub fn frame(self, frame: &Down) -> Pieces {
        self.wrap(SmallVec::from_iter([self.encoding().frame(frame)]))
    }

    /// A sign of life.
    pub fn heartbeat(self) -> Pieces {
        match self {
            Self::Stream => SmallVec::from_iter([Bytes::from_static(STREAM_HEARTBEAT)]),
            _ => self.wrap(SmallVec::from_iter([self.encoding().heartbeat()])),
        }
    }

    fn wrap(self, mut pieces: Pieces) -> Pieces {
        if self == Self::Message {
            let header = websocket::wrap_binary(&pieces);
            pieces.insert(0, header);
        }
        pieces
    }
}
