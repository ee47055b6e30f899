//! JSON lines: one object and a line feed. The other text encodings wrap the same object.

use std::io::Write;

use base64::display::Base64Display;
use bytes::Bytes;
use serde::Serialize;
use sosik_core::{Cursor, Data, Event};

use super::chunk;
use crate::{
    data::BASE64,
    down::{Down, Durability, OkFrame},
    payload::without_space,
};

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
        Down::Ok(ok) if ok.channels.is_none() && ok.frames.is_none() => put_ok(&mut out, ok),
        _ => put(&mut out, frame),
    }
    // Raw JSON inside a frame that came over another encoding may be pretty-printed, and would tear the line.
    if out.contains(&b'\n') || out.contains(&b'\r') { without_space(&out) } else { out }
}

/// An `ok` without lists, which is what each publish is answered with: field by field, as serde would write them.
fn put_ok(out: &mut Vec<u8>, ok: &OkFrame) {
    out.extend_from_slice(b"{\"type\":\"ok\"");
    let mut field = |key: &str, value: Value<'_>| {
        out.extend_from_slice(b",\"");
        out.extend_from_slice(key.as_bytes());
        out.extend_from_slice(b"\":");
        match value {
            Value::Text(text) => put(out, text),
            Value::Number(number) => put(out, &number),
            Value::Bool(value) => out.extend_from_slice(if value { b"true" } else { b"false" }),
        }
    };
    let durability = ok.durability.as_ref().map(Durability::name);
    let fields = [
        ("id", ok.id.map(Value::Number)),
        ("channel", ok.channel.as_deref().map(Value::Text)),
        ("epoch", ok.epoch.as_deref().map(Value::Text)),
        ("seq", ok.seq.map(Value::Number)),
        ("durability", durability.map(Value::Text)),
        ("duplicate", ok.duplicate.map(Value::Bool)),
        ("more", ok.more.map(Value::Bool)),
        ("cursor", ok.cursor.as_deref().map(Value::Text)),
    ];
    for (key, value) in fields {
        value.into_iter().for_each(|value| field(key, value));
    }
    out.push(b'}');
}

enum Value<'a> {
    Text(&'a str),
    Number(u64),
    Bool(bool),
}

fn put<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    serde_json::to_writer(out, value)
        .expect("frames have text keys, their JSON was checked, and a Vec takes every byte");
}

const VEC: &str = "a Vec takes every byte";
/// Keys, numbers, a cursor of one part, and a WebSocket header.
const FIXED_BYTES: usize = 192;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    // Mutants: a field left out of `put_ok`, two in another order, the text of one not escaped -> each fails.
    #[test]
    fn an_ok_is_written_as_its_derived_form_says() {
        let texts = [None, Some(String::new()), Some("room:\"7\"\\ \u{1f600}".to_owned())];
        let numbers = [None, Some(0), Some(u64::MAX)];
        let levels = [Durability::Memory, Durability::Synced, Durability::Replicated, Durability::Unknown];
        let levels: Vec<_> = levels.into_iter().map(Some).chain([None]).collect();
        let bools = [None, Some(true), Some(false)];
        for case in 0..texts.len() * numbers.len() * levels.len() * bools.len() {
            let text = |by: usize| texts[case / by % texts.len()].clone();
            let ok = OkFrame {
                id: numbers[case % 3],
                channel: text(3),
                epoch: text(1),
                seq: numbers[case / 9 % 3],
                durability: levels[case % levels.len()],
                duplicate: bools[case / 3 % 3],
                more: bools[case / 27 % 3],
                cursor: text(9),
                ..OkFrame::default()
            };
            let frame = Down::Ok(ok);
            assert_eq!(String::from_utf8(object(&frame)).unwrap(), serde_json::to_string(&frame).unwrap());
        }
    }
}
