//! Observations from raw bytes.
//!
//! Deliveries are judged from what was on the wire, so nothing here shares code with the client or the server.
//! One file per form, all of one shape: `new`, `push` (bytes may arrive split anywhere), `unfinished` (bytes of
//! a frame that has not ended: what a cut connection leaves, and what a client must throw away).

mod answer;
mod frame;
mod http;
mod json_lines;
mod sse;
mod websocket;

pub use answer::Answer;
pub use frame::Torn;
pub use http::{HEAD_BYTES_MAX, Head, HttpParser, HttpPart, HttpResponses, HttpSide, HttpStep};
pub use json_lines::JsonLines;
pub use sse::Sse;
pub use websocket::WebSocketText;

/// Most bytes of one unfinished frame, line or message that a reader here holds, in bytes: 2 MiB, twice the
/// largest request body, so that a peer that never ends a line is a [`Torn`] and not a full memory.
pub const FRAME_BYTES_MAX: usize = 2 * 1024 * 1024;
