//! Frames over a stream of bytes, as `stream` and `tcp` use it.

use bytes::Bytes;
use sosik_wire::{DecodeError, Down, Up, binary, decode};

use crate::{error::Error, options::Format};

/// A decoder of either format.
#[derive(Debug)]
pub(super) enum Frames {
    Json(decode::Lines),
    Binary(decode::Binary),
}

impl Frames {
    pub(super) fn new(format: Format) -> Self {
        match format {
            Format::Json => Self::Json(decode::Lines::new()),
            Format::Binary => Self::Binary(decode::Binary::new()),
        }
    }

    pub(super) fn feed(&mut self, bytes: &[u8]) {
        match self {
            Self::Json(lines) => lines.feed(bytes),
            Self::Binary(binary) => binary.feed(bytes),
        }
    }

    pub(super) fn next(&mut self) -> Result<Option<Down>, DecodeError> {
        match self {
            Self::Json(lines) => lines.next_frame(),
            Self::Binary(binary) => binary.next_frame(),
        }
    }
}

/// A frame's bytes on a stream. Errors: its payload is refused.
pub(super) fn encode(format: Format, up: &Up) -> Result<Bytes, Error> {
    let mut text = up.to_json()?;
    Ok(match format {
        Format::Json => {
            text.push('\n');
            text.into()
        }
        Format::Binary => binary::wrap_json(text.as_bytes()),
    })
}
