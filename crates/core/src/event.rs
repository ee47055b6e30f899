//! Events: what publishers hand in, and what readers are given.

use std::{fmt, sync::OnceLock};

use bytes::Bytes;

use crate::{
    cursor::{Epoch, LogId, Part, Position},
    name::ChannelName,
};

/// The payload of an event. The core never looks inside.
#[derive(Clone, PartialEq, Eq)]
pub enum Data {
    /// JSON text, checked and normalised before it came here: no white space outside strings, one line.
    Json(Bytes),
    /// Any bytes.
    Binary(Bytes),
}

impl Data {
    /// The bytes, whatever they mean.
    pub fn bytes(&self) -> &Bytes {
        match self {
            Self::Json(bytes) | Self::Binary(bytes) => bytes,
        }
    }
}

impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(bytes) => write!(f, "json {}", String::from_utf8_lossy(bytes)),
            Self::Binary(bytes) => write!(f, "binary of {} bytes", bytes.len()),
        }
    }
}

/// An event on its way in: everything its publisher says about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// Where it is published.
    pub channel: ChannelName,
    /// What kind of event it is, for the application; empty when unsaid.
    pub name: Box<str>,
    /// The payload, at most [`crate::limits::EVENT_BYTES_MAX`] bytes.
    pub data: Data,
    /// Media type for dialects that carry one; empty when unsaid.
    pub content_type: Box<str>,
    /// Small pairs for dialects, at most [`crate::limits::META_PAIRS_MAX`].
    pub meta: Vec<(Box<str>, Box<str>)>,
}

impl Draft {
    /// A draft of JSON data without a name, content type or meta.
    pub fn json(channel: ChannelName, data: impl Into<Bytes>) -> Self {
        Self {
            channel,
            name: "".into(),
            data: Data::Json(data.into()),
            content_type: "".into(),
            meta: Vec::new(),
        }
    }
}

/// One published item, as every reader is given it. Shared by all readers of its channel.
pub struct Event {
    /// The log it lies in.
    pub log: LogId,
    /// The log's epoch.
    pub epoch: Epoch,
    /// Its place in the log.
    pub position: Position,
    /// Its channel.
    pub channel: ChannelName,
    /// Its number in the channel, gapless within an epoch.
    pub seq: u64,
    /// Position of the channel's previous event, or the mark that stood in its place when it was the first.
    pub prev: Position,
    /// When it was published: milliseconds since 1970-01-01 UTC, never falling within a log.
    pub time: u64,
    /// What kind of event it is; empty when unsaid.
    pub name: Box<str>,
    /// Who published it; empty for anonymous publishers.
    pub from: Box<str>,
    /// Media type; empty when unsaid.
    pub content_type: Box<str>,
    /// Small pairs for dialects.
    pub meta: Vec<(Box<str>, Box<str>)>,
    /// The payload.
    pub data: Data,
    /// Whether it is a signal: kept for seconds, gone without a mark.
    pub signal: bool,
    /// Its encodings, each made at most once, by the first reader that needs it.
    pub encodings: Encodings,
}

impl Event {
    /// Its own place as part of a cursor.
    pub fn part(&self) -> Part {
        Part { log: self.log, epoch: self.epoch, position: self.position }
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{} at {} after {}", self.channel, self.seq, self.position.number(), self.prev.number())
    }
}

/// The bytes of one event in each of the four encodings. The core keeps the slots and knows none of the formats.
#[derive(Default)]
pub struct Encodings([OnceLock<Bytes>; Encodings::SLOTS]);

impl Encodings {
    /// JSON line, SSE, WebSocket text, binary.
    pub const SLOTS: usize = 4;

    /// The bytes in `slot` (0 to 3), made by `make` if nobody needed them before.
    pub fn get_or_make(&self, slot: usize, make: impl FnOnce() -> Bytes) -> &Bytes {
        self.0[slot].get_or_init(make)
    }

    /// How many of the four have been made.
    pub fn made(&self) -> usize {
        self.0.iter().filter(|slot| slot.get().is_some()).count()
    }
}

impl fmt::Debug for Encodings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} made", self.made())
    }
}

/// Events that a reader asked for and that are gone. Never silent: it stands in the order where they would have stood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The channel, or the prefix when several channels under it lost events.
    pub of: crate::name::Pattern,
    /// Why they are gone.
    pub reason: GapReason,
    /// The place of the gap, in the log's present epoch.
    pub part: Part,
    /// The first number still there or to come; `None` for a prefix, and for a channel that has no record.
    pub next_seq: Option<u64>,
    /// How many events are gone, when that is known.
    pub lost: Option<u64>,
}

/// Why events are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GapReason {
    /// Retention or an operator removed them.
    Trimmed,
    /// The cursor belongs to another life of the log, or to another server.
    Epoch,
    /// The channel was forgotten as a whole.
    Forgotten,
}
