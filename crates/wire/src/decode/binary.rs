//! Length-prefixed frames, in either direction: [`crate::encoding::binary`] backwards.

use bytes::{Buf, Bytes, BytesMut};
use serde_json::value::RawValue;
use sosik_core::{Cursor, Data, Epoch, LogId, Part, Position};

use super::{DecodeError, FRAME_BYTES_MAX, json};
use crate::{
    down::{Down, short},
    encoding::binary::{EVENT, FLAG_BINARY, FLAG_SIGNAL, JSON, LENGTH_BYTES},
    event::EventFrame,
};

/// Splits a stream into frames by their length.
#[derive(Debug)]
pub struct Binary {
    held: BytesMut,
    most: usize,
    failed: Option<DecodeError>,
}

impl Binary {
    /// Frames of at most [`FRAME_BYTES_MAX`].
    pub fn new() -> Self {
        Self::with_limit(FRAME_BYTES_MAX)
    }

    /// Frames of at most `most` bytes without their length.
    pub fn with_limit(most: usize) -> Self {
        Self { held: BytesMut::new(), most, failed: None }
    }

    #[cfg(test)]
    pub(super) fn held_bytes(&self) -> usize {
        self.held.len()
    }

    #[cfg(test)]
    pub(super) fn held_room(&self) -> usize {
        self.held.capacity()
    }

    /// Takes what came.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.failed.is_none() {
            self.held.extend_from_slice(bytes);
        }
    }

    /// The next frame without its length, `None` until more is fed. An empty one is a heartbeat.
    /// Errors: [`DecodeError::TooLarge`], as soon as the length has come.
    pub fn next_body(&mut self) -> Result<Option<Bytes>, DecodeError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let Some(length) = self.held.first_chunk::<LENGTH_BYTES>() else {
            if self.held.is_empty() {
                // A connection at rest keeps no buffer.
                self.held = BytesMut::new();
            }
            return Ok(None);
        };
        let length = u32::from_be_bytes(*length) as usize;
        if length > self.most {
            let error = DecodeError::TooLarge { bytes: length, most: self.most };
            (self.held, self.failed) = (BytesMut::new(), Some(error.clone()));
            return Err(error);
        }
        if self.held.len() < LENGTH_BYTES + length {
            return Ok(None);
        }
        self.held.advance(LENGTH_BYTES);
        Ok(Some(self.held.split_to(length).freeze()))
    }

    /// The next frame from a server, `None` until more is fed.
    pub fn next_frame(&mut self) -> Result<Option<Down>, DecodeError> {
        let Some(body) = self.next_body()? else { return Ok(None) };
        match body.first() {
            None => Ok(Some(Down::Heartbeat)),
            Some(&JSON) => json(&body[1..]).map(Some),
            Some(&EVENT) => event_body(&body).map(|event| Some(Down::Event(event))),
            Some(kind) => Ok(Some(Down::Unknown(format!("kind {kind}")))),
        }
    }
}

impl Default for Binary {
    fn default() -> Self {
        Self::new()
    }
}

/// The JSON text of a frame from a client, for [`crate::Up::parse`]; `None` for a heartbeat.
/// Errors: another kind, or not UTF-8.
pub fn json_body(body: &[u8]) -> Result<Option<&str>, DecodeError> {
    match body.split_first() {
        None => Ok(None),
        Some((&JSON, text)) => {
            std::str::from_utf8(text).map(Some).map_err(|_| DecodeError::Malformed("the frame is not UTF-8"))
        }
        Some(_) => Err(DecodeError::Malformed("clients send frames of kind 0 (JSON) only")),
    }
}

/// Reads the body of an event frame, kind included; its payload shares the memory.
pub fn event_body(body: &Bytes) -> Result<EventFrame, DecodeError> {
    let mut rest = Fields(&body[..]);
    if rest.byte()? != EVENT {
        return Err(DecodeError::Malformed("the frame is not an event"));
    }
    let flags = rest.byte()?;
    let seq = rest.varint()?;
    let epoch = short(Epoch::new(rest.number()?));
    let time = rest.varint()?;
    let (channel, name, from) = (rest.text()?, rest.text()?, rest.text()?);
    let data = body.slice_ref(rest.slice()?);
    let cursor = rest.cursor()?.to_string();
    let data = if flags & FLAG_BINARY == 0 {
        super::parse::<&RawValue>(&data)?;
        Data::Json(data)
    } else {
        Data::Binary(data)
    };
    let signal = flags & FLAG_SIGNAL != 0;
    Ok(EventFrame { channel, epoch, seq, time, name, data, from, signal, cursor })
}

/// What is left of a body. Bytes after the last field are a later version's, and ignored.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, bytes: usize) -> Result<&'a [u8], DecodeError> {
        let (head, rest) = self.0.split_at_checked(bytes).ok_or(SHORT)?;
        self.0 = rest;
        Ok(head)
    }

    fn byte(&mut self) -> Result<u8, DecodeError> {
        Ok(self.take(1)?[0])
    }

    fn number(&mut self) -> Result<u64, DecodeError> {
        Ok(u64::from_be_bytes(self.take(8)?.try_into().map_err(|_| SHORT)?))
    }

    fn varint(&mut self) -> Result<u64, DecodeError> {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = u64::from(self.byte()?);
            let bits = byte & 0x7f;
            if bits << shift >> shift != bits {
                break;
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(DecodeError::Malformed("a number has more than 64 bits"))
    }

    fn slice(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = usize::try_from(self.varint()?).map_err(|_| SHORT)?;
        self.take(length)
    }

    fn text(&mut self) -> Result<String, DecodeError> {
        let text = std::str::from_utf8(self.slice()?);
        text.map(str::to_owned).map_err(|_| DecodeError::Malformed("a text in the frame is not UTF-8"))
    }

    fn cursor(&mut self) -> Result<Cursor, DecodeError> {
        let mut cursor = Cursor::default();
        let count = self.byte()?;
        for _ in 0..count {
            let log = usize::from(self.byte()?);
            let log =
                *LogId::ALL.get(log).ok_or(DecodeError::Malformed("the cursor names an unknown log"))?;
            let (epoch, position) = (Epoch::new(self.number()?), Position::new(self.number()?));
            cursor.set(Part { log, epoch, position });
        }
        if count == 0 {
            return Err(DecodeError::Malformed("the frame has no cursor"));
        }
        Ok(cursor)
    }
}

const SHORT: DecodeError = DecodeError::Malformed("the frame ends before its fields do");
