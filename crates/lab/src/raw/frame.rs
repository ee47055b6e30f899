//! A JSON frame as an observation, and bytes that are none.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::checker::{CursorFrom, Event, Gap, Observed};

/// Bytes that are no frame of the protocol: whoever sent them is at fault, or the proxy between.
///
/// A frame that a cut left unfinished is not torn; see `unfinished` of each form.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Torn {
    /// What was expected and what was there.
    pub why: String,
}

impl Torn {
    pub(super) fn new(why: impl Into<String>) -> Self {
        Self { why: why.into() }
    }
}

impl fmt::Display for Torn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "torn frame: {}", self.why)
    }
}

impl std::error::Error for Torn {}

/// Where the cursor of a frame stands.
#[derive(Clone, Copy)]
pub(super) enum Cursor<'a> {
    /// In the frame's own `cursor` field.
    Inside,
    /// Beside the frame (the `id:` line of SSE), or nowhere; a field inside is not looked at.
    Beside(Option<&'a str>),
}

/// One JSON frame as an observation.
pub(super) fn observe(json: &str, cursor: Cursor<'_>) -> Result<Observed, Torn> {
    let frame: Frame<'_> = serde_json::from_str(json)
        .map_err(|e| Torn::new(format!("not a JSON frame ({e}): {}", short(json))))?;
    let cursor = match cursor {
        Cursor::Inside => frame.cursor.clone(),
        Cursor::Beside(text) => text.map(str::to_owned),
    };
    match frame.kind.as_str() {
        "event" => Ok(Observed::Event(Event {
            channel: need(frame.channel, "channel", json)?,
            epoch: need(frame.epoch, "epoch", json)?,
            seq: need(frame.seq, "seq", json)?,
            body: body(frame.data, frame.binary, json)?,
            cursor,
        })),
        "gap" => Ok(Observed::Gap(Gap {
            channel: need(frame.channel, "channel", json)?,
            reason: need(frame.reason, "reason", json)?,
            epoch: need(frame.epoch, "epoch", json)?,
            next_seq: frame.next_seq,
            lost: frame.lost,
            position: None,
            cursor,
        })),
        // The `cursor` in the `ok` of a publish is the event's place and never a reader's: only that of a
        // subscribe, which names its channels, is one.
        kind => {
            let from = match kind {
                "welcome" => Some(CursorFrom::Welcome),
                "caught_up" => Some(CursorFrom::CaughtUp),
                "ok" if frame.channels.is_some() => Some(CursorFrom::Subscribed),
                _ => None,
            };
            Ok(match (from, cursor) {
                (Some(from), Some(cursor)) => Observed::Cursor { from, cursor },
                _ => Observed::Other { kind: kind.to_owned(), frame: json.to_owned() },
            })
        }
    }
}

/// The bytes that carry no frame but show that the peer lives.
pub(super) fn heartbeat() -> Observed {
    Observed::Other { kind: "heartbeat".to_owned(), frame: String::new() }
}

/// The `type` of a frame.
pub(super) fn kind(json: &str) -> Option<String> {
    serde_json::from_str::<Frame<'_>>(json).ok().map(|frame| frame.kind)
}

pub(super) fn utf8(bytes: &[u8]) -> Result<&str, Torn> {
    std::str::from_utf8(bytes).map_err(|e| Torn::new(format!("not UTF-8: {e}")))
}

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(rename = "type")]
    kind: String,
    channel: Option<String>,
    #[serde(borrow)]
    channels: Option<&'a RawValue>,
    epoch: Option<String>,
    seq: Option<u64>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    binary: Option<String>,
    reason: Option<String>,
    next_seq: Option<u64>,
    lost: Option<u64>,
    cursor: Option<String>,
}

fn need<T>(field: Option<T>, name: &str, json: &str) -> Result<T, Torn> {
    field.ok_or_else(|| Torn::new(format!("no `{name}` in {}", short(json))))
}

fn body(data: Option<&RawValue>, binary: Option<String>, json: &str) -> Result<Vec<u8>, Torn> {
    match (data, binary) {
        (Some(data), None) => Ok(data.get().as_bytes().to_vec()),
        (None, Some(text)) => {
            STANDARD.decode(&text).map_err(|e| Torn::new(format!("`binary` is no base64: {e}")))
        }
        (None, None) => Err(Torn::new(format!("neither `data` nor `binary` in {}", short(json)))),
        (Some(_), Some(_)) => Err(Torn::new(format!("`data` and `binary` in {}", short(json)))),
    }
}

fn short(json: &str) -> String {
    json.chars().take(120).collect()
}
