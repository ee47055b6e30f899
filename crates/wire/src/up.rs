//! The frames that a client sends: built by clients, read by servers.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sosik_core::{ChannelName, Data, Draft, limits::EVENT_NAME_BYTES_MAX, name::NameError, once::Once};

use crate::{
    code::Code,
    data, once,
    payload::{PayloadError, check_size, normalise},
    request::Refused,
};

/// One frame from a client to a server. `id` is the client's own number, echoed in the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Up {
    /// The first frame on WebSocket and TCP.
    Hello(Hello),
    /// Follow channels from now on, or from a cursor.
    Subscribe(Subscribe),
    /// Follow channels no longer.
    Unsubscribe(Unsubscribe),
    /// Publish one event.
    Publish(PublishFrame),
    /// Ask for a page of what is kept.
    History(HistoryFrame),
    /// Ask for a sign of life.
    Ping(Ping),
}

/// `{"type":"hello",…}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Hello {
    /// Credentials; empty and absent are the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// The client's id, a UUID of its own making.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// The protocol version; absent for 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<u64>,
}

/// `{"type":"subscribe",…}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Subscribe {
    /// Echoed in the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
    /// Channel names and prefixes, at least one; not checked yet.
    pub channels: Vec<String>,
    /// A cursor, `start` or `now`; wins over `last`. Not checked yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// How many events from before to begin with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<u64>,
    /// Whether to be seen as present. Servers refuse `true` until they can.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub presence: bool,
}

/// `{"type":"unsubscribe",…}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Unsubscribe {
    /// Echoed in the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
    /// Channel names and prefixes as they were subscribed; not checked yet.
    pub channels: Vec<String>,
}

/// `{"type":"publish",…}`, and the body of `POST /v1/publish`, where `type` may be left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PublishFrame {
    /// Echoed in the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
    /// The channel's name; not checked yet.
    pub channel: String,
    /// What kind of event it is; empty when unsaid.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The payload; from [`Up::parse`] it is checked and normalised.
    #[serde(flatten, serialize_with = "data::serialize")]
    pub data: Data,
    /// What makes it be stored once however often it is sent: `producer` or `key`; neither when unsaid.
    #[serde(flatten, serialize_with = "once::serialize")]
    pub once: Option<Once>,
}

impl PublishFrame {
    /// The draft for the core, and the channel's name as it was said, for the answer. Errors: the name is malformed.
    pub fn into_draft(self) -> Result<(Draft, String), NameError> {
        let channel = ChannelName::parse(&self.channel)?;
        let draft = Draft {
            channel,
            name: self.name.into(),
            data: self.data,
            content_type: "".into(),
            meta: Vec::new(),
        };
        Ok((draft, self.channel))
    }
}

/// `{"type":"history",…}`: a page before or after a cursor; with neither, the newest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct HistoryFrame {
    /// Echoed in the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
    /// The channel's name; not checked yet.
    pub channel: String,
    /// Events before this cursor; not checked yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// Events after this cursor; not checked yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// The most events to answer with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
}

/// `{"type":"ping",…}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Ping {
    /// Echoed in the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
}

impl Up {
    /// Reads one JSON object. Unknown fields are ignored; what this version does not do is refused, never ignored.
    /// Errors: [`Refused`], with the frame's `id` where one can be read.
    pub fn parse(text: &str) -> Result<Self, Refused> {
        let fields = Fields::parse(text, None)?;
        let id = fields.id;
        fields.frame().map_err(|refused| Refused { id, ..refused })
    }

    /// The frame's JSON object on one line, without a line feed. Errors: the data of a publish is refused; whoever
    /// built the frame is told before a server has to.
    pub fn to_json(&self) -> Result<String, PayloadError> {
        let one_line;
        let mut frame = self;
        if let Self::Publish(publish) = self
            && let Data::Json(text) = &publish.data
            && let Cow::Owned(text) = normalise(text)?
        {
            one_line = Self::Publish(PublishFrame { data: Data::Json(text.into()), ..publish.clone() });
            frame = &one_line;
        }
        Ok(serde_json::to_string(frame).expect("frames have text keys, and their data was checked"))
    }
}

