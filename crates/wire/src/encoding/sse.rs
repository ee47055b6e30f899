//! Server-sent events. `onmessage` sees events only; every other frame has its type as `event:`.

use bytes::Bytes;
use sosik_core::{Cursor, Event};

use super::{chunk, json};
use crate::down::Down;

/// The first bytes of a response: how long a browser waits before it reconnects by itself, 3 s.
pub const RETRY: &str = "retry: 3000\n";

pub(super) const HEARTBEAT: &[u8] = b":\n\n";

pub(super) fn event(event: &Event) -> Bytes {
    let mut out = Vec::with_capacity(chunk::ROOM + json::room(event));
    out.extend_from_slice(&[0; chunk::ROOM]);
    put_id(&mut out, &Cursor::new([event.part()]).to_string());
    out.extend_from_slice(b"data: ");
    json::put_event(&mut out, event);
    out.extend_from_slice(b"}\n\n");
    chunk::close(out)
}

pub(super) fn event_with(whole: &Bytes, cursor: &Cursor) -> [Bytes; 3] {
    let stem = whole.iter().position(|&byte| byte == b'\n').map_or(0, |end| end + 1);
    [format!("id: {cursor}\n").into(), whole.slice(stem..), Bytes::new()]
}

pub(super) fn frame(frame: &Down) -> Bytes {
    let mut frame = frame.clone();
    let mut out = Vec::new();
    if let Some(cursor) = frame.take_cursor() {
        put_id(&mut out, &cursor);
    }
    if !matches!(frame, Down::Event(_)) {
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(frame.type_name().as_bytes());
        out.push(b'\n');
    }
    out.extend_from_slice(b"data: ");
    out.extend_from_slice(&json::object(&frame));
    out.extend_from_slice(b"\n\n");
    out.into()
}

fn put_id(out: &mut Vec<u8>, cursor: &str) {
    out.extend_from_slice(b"id: ");
    out.extend_from_slice(cursor.as_bytes());
    out.push(b'\n');
}
