//! Request bodies of the HTTP paths, and how anything a client sent is refused.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sosik_core::{Error, limits::EVENTS_PER_PUBLISH_MAX};

use crate::{code::Code, up::PublishFrame};

/// Why something a client sent was refused. [`crate::Down`] and [`crate::Problem`] are made from it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", code.name())]
pub struct Refused {
    /// The `id` of the frame, where one could be read.
    pub id: Option<u64>,
    /// What kind of refusal it is.
    pub code: Code,
    /// What is wrong and what to do next, for people.
    pub message: String,
}

impl Refused {
    /// A refusal of frame `id`.
    pub fn new(id: Option<u64>, code: Code, message: impl Into<String>) -> Self {
        Self { id, code, message: message.into() }
    }

    /// The refusal of frame `id` by the core.
    pub fn by_core(id: Option<u64>, error: &Error) -> Self {
        Self::new(id, Code::from(error), error.to_string())
    }
}

/// The body of `POST /v1/publish`: one event, or an array of 1 to [`EVENTS_PER_PUBLISH_MAX`] that is stored as a whole
/// or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishBody {
    /// The events, checked and normalised, in their order.
    pub events: Vec<PublishFrame>,
    /// Whether it was an array; the answer then is one too.
    pub array: bool,
}

impl PublishBody {
    /// Reads a whole body. Errors: [`Refused`]; for an array the message says which event it was, from 0.
    pub fn parse(body: &[u8]) -> Result<Self, Refused> {
        let text = utf8(body)?;
        if !text.trim_start().starts_with('[') {
            return Ok(Self { events: vec![PublishFrame::parse(text)?], array: false });
        }
        let items: Vec<&RawValue> = serde_json::from_str(text).map_err(|error| malformed(&error))?;
        if items.is_empty() {
            return Err(Refused::new(
                None,
                Code::BadRequest,
                "the array is empty; publish at least one event",
            ));
        }
        if items.len() > EVENTS_PER_PUBLISH_MAX {
            let message = format!(
                "{} events in one publish, the limit is {EVENTS_PER_PUBLISH_MAX}; send them in several requests",
                items.len()
            );
            return Err(Refused::new(None, Code::Limit, message));
        }
        let event = |(at, item): (usize, &&RawValue)| {
            PublishFrame::parse(item.get())
                .map_err(|refused| Refused { message: format!("event {at}: {}", refused.message), ..refused })
        };
        Ok(Self { events: items.iter().enumerate().map(event).collect::<Result<_, _>>()?, array: true })
    }
}

/// The JSON body of a reading path asked by `POST`: what the URL form says, with room for more channels.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadBody {
    /// Channel names and prefixes, at least one; not checked yet.
    #[serde(default)]
    pub channels: Vec<String>,
    /// A cursor, `start` or `now`; not checked yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// How many events from before to begin with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<u64>,
    /// How long a long-poll may be held, seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait: Option<u64>,
}

impl ReadBody {
    /// Reads a whole body. Errors: [`Refused`].
    pub fn parse(body: &[u8]) -> Result<Self, Refused> {
        let text = utf8(body)?;
        if !text.trim_start().starts_with('{') {
            return Err(Refused::new(None, Code::BadRequest, "the body must be one JSON object"));
        }
        let read: Self = serde_json::from_str(text).map_err(|error| malformed(&error))?;
        if read.channels.is_empty() {
            return Err(Refused::new(None, Code::BadRequest, "`channels` must name at least one channel"));
        }
        Ok(read)
    }
}

fn utf8(body: &[u8]) -> Result<&str, Refused> {
    std::str::from_utf8(body).map_err(|error| {
        let message =
            format!("the body is not UTF-8 from byte {} on; send JSON in UTF-8", error.valid_up_to());
        Refused::new(None, Code::BadRequest, message)
    })
}

fn malformed(error: &serde_json::Error) -> Refused {
    Refused::new(None, Code::BadRequest, format!("the body is malformed: {error}"))
}

/// Largest request body and WebSocket message that a client may send: 1 MiB. It is read whole before anything runs.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;
