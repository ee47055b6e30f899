//! Frames in WebSocket messages, read from raw bytes.

use super::FRAME_BYTES_MAX;
use super::frame::{Cursor, Torn, observe, utf8};
use crate::checker::Observed;

/// What a server sends after the WebSocket handshake, subprotocol `sosik.v1.json`: unmasked frames (RFC 6455
/// section 5.2), each text message one JSON frame.
///
/// Control frames are [`Observed::Other`] of kind `websocket ping`, `websocket pong` and `websocket close N`,
/// with N the close code, 1005 when there is none.
#[derive(Debug, Default)]
pub struct WebSocketText {
    held: Vec<u8>,
    message: Option<Vec<u8>>,
}

impl WebSocketText {
    /// A reader at the first byte after the handshake.
    pub fn new() -> Self {
        Self::default()
    }

    /// What the bytes complete, in their order.
    ///
    /// # Errors
    /// [`Torn`] when a frame breaks RFC 6455 (masked, reserved bits, unknown opcode, a control frame that is
    /// fragmented or longer than 125 bytes, a continuation of nothing), a message is binary or is no JSON frame,
    /// or it is longer than [`FRAME_BYTES_MAX`].
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<Observed>, Torn> {
        self.held.extend_from_slice(bytes);
        let mut seen = Vec::new();
        let mut used = 0;
        while let Some(frame) = Frame::read(&self.held[used..])? {
            used += frame.bytes;
            seen.extend(frame.apply(&mut self.message)?);
        }
        self.held.drain(..used);
        Ok(seen)
    }

    /// Bytes of a frame or of a fragmented message that has not ended.
    pub fn unfinished(&self) -> usize {
        self.held.len() + self.message.as_ref().map_or(0, Vec::len)
    }
}

struct Frame<'a> {
    fin: bool,
    opcode: u8,
    payload: &'a [u8],
    bytes: usize,
}

impl<'a> Frame<'a> {
    fn read(held: &'a [u8]) -> Result<Option<Self>, Torn> {
        let [first, second, rest @ ..] = held else { return Ok(None) };
        let (fin, opcode) = (first & 0x80 != 0, first & 0x0f);
        if first & 0x70 != 0 {
            return Err(Torn::new("reserved bits without an extension (RFC 6455 section 5.2)"));
        }
        if second & 0x80 != 0 {
            return Err(Torn::new("a masked frame from a server (RFC 6455 section 5.1)"));
        }
        let length_bytes = match second {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        if opcode >= 8 && (length_bytes > 0 || !fin) {
            return Err(Torn::new("a control frame fragmented or over 125 bytes (RFC 6455 section 5.5)"));
        }
        let Some(length) = rest.get(..length_bytes) else { return Ok(None) };
        let length = match length_bytes {
            0 => u64::from(*second),
            _ => length.iter().fold(0, |sum, &b| sum << 8 | u64::from(b)),
        };
        if length > FRAME_BYTES_MAX as u64 {
            return Err(Torn::new(format!("a frame of {length} bytes, more than {FRAME_BYTES_MAX}")));
        }
        let payload = &rest[length_bytes..];
        let Some(payload) = payload.get(..length as usize) else { return Ok(None) };
        Ok(Some(Self { fin, opcode, payload, bytes: 2 + length_bytes + payload.len() }))
    }

    fn apply(&self, message: &mut Option<Vec<u8>>) -> Result<Option<Observed>, Torn> {
        match (self.opcode, message.as_mut()) {
            (0, Some(held)) => held.extend_from_slice(self.payload),
            (1, None) => *message = Some(self.payload.to_vec()),
            (8, _) => {
                let code = self.payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code));
                return Ok(Some(control(format!("websocket close {code}"))));
            }
            (9, _) => return Ok(Some(control("websocket ping".to_owned()))),
            (10, _) => return Ok(Some(control("websocket pong".to_owned()))),
            (0, None) => return Err(Torn::new("a continuation of nothing (RFC 6455 section 5.4)")),
            (1, Some(_)) => {
                return Err(Torn::new("a new message inside a fragmented one (RFC 6455 section 5.4)"));
            }
            (opcode, _) => return Err(Torn::new(format!("opcode {opcode} where text is spoken"))),
        }
        if message.as_ref().is_some_and(|held| held.len() > FRAME_BYTES_MAX) {
            return Err(Torn::new(format!("a message of more than {FRAME_BYTES_MAX} bytes")));
        }
        if !self.fin {
            return Ok(None);
        }
        let whole = message.take().unwrap_or_default();
        observe(utf8(&whole)?, Cursor::Inside).map(Some)
    }
}

