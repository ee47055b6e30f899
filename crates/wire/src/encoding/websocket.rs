//! WebSocket messages as a server sends them (RFC 6455 section 5.2): one frame each, final, unmasked.

use bytes::{BufMut, Bytes, BytesMut};
use sosik_core::{Cursor, Event};

use super::json;
use crate::{down::Down, goodbye::Goodbye};

/// A text message with one JSON object.
pub const TEXT: u8 = 0x1;
/// A binary message.
pub const BINARY: u8 = 0x2;
/// A close.
pub const CLOSE: u8 = 0x8;
/// A ping.
pub const PING: u8 = 0x9;
/// A pong.
pub const PONG: u8 = 0xA;

pub(super) const HEARTBEAT: &[u8] = b"\x81\x14{\"type\":\"heartbeat\"}";

pub(super) fn event(event: &Event) -> Bytes {
    let mut out = Vec::with_capacity(json::room(event));
    out.extend_from_slice(&[0; HEADER_BYTES_MAX]);
    json::put_event(&mut out, event);
    json::put_cursor(&mut out, &Cursor::new([event.part()]));
    let header = header(TEXT, out.len() - HEADER_BYTES_MAX);
    let start = HEADER_BYTES_MAX - header.len();
    out[start..HEADER_BYTES_MAX].copy_from_slice(&header);
    Bytes::from(out).slice(start..)
}

pub(super) fn event_with(whole: &Bytes, cursor: &Cursor) -> [Bytes; 3] {
    let stem = whole.slice(header_bytes(whole)..json::cursor_start(whole));
    let tail = Bytes::from(format!("{cursor}\"}}"));
    [header(TEXT, stem.len() + tail.len()), stem, tail]
}

pub(super) fn frame(frame: &Down) -> Bytes {
    message(TEXT, &json::object(frame))
}

/// The header to send before `payload` (pieces of one or more length-prefixed frames), which thereby travel in one
/// binary message as they are, prefixes included.
pub fn wrap_binary(payload: &[Bytes]) -> Bytes {
    header(BINARY, payload.iter().map(Bytes::len).sum())
}

/// The close frame of a goodbye; `reason` is for people and cut to the room there is.
pub fn close(goodbye: Goodbye, reason: &str) -> Bytes {
    message(CLOSE, &goodbye.close_payload(reason))
}

/// A whole message. The payload of `CLOSE`, `PING` and `PONG` is at most 125 bytes (RFC 6455 section 5.5).
pub fn message(opcode: u8, payload: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(HEADER_BYTES_MAX + payload.len());
    put_header(&mut out, opcode, payload.len());
    out.put_slice(payload);
    out.freeze()
}

/// The header of a message of `length` bytes: 2, 4 or 10 bytes.
pub fn header(opcode: u8, length: usize) -> Bytes {
    let mut out = BytesMut::with_capacity(HEADER_BYTES_MAX);
    put_header(&mut out, opcode, length);
    out.freeze()
}

fn put_header(out: &mut BytesMut, opcode: u8, length: usize) {
    out.put_u8(FIN | opcode);
    match length {
        0..=125 => out.put_u8(length as u8),
        126..=0xffff => {
            out.put_u8(126);
            out.put_u16(length as u16);
        }
        _ => {
            out.put_u8(127);
            out.put_u64(length as u64);
        }
    }
}

/// The size of the header that `message` begins with.
fn header_bytes(message: &[u8]) -> usize {
    match message[1] {
        126 => 4,
        127 => HEADER_BYTES_MAX,
        _ => 2,
    }
}

const FIN: u8 = 0x80;
const HEADER_BYTES_MAX: usize = 10;
