//! Bytes back into frames, for clients: whole objects here, byte streams that may be split anywhere in the files below.
//!
//! The stream decoders have one shape: `feed` what came, then ask for frames until there is none. They hold at most one
//! frame and the last feed; after an error they take nothing more.

mod binary;
mod lines;
mod sse;

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

pub use self::{
    binary::{Binary, event_body, json_body},
    lines::Lines,
    sse::Sse,
};
use crate::{answer::Hints, down::Down, request::BODY_BYTES_MAX};

/// Reads the JSON object of one frame. Blank text is a heartbeat, as on the HTTP stream. Types of later versions give
/// [`Down::Unknown`], unknown fields are ignored. Errors: [`DecodeError`].
pub fn json(text: &[u8]) -> Result<Down, DecodeError> {
    checked(object(text)?)
}

/// Reads the JSON frames of an `ok` that answers a history, or of any list.
pub fn frames<'a>(list: impl IntoIterator<Item = &'a RawValue>) -> Result<Vec<Down>, DecodeError> {
    list.into_iter().map(|raw| json(raw.get().as_bytes())).collect()
}

/// Reads the body of the answer to an array in `POST /v1/publish`: one frame per event.
pub fn array(body: &[u8]) -> Result<Vec<Down>, DecodeError> {
    frames(parse::<Vec<&RawValue>>(body)?)
}

/// Reads the body of a poll, long-poll or history answer.
pub fn answer(body: &[u8]) -> Result<Page, DecodeError> {
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(DecodeError::Malformed("an answer is one JSON object"));
    }
    let fields: PageFields<'_> = parse(body)?;
    let PageFields { list, cursor, more, hints } = fields;
    Ok(Page { frames: frames(list)?, cursor, more, hints })
}

/// What a one-shot answer says.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// Its frames, in order.
    pub frames: Vec<Down>,
    /// The place after them.
    pub cursor: String,
    /// Whether there is more to read at once.
    pub more: bool,
    /// When to come again.
    pub hints: Hints,
}

#[derive(Deserialize)]
struct PageFields<'a> {
    #[serde(rename = "frames", borrow)]
    list: Vec<&'a RawValue>,
    cursor: String,
    #[serde(default)]
    more: bool,
    #[serde(flatten)]
    hints: Hints,
}

fn checked(down: Down) -> Result<Down, DecodeError> {
    if down.cursor().is_some_and(str::is_empty) {
        return Err(DecodeError::Malformed("the frame has no cursor"));
    }
    Ok(down)
}

/// Reads a frame whose cursor may have come beside it.
fn object(text: &[u8]) -> Result<Down, DecodeError> {
    let text = text.trim_ascii();
    if text.is_empty() {
        return Ok(Down::Heartbeat);
    }
    // Otherwise an array would be read as the fields in their order.
    if text[0] != b'{' {
        return Err(DecodeError::Malformed("a frame is one JSON object"));
    }
    let Head { kind } = parse(text)?;
    Ok(match &*kind {
        "welcome" => Down::Welcome(parse(text)?),
        "event" => Down::Event(parse(text)?),
        "gap" => Down::Gap(parse(text)?),
        "caught_up" => Down::CaughtUp(parse(text)?),
        "ok" => Down::Ok(parse(text)?),
        "error" => Down::Error(parse(text)?),
        "token_expiring" => Down::TokenExpiring(parse(text)?),
        "heartbeat" => Down::Heartbeat,
        "advice" => Down::Advice(parse(text)?),
        "goodbye" => Down::Goodbye(parse(text)?),
        other => Down::Unknown(other.to_owned()),
    })
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
}

fn parse<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T, DecodeError> {
    serde_json::from_slice(text).map_err(|error| DecodeError::Json(error.to_string()))
}

/// Why bytes from a server could not be read: its fault, or that of something between. Drop the connection and resume.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// A frame, line or event stream message is above its limit; found before memory is taken for it.
    #[error("a frame of {bytes} bytes, the limit is {most}")]
    TooLarge {
        /// Its size so far, or as announced, bytes.
        bytes: usize,
        /// The limit, bytes.
        most: usize,
    },
    /// Not the JSON of a frame.
    #[error("not a frame: {0}")]
    Json(String),
    /// Not what the encoding prescribes.
    #[error("{0}")]
    Malformed(&'static str),
}

/// Largest frame that a decoder takes, bytes: the largest body and room for what stands around it.
pub const FRAME_BYTES_MAX: usize = BODY_BYTES_MAX + 4 * 1024;

#[cfg(test)]
mod tests;
