//! Length-prefixed frames. `len u32 BE` counts what follows it; 0 is a heartbeat. Then comes `kind u8`:
//!
//! - [`JSON`]: the frame's JSON object, to the end;
//! - [`EVENT`]: `flags u8 | varint seq | u64 epoch BE | varint time | str channel | str name | str from | varint n |
//!   n bytes of payload | cursor`, where `str` is a varint length and UTF-8, a varint is LEB128 (seven bits a byte, low
//!   first), and `cursor` is `count u8`, then per part `log u8 (0 disk, 1 memory) | u64 epoch BE | u64 position BE`.
//!
//! Kinds of later versions are skipped by their length.

use bytes::{BufMut, Bytes, BytesMut};
use sosik_core::{Cursor, Data, Event};

use super::{chunk, json};
use crate::down::Down;

/// Kind: the rest is the JSON object of a frame, in either direction.
pub const JSON: u8 = 0;
/// Kind: an event.
pub const EVENT: u8 = 1;
/// Flag of an event: its payload is bytes, not JSON.
pub const FLAG_BINARY: u8 = 1;
/// Flag of an event: it is a signal.
pub const FLAG_SIGNAL: u8 = 2;

pub(super) const HEARTBEAT: &[u8] = &[0; LENGTH_BYTES];

pub(super) fn event(event: &Event) -> Bytes {
    let data = event.data.bytes();
    let texts = event.channel.as_str().len() + event.name.len() + event.from.len();
    let mut out = Vec::with_capacity(FIXED_BYTES + texts + data.len());
    out.put_bytes(0, FRAME_START);
    out.put_u8(EVENT);
    out.put_u8(
        if matches!(event.data, Data::Binary(_)) { FLAG_BINARY } else { 0 }
            | if event.signal { FLAG_SIGNAL } else { 0 },
    );
    put_varint(&mut out, event.seq);
    out.put_u64(event.epoch.bits());
    put_varint(&mut out, event.time);
    for text in [event.channel.as_str(), &event.name, &event.from] {
        put_varint(&mut out, text.len() as u64);
        out.put_slice(text.as_bytes());
    }
    put_varint(&mut out, data.len() as u64);
    out.put_slice(data);
    put_cursor(&mut out, &Cursor::new([event.part()]));
    let length = (out.len() - FRAME_START) as u32;
    out[chunk::ROOM..FRAME_START].copy_from_slice(&length.to_be_bytes());
    chunk::close(out)
}

pub(super) fn event_with(whole: &Bytes, cursor: &Cursor) -> [Bytes; 3] {
    let stem = whole.slice(LENGTH_BYTES..whole.len() - CURSOR_BYTES_OF_ONE);
    let mut tail = BytesMut::with_capacity(1 + cursor.parts().len() * PART_BYTES);
    put_cursor(&mut tail, cursor);
    let length = (stem.len() + tail.len()) as u32;
    [Bytes::copy_from_slice(&length.to_be_bytes()), stem, tail.freeze()]
}

pub(super) fn frame(frame: &Down) -> Bytes {
    if *frame == Down::Heartbeat { Bytes::from_static(HEARTBEAT) } else { wrap_json(&json::object(frame)) }
}

/// The length-prefixed frame of one JSON object, in either direction.
pub fn wrap_json(object: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(LENGTH_BYTES + 1 + object.len());
    out.put_u32(1 + object.len() as u32);
    out.put_u8(JSON);
    out.put_slice(object);
    out.freeze()
}

fn put_cursor(out: &mut impl BufMut, cursor: &Cursor) {
    out.put_u8(cursor.parts().len() as u8);
    for part in cursor.parts() {
        out.put_u8(part.log.index() as u8);
        out.put_u64(part.epoch.bits());
        out.put_u64(part.position.number());
    }
}

fn put_varint(out: &mut impl BufMut, mut number: u64) {
    while number >= 0x80 {
        out.put_u8(number as u8 | 0x80);
        number >>= 7;
    }
    out.put_u8(number as u8);
}

pub(crate) const LENGTH_BYTES: usize = 4;
/// Where the part of an event that the length counts begins.
const FRAME_START: usize = chunk::ROOM + LENGTH_BYTES;
const PART_BYTES: usize = 17;
const CURSOR_BYTES_OF_ONE: usize = 1 + PART_BYTES;
/// A chunk, length, kind, flags, the epoch, varints and a cursor of one part.
const FIXED_BYTES: usize = 84;