impl PublishFrame {
    /// Reads one event of a `POST /v1/publish` body, where `type` may be left out.
    pub(crate) fn parse(text: &str) -> Result<Self, Refused> {
        let fields = Fields::parse(text, Some("publish"))?;
        let id = fields.id;
        match fields.frame().map_err(|refused| Refused { id, ..refused })? {
            Up::Publish(frame) => Ok(frame),
            _ => Err(Refused::new(id, Code::BadRequest, "this path takes publish frames only")),
        }
    }
}

/// Every field of every frame. One pass reads them all.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(rename = "type", default)]
    kind: Option<String>,
    id: Option<u64>,
    token: Option<String>,
    client: Option<String>,
    protocol: Option<u64>,
    channels: Option<Vec<String>>,
    channel: Option<String>,
    after: Option<String>,
    before: Option<String>,
    last: Option<u64>,
    limit: Option<u64>,
    presence: Option<bool>,
    name: Option<String>,
    #[serde(borrow, default, deserialize_with = "data::present")]
    data: Option<&'a RawValue>,
    binary: Option<String>,
    #[serde(borrow)]
    producer: Option<&'a RawValue>,
    key: Option<String>,
}

/// The two fields to look for in a frame that could not be read as a whole.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(rename = "type", default, borrow)]
    kind: Option<&'a RawValue>,
    #[serde(default, borrow)]
    id: Option<&'a RawValue>,
}

impl<'a> Fields<'a> {
    /// `kind` is the type of a frame that does not say its own.
    fn parse(text: &'a str, kind: Option<&str>) -> Result<Self, Refused> {
        // Otherwise an array would be read as the fields in their order.
        if !text.trim_start().starts_with('{') {
            return Err(Refused::new(None, Code::BadRequest, "a frame is one JSON object"));
        }
        match serde_json::from_str::<Self>(text) {
            Ok(fields) => Ok(Self { kind: fields.kind.or_else(|| kind.map(str::to_owned)), ..fields }),
            Err(error) => Err(Self::refuse(text, &error)),
        }
    }

    fn refuse(text: &str, error: &serde_json::Error) -> Refused {
        let head = serde_json::from_str::<Head<'_>>(text).ok();
        let kind = head.as_ref().and_then(|head| serde_json::from_str::<String>(head.kind?.get()).ok());
        let id = head.and_then(|head| head.id?.get().parse().ok());
        match kind {
            // A later version's frame may use a field of ours in another way.
            Some(kind) if !KNOWN.contains(&&*kind) => unsupported_type(id, &kind),
            _ => Refused::new(id, Code::BadRequest, format!("the frame is malformed: {error}")),
        }
    }

    fn frame(self) -> Result<Up, Refused> {
        match self.kind.as_deref() {
            Some("hello") => self.hello().map(Up::Hello),
            Some("subscribe") => self.subscribe().map(Up::Subscribe),
            Some("unsubscribe") => {
                let id = self.id;
                Ok(Up::Unsubscribe(Unsubscribe { id, channels: some_channels(self.channels)? }))
            }
            Some("publish") => self.publish().map(Up::Publish),
            Some("history") => self.history().map(Up::History),
            Some("ping") => Ok(Up::Ping(Ping { id: self.id })),
            Some(other) => Err(unsupported_type(None, other)),
            None => Err(bad("a frame needs a `type`, such as \"publish\"")),
        }
    }

    fn hello(self) -> Result<Hello, Refused> {
        if self.protocol.is_some_and(|version| version != PROTOCOL) {
            let message = format!("this server speaks protocol version {PROTOCOL}; say hello with it");
            return Err(Refused::new(None, Code::Version, message));
        }
        if self.token.as_ref().is_some_and(|token| !token.is_empty()) {
            return Err(unsupported("`token`: this server has no tokens yet; say hello without one"));
        }
        Ok(Hello { token: self.token, client: self.client, protocol: self.protocol })
    }