fn control(kind: String) -> Observed {
    Observed::Other { kind, frame: String::new() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![first];
        match payload.len() {
            n @ 0..=125 => bytes.push(n as u8),
            n @ 126..=0xffff => {
                bytes.push(126);
                bytes.extend_from_slice(&(n as u16).to_be_bytes());
            }
            n => {
                bytes.push(127);
                bytes.extend_from_slice(&(n as u64).to_be_bytes());
            }
        }
        bytes.extend_from_slice(payload);
        bytes
    }

    fn event(seq: u64, size: usize) -> String {
        let data = "x".repeat(size);
        format!(
            "{{\"type\":\"event\",\"channel\":\"a:1\",\"epoch\":\"e\",\"seq\":{seq},\"data\":\"{data}\"}}"
        )
    }

    // Mutant: reading the 16-bit length as little endian -> fails.
    // Mutant: finishing a message at its first fragment -> fails.
    #[test]
    fn frames_split_anywhere_read_the_same() {
        let mut bytes = Vec::new();
        for (seq, size) in [(1, 1), (2, 300), (3, 70_000)] {
            bytes.extend(frame(0x81, event(seq, size).as_bytes()));
        }
        let whole = event(4, 10);
        bytes.extend(frame(0x01, &whole.as_bytes()[..20]));
        bytes.extend(frame(0x89, b"p"));
        bytes.extend(frame(0x00, &whole.as_bytes()[20..40]));
        bytes.extend(frame(0x80, &whole.as_bytes()[40..]));
        bytes.extend(frame(0x88, &4101_u16.to_be_bytes()));
        bytes.extend([0x81, 0x05, b'x']);

        let mut rng = fastrand::Rng::with_seed(7);
        for _ in 0..50 {
            let (mut reader, mut seen, mut at) = (WebSocketText::new(), Vec::new(), 0);
            while at < bytes.len() {
                let n = rng.usize(1..=9_000).min(bytes.len() - at);
                seen.extend(reader.push(&bytes[at..at + n]).unwrap());
                at += n;
            }
            let seqs: Vec<_> = seen
                .iter()
                .map(|item| match item {
                    Observed::Event(e) => e.seq.to_string(),
                    Observed::Other { kind, .. } => kind.clone(),
                    other => panic!("{other:?}"),
                })
                .collect();
            assert_eq!(seqs, ["1", "2", "3", "websocket ping", "4", "websocket close 4101"]);
            assert_eq!(reader.unfinished(), 3);
        }
    }

    // Mutant: ignoring the mask bit -> fails.
    #[test]
    fn a_frame_that_breaks_the_rfc_is_torn() {
        let broken: [&[u8]; 7] = [
            &[0x81, 0x81, 0, 0, 0, 0, b'x'],
            &[0xc1, 0x00],
            &[0x80, 0x00],
            &[0x82, 0x01, b'x'],
            &[0x09, 0x00],
            &[0x89, 126, 0, 126],
            &[0x81, 127, 1, 0, 0, 0, 0, 0, 0, 0],
        ];
        for bytes in broken {
            assert!(WebSocketText::new().push(bytes).is_err(), "{bytes:x?}");
        }
        let nested = [frame(0x01, b"{"), frame(0x01, b"}")].concat();
        assert!(WebSocketText::new().push(&nested).is_err());
    }
}
