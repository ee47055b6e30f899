//! Frames and their encodings, and the one goodbye table: pure functions.
//!
//! A server reads [`Up`] and [`PublishBody`], encodes the core's events with [`Encoding`] and everything else as
//! [`Down`]; a client writes [`Up`] and reads [`Down`] with [`decode`]. What clients need of the core is named here
//! too: they know this crate and not the core.

pub mod answer;
pub mod code;
mod data;
pub mod decode;
pub mod down;
pub mod encoding;
pub mod event;
pub mod goodbye;
pub mod once;
pub mod payload;
pub mod problem;
pub mod request;
pub mod transport;
pub mod up;
pub mod websocket;

pub use answer::{Answer, Hints};
pub use code::Code;
pub use decode::DecodeError;
pub use down::{
    Advice, CaughtUp, Down, Durability, ErrorFrame, GapFrame, Limits, OkFrame, TokenExpiring, Welcome,
};
pub use encoding::{Encoding, SSE_RETRY, STREAM_HEARTBEAT, binary, chunk};
pub use event::EventFrame;
pub use goodbye::{Goodbye, GoodbyeFrame};
pub use payload::{PayloadError, normalise};
pub use problem::Problem;
pub use request::{BODY_BYTES_MAX, PublishBody, ReadBody, Refused};
pub use sosik_core::{
    ChannelName, Cursor, Data, Epoch, GapReason, LogId, Part, Pattern, Position,
    cursor::CursorError,
    limits,
    name::{self, NameError},
    once::{Key, Once, Producer},
};
pub use transport::{TransportName, UnknownTransport};
pub use up::{Hello, HistoryFrame, Ping, PublishFrame, Subscribe, Unsubscribe, Up};