    fn subscribe(self) -> Result<Subscribe, Refused> {
        if self.presence == Some(true) {
            return Err(unsupported("`presence`: this server has no presence yet; subscribe without it"));
        }
        let channels = some_channels(self.channels)?;
        Ok(Subscribe { id: self.id, channels, after: self.after, last: self.last, presence: false })
    }

    fn publish(self) -> Result<PublishFrame, Refused> {
        let once = once::read(self.producer, self.key.as_deref())?;
        let name = self.name.unwrap_or_default();
        if name.len() > EVENT_NAME_BYTES_MAX {
            let message = format!("`name` has {} bytes, the limit is {EVENT_NAME_BYTES_MAX}", name.len());
            return Err(Refused::new(None, Code::TooLarge, message));
        }
        let data = match (self.data, self.binary) {
            (Some(raw), None) => Data::Json(normalise(raw.get().as_bytes())?.into_owned().into()),
            (None, Some(text)) => {
                check_size(text.trim_end_matches('=').len() * 3 / 4)?;
                Data::Binary(data::unbase64(&text).map_err(bad)?.into())
            }
            _ => return Err(bad("publish needs exactly one of `data` (JSON) and `binary` (base64)")),
        };
        Ok(PublishFrame { id: self.id, channel: one_channel(self.channel)?, name, data, once })
    }

    fn history(self) -> Result<HistoryFrame, Refused> {
        if self.before.is_some() && self.after.is_some() {
            return Err(bad("history takes `before` or `after`, not both"));
        }
        let channel = one_channel(self.channel)?;
        Ok(HistoryFrame { id: self.id, channel, before: self.before, after: self.after, limit: self.limit })
    }
}

fn some_channels(channels: Option<Vec<String>>) -> Result<Vec<String>, Refused> {
    channels.filter(|list| !list.is_empty()).ok_or_else(|| bad("`channels` must name at least one channel"))
}

fn one_channel(channel: Option<String>) -> Result<String, Refused> {
    channel.ok_or_else(|| bad("`channel` is missing; name the channel, such as \"room:7\""))
}

fn bad(message: &str) -> Refused {
    Refused::new(None, Code::BadRequest, message)
}

fn unsupported(message: &str) -> Refused {
    Refused::new(None, Code::Unsupported, message)
}

fn unsupported_type(id: Option<u64>, kind: &str) -> Refused {
    let kind: String = kind.chars().take(32).collect();
    let message = if LATER.contains(&&*kind) {
        format!("this server has no `{kind}` frames yet")
    } else {
        format!("unknown frame type {kind:?}; known are {}", KNOWN.join(", "))
    };
    Refused::new(id, Code::Unsupported, message)
}

impl From<PayloadError> for Refused {
    fn from(error: PayloadError) -> Self {
        let code =
            if matches!(error, PayloadError::TooLarge { .. }) { Code::TooLarge } else { Code::BadRequest };
        Self::new(None, code, error.to_string())
    }
}

/// The version of the protocol that this crate speaks.
pub const PROTOCOL: u64 = 1;
const KNOWN: [&str; 6] = ["hello", "subscribe", "unsubscribe", "publish", "history", "ping"];
const LATER: [&str; 3] = ["presence", "token", "call"];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    // Mutant: `to_json` without `normalise` -> pretty-printed data tears the line, and what is no JSON panics.
    #[test]
    fn a_client_cannot_write_a_frame_that_tears_its_line() {
        let publish = |text: &'static str| {
            let data = Data::Json(text.into());
            let (channel, name) = ("a:b".into(), String::new());
            Up::Publish(PublishFrame { id: Some(1), channel, name, data, once: None }).to_json()
        };
        assert_eq!(
            publish("{\r\n \"a\": [1,\n2]}").unwrap(),
            "{\"type\":\"publish\",\"id\":1,\"channel\":\"a:b\",\"data\":{\"a\":[1,2]}}"
        );
        for text in ["", "x", "1 2", "\"\\ud800\""] {
            assert!(matches!(publish(text), Err(PayloadError::Syntax { .. })), "{text}");
        }
    }
}
