//! Chunks of an HTTP/1.1 body (RFC 9112 section 7.1). The size of a chunk depends on its length alone, so that the bytes
//! made once for everybody are a chunk with the frame inside.

use bytes::Bytes;

/// The end of a body.
pub const LAST: &[u8] = b"0\r\n\r\n";

/// What closes a chunk.
pub const END: &[u8] = b"\r\n";

/// What opens a chunk of `length` bytes.
pub fn header(length: usize) -> Bytes {
    format!("{length:x}\r\n").into()
}

/// Room to leave before a frame that becomes a chunk.
pub(super) const ROOM: usize = 10;

/// Makes a chunk of a frame that was put behind [`ROOM`] bytes.
pub(super) fn close(mut out: Vec<u8>) -> Bytes {
    let header = header(out.len() - ROOM);
    let start = ROOM - header.len();
    out[start..ROOM].copy_from_slice(&header);
    out.extend_from_slice(END);
    Bytes::from(out).slice(start..)
}

/// The frame within a chunk.
pub(super) fn open(chunk: &Bytes) -> Bytes {
    let start = chunk.iter().position(|&byte| byte == b'\n').map_or(0, |end| end + 1);
    chunk.slice(start..chunk.len() - END.len())
}
