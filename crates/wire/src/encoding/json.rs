//! JSON lines: one object and a line feed. The other text encodings wrap the same object.

use std::io::Write;

use base64::display::Base64Display;
use bytes::Bytes;
use serde::Serialize;
use sosik_core::{Cursor, Data, Event};

use super::chunk;
use crate::{data::BASE64, down::Down, payload::without_space};

pub(super) const HEARTBEAT: &[u8] = b"{\"type\":\"heartbeat\"}\n";

pub(super) fn event(event: &Event) -> Bytes {
    let mut out = Vec::with_capacity(chunk::ROOM + room(event));
    out.extend_from_slice(&[0; chunk::ROOM]);
    put_event(&mut out, event);
    put_cursor(&mut out, &Cursor::new([event.part()]));
    out.push(b'\n');
    chunk::close(out)
}

pub(super) fn event_with(whole: &Bytes, cursor: &Cursor) -> [Bytes; 3] {
    [Bytes::new(), whole.slice(..cursor_start(whole)), format!("{cursor}\"}}\n").into()]
}

pub(super) fn frame(frame: &Down) -> Bytes {
    let mut out = object(frame);
    out.push(b'\n');
    out.into()
}

/// Bytes that the object of `event` takes at most if little of it must be escaped.
pub(super) fn room(event: &Event) -> usize {
    let data = event.data.bytes().len();
    let data = if matches!(event.data, Data::Binary(_)) { data.div_ceil(3) * 4 } else { data };
    FIXED_BYTES + event.channel.as_str().len() + event.name.len() + event.from.len() + data
}

/// The object of `event` without its cursor and without its end.
pub(super) fn put_event(out: &mut Vec<u8>, event: &Event) {
    out.extend_from_slice(b"{\"type\":\"event\",\"channel\":");
    put(out, event.channel.as_str());
    out.extend_from_slice(b",\"epoch\":\"");
    out.extend_from_slice(&event.epoch.short());
    out.extend_from_slice(b"\",\"seq\":");
    put(out, &event.seq);
    out.extend_from_slice(b",\"time\":");
    put(out, &event.time);
    if !event.name.is_empty() {
        out.extend_from_slice(b",\"name\":");
        put(out, &*event.name);
    }
    match &event.data {
        Data::Json(text) => {
            out.extend_from_slice(b",\"data\":");
            out.extend_from_slice(text);
        }
        Data::Binary(bytes) => {
            write!(out, ",\"binary\":\"{}\"", Base64Display::new(bytes, &BASE64)).expect(VEC);
        }
    }
    if !event.from.is_empty() {
        out.extend_from_slice(b",\"from\":");
        put(out, &*event.from);
    }
    if event.signal {
        out.extend_from_slice(b",\"signal\":true");
    }
}

/// The end of an event's object, with its cursor as the last field.
pub(super) fn put_cursor(out: &mut Vec<u8>, cursor: &Cursor) {
    write!(out, ",\"cursor\":\"{cursor}\"}}").expect(VEC);
}

/// Where the text of the cursor begins in bytes that end with it and its closing quote: a cursor holds no quote.
pub(super) fn cursor_start(whole: &[u8]) -> usize {
    let quotes = whole.iter().enumerate().rev().filter(|&(_, &byte)| byte == b'"');
    quotes.map(|(at, _)| at + 1).nth(1).unwrap_or(whole.len())
}

/// The JSON object of any frame.
pub(super) fn object(frame: &Down) -> Vec<u8> {
    let mut out = Vec::with_capacity(FIXED_BYTES);
    match frame {
        Down::Unknown(name) => {
            out.extend_from_slice(b"{\"type\":");
            put(&mut out, name.as_str());
            out.push(b'}');
        }
        _ => put(&mut out, frame),
    }
    // Raw JSON inside a frame that came over another encoding may be pretty-printed, and would tear the line.
    if out.contains(&b'\n') || out.contains(&b'\r') { without_space(&out) } else { out }
}

fn put<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    serde_json::to_writer(out, value)
        .expect("frames have text keys, their JSON was checked, and a Vec takes every byte");
}

const VEC: &str = "a Vec takes every byte";
/// Keys, numbers, a cursor of one part, and a WebSocket header.
const FIXED_BYTES: usize = 192;
