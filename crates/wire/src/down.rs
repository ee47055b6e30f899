//! The frames that a server sends.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sosik_core::{Cursor, Epoch, Gap, GapReason, limits};

use crate::{
    code::Code,
    event::EventFrame,
    goodbye::{Goodbye, GoodbyeFrame},
    request::{BODY_BYTES_MAX, Refused},
};

/// One frame from a server to a client. The set is closed within a protocol version; clients ignore what they do not
/// know ([`Down::Unknown`]).
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Down {
    /// The first frame of a connection.
    Welcome(Welcome),
    /// One event. Servers do not build this: they encode the core's own with [`crate::Encoding::event`].
    Event(EventFrame),
    /// Events that are gone, in their place in the order.
    Gap(GapFrame),
    /// The head seen when the feed was opened, or the subscribe came, is passed: from here on it is live.
    CaughtUp(CaughtUp),
    /// The answer to a frame that was carried out.
    Ok(OkFrame),
    /// The answer to a frame that was refused. The connection goes on.
    Error(ErrorFrame),
    /// The token ends soon; send a new one.
    TokenExpiring(TokenExpiring),
    /// Nothing but a sign of life.
    Heartbeat,
    /// Hints for the client's timers and its choice of transport.
    Advice(Advice),
    /// The last frame: whether and when to come back.
    Goodbye(GoodbyeFrame),
    /// A frame of a later version, by its type. Only decoding makes it.
    #[serde(skip)]
    Unknown(String),
}

impl Down {
    /// The gap frame of `gap`; `cursor` is the feed's place after it.
    pub fn gap(gap: &Gap, cursor: &Cursor) -> Self {
        Self::Gap(GapFrame {
            channel: gap.of.to_string(),
            reason: gap.reason,
            epoch: short(gap.part.epoch),
            next_seq: gap.next_seq,
            lost: gap.lost,
            cursor: cursor.to_string(),
        })
    }

    /// The frame that says a feed is live from here on.
    pub fn caught_up(cursor: &Cursor) -> Self {
        Self::CaughtUp(CaughtUp { cursor: cursor.to_string() })
    }

    /// The answer to frame `id`, refused with `code`; retry and its delay are the code's.
    pub fn error(id: Option<u64>, code: Code, message: impl Into<String>) -> Self {
        Self::Error(ErrorFrame {
            id,
            code: Cow::Borrowed(code.name()),
            message: message.into(),
            retry: code.retry(),
            retry_after_ms: code.after_ms().unwrap_or(0),
            expected: None,
        })
    }

    /// The last frame, with the table's defaults.
    pub fn goodbye(goodbye: Goodbye) -> Self {
        Self::Goodbye(goodbye.frame())
    }

    /// The name in `"type"`.
    pub fn type_name(&self) -> &str {
        match self {
            Self::Welcome(_) => "welcome",
            Self::Event(_) => "event",
            Self::Gap(_) => "gap",
            Self::CaughtUp(_) => "caught_up",
            Self::Ok(_) => "ok",
            Self::Error(_) => "error",
            Self::TokenExpiring(_) => "token_expiring",
            Self::Heartbeat => "heartbeat",
            Self::Advice(_) => "advice",
            Self::Goodbye(_) => "goodbye",
            Self::Unknown(name) => name,
        }
    }

    /// The *reader's* cursor that the frame carries; that of an `ok` only matters to who asked.
    pub fn cursor(&self) -> Option<&str> {
        match self {
            Self::Welcome(frame) => frame.cursor.as_deref(),
            Self::Event(frame) => Some(&frame.cursor),
            Self::Gap(frame) => Some(&frame.cursor),
            Self::CaughtUp(frame) => Some(&frame.cursor),
            _ => None,
        }
    }

    /// Takes the reader's cursor out: over SSE it travels in `id:`.
    pub(crate) fn take_cursor(&mut self) -> Option<String> {
        let cursor = match self {
            Self::Welcome(frame) => return frame.cursor.take(),
            Self::Event(frame) => &mut frame.cursor,
            Self::Gap(frame) => &mut frame.cursor,
            Self::CaughtUp(frame) => &mut frame.cursor,
            _ => return None,
        };
        Some(std::mem::take(cursor)).filter(|text| !text.is_empty())
    }

    /// Puts a cursor that came beside the frame into it, where the frame has room for one and none yet.
    pub(crate) fn put_cursor(&mut self, text: &str) {
        let cursor = match self {
            Self::Welcome(frame) => frame.cursor.get_or_insert_default(),
            Self::Event(frame) => &mut frame.cursor,
            Self::Gap(frame) => &mut frame.cursor,
            Self::CaughtUp(frame) => &mut frame.cursor,
            _ => return,
        };
        if cursor.is_empty() {
            text.clone_into(cursor);
        }
    }
}

impl From<Refused> for Down {
    fn from(refused: Refused) -> Self {
        let Refused { id, code, message, expected } = refused;
        let mut down = Self::error(id, code, message);
        if let Self::Error(frame) = &mut down {
            frame.expected = expected;
        }
        down
    }
}

