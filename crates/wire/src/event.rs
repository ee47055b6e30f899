//! An event's frame as a client sees it.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sosik_core::{Cursor, Data, Event};

use crate::{data, down::short};

/// `{"type":"event",…}` as a client sees it. (epoch, channel, seq) is its identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "EventFields")]
pub struct EventFrame {
    /// The channel's name.
    pub channel: String,
    /// Six characters of the log's epoch.
    pub epoch: String,
    /// The event's number in its channel.
    pub seq: u64,
    /// When it was published, milliseconds since 1970-01-01 UTC.
    pub time: u64,
    /// What kind of event it is; empty when unsaid.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The payload.
    #[serde(flatten, serialize_with = "data::serialize")]
    pub data: Data,
    /// Who published it; empty for anonymous publishers.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub from: String,
    /// Whether it is a signal.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub signal: bool,
    /// The feed's place after it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cursor: String,
}

impl EventFrame {
    /// What a client is given for `event` when the feed's place after it is `cursor`.
    pub fn new(event: &Event, cursor: &Cursor) -> Self {
        Self {
            channel: event.channel.to_string(),
            epoch: short(event.epoch),
            seq: event.seq,
            time: event.time,
            name: event.name.to_string(),
            data: event.data.clone(),
            from: event.from.to_string(),
            signal: event.signal,
            cursor: cursor.to_string(),
        }
    }
}

/// The fields of an event as they come: `data` or `binary`.
#[derive(Deserialize)]
struct EventFields {
    channel: String,
    epoch: String,
    seq: u64,
    time: u64,
    #[serde(default)]
    name: String,
    #[serde(default, deserialize_with = "data::present")]
    data: Option<Box<RawValue>>,
    #[serde(default)]
    binary: Option<String>,
    #[serde(default)]
    from: String,
    #[serde(default)]
    signal: bool,
    #[serde(default)]
    cursor: String,
}

impl TryFrom<EventFields> for EventFrame {
    type Error = &'static str;

    fn try_from(fields: EventFields) -> Result<Self, Self::Error> {
        let data = match (fields.data, fields.binary) {
            (Some(raw), None) => Data::Json(String::from(Box::<str>::from(raw)).into()),
            (None, Some(text)) => Data::Binary(data::unbase64(&text)?.into()),
            _ => return Err("an event has exactly one of `data` and `binary`"),
        };
        let EventFields { channel, epoch, seq, time, name, from, signal, cursor, .. } = fields;
        Ok(Self { channel, epoch, seq, time, name, data, from, signal, cursor })
    }
}
