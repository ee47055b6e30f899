//! Bytes back into frames, for clients: whole objects here, byte streams that may be split anywhere in the files below.

use std::borrow::Cow;

use serde::Deserialize;

use crate::down::Down;

/// Reads the JSON object of one frame. Blank text is a heartbeat, as on the HTTP stream. Types of later versions give
/// [`Down::Unknown`], unknown fields are ignored. Errors: [`DecodeError`].
pub fn json(text: &[u8]) -> Result<Down, DecodeError> {
    let down = object(text)?;
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