/// `{"type":"welcome",…}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Welcome {
    /// The client's id: what its `hello` said, or one made for it.
    pub client: String,
    /// The longest silence of this connection, milliseconds; after 10 s more the client drops it.
    pub heartbeat_ms: u64,
    /// The limits that a client must know before it sends.
    pub limits: Limits,
    /// Names of the transports that this server offers.
    pub transports: Vec<String>,
    /// The feed's first place, complete for its set; only where the request that opened the connection is the feed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// The limits in a welcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Largest data of one event, bytes as stored.
    pub event_bytes: u64,
    /// Largest request body or frame, bytes.
    pub body_bytes: u64,
    /// Most channels and prefixes of one connection.
    pub channels: u64,
    /// Most events in one atomic publish.
    pub publish_events: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            event_bytes: limits::EVENT_BYTES_MAX as u64,
            body_bytes: BODY_BYTES_MAX as u64,
            channels: limits::CHANNELS_PER_READER_MAX as u64,
            publish_events: limits::EVENTS_PER_PUBLISH_MAX as u64,
        }
    }
}

/// `{"type":"gap",…}`: events that are gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GapFrame {
    /// The channel, or the prefix (`match:*`) when several under it lost events.
    pub channel: String,
    /// Why they are gone.
    #[serde(with = "reason")]
    pub reason: GapReason,
    /// Six characters of the log's present epoch.
    pub epoch: String,
    /// The first number still there or to come; absent for a prefix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_seq: Option<u64>,
    /// How many events are gone, when that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<u64>,
    /// The feed's place after it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cursor: String,
}

/// `{"type":"caught_up",…}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaughtUp {
    /// The feed's place.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cursor: String,
}

/// `{"type":"ok",…}`: what each field means depends on the frame that it answers; others are left out.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct OkFrame {
    /// The `id` of the frame that it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
    /// Of a subscribe or unsubscribe: the channels and prefixes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channels: Option<Vec<String>>,
    /// Of a publish or history: the channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// Of a publish: six characters of the log's epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<String>,
    /// Of a publish: the event's number in its channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// Of a publish: what the acknowledgement promises.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub durability: Option<Durability>,
    /// Of a publish: whether it had been stored before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duplicate: Option<bool>,
    /// Of a history: event frames, oldest first; [`crate::decode::frames`] reads them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frames: Option<Vec<Box<RawValue>>>,
    /// Of a history: whether there are more in the direction asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub more: Option<bool>,
    /// Of a subscribe: the feed's place. Of a history: where to go on. Of a publish: the event's own place, for
    /// history; never a reader's cursor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

impl PartialEq for OkFrame {
    fn eq(&self, other: &Self) -> bool {
        let texts = |frame: &Self| -> Option<Vec<String>> {
            frame.frames.as_ref().map(|frames| frames.iter().map(|raw| raw.get().to_owned()).collect())
        };
        (self.id, &self.channels, &self.channel, &self.epoch, self.seq)
            == (other.id, &other.channels, &other.channel, &other.epoch, other.seq)
            && (self.durability, self.duplicate, self.more, &self.cursor)
                == (other.durability, other.duplicate, other.more, &other.cursor)
            && texts(self) == texts(other)
    }
}

/// What an acknowledged publish has reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// The memory of one node: gone after its restart.
    Memory,
    /// The disk: the sync that covers it began after its write and has ended.
    Synced,
    /// The disks of a majority.
    Replicated,
    /// Something of a later version.
    #[serde(other)]
    Unknown,
}

impl Durability {
    /// Its name in frames.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Synced => "synced",
            Self::Replicated => "replicated",
            Self::Unknown => "unknown",
        }
    }
}

/// `{"type":"error",…}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorFrame {
    /// The `id` of the frame that it answers, where one could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
    /// The name of the code; [`Code::from_name`] reads it.
    pub code: Cow<'static, str>,
    /// Whose fault it was and what to do next, for people.
    #[serde(default)]
    pub message: String,
    /// Whether the same frame may succeed later.
    #[serde(default)]
    pub retry: bool,
    /// When, milliseconds; 0 when not at all or at once.
    #[serde(default)]
    pub retry_after_ms: u64,
    /// With `producer_gap`: the `seq` to send again from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<u64>,
}

/// `{"type":"token_expiring",…}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenExpiring {
    /// How long the token still holds, milliseconds.
    pub in_ms: u64,
}

/// `{"type":"advice",…}`: whatever is there replaces what the client had.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Advice {
    /// The longest silence of a connection, milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heartbeat_ms: Option<u64>,
    /// How long to let a long-poll be held, seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait_s: Option<u64>,
    /// When to poll next, milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_ms: Option<u64>,
    /// When to send the next long-poll, milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rearm_ms: Option<u64>,
    /// The transports to use, best first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transports: Option<Vec<String>>,
    /// When to reconnect at the earliest, milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after_ms: Option<u64>,
    /// Over how long to spread the return at random after that, milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spread_ms: Option<u64>,
    /// Where to connect from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// The six characters of an epoch as text.
pub(crate) fn short(epoch: Epoch) -> String {
    epoch.short().into_iter().map(char::from).collect()
}

mod reason {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use sosik_core::GapReason;

    pub(super) fn serialize<S: Serializer>(reason: &GapReason, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(match reason {
            GapReason::Trimmed => "trimmed",
            GapReason::Epoch => "epoch",
            GapReason::Forgotten => "forgotten",
        })
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<GapReason, D::Error> {
        match &*String::deserialize(from)? {
            "trimmed" => Ok(GapReason::Trimmed),
            "epoch" => Ok(GapReason::Epoch),
            "forgotten" => Ok(GapReason::Forgotten),
            other => Err(D::Error::unknown_variant(other, &["trimmed", "epoch", "forgotten"])),
        }
    }
}
