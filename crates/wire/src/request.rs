//! Request bodies of the HTTP paths, and how anything a client sent is refused.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sosik_core::{
    Error,
    limits::EVENTS_PER_PUBLISH_MAX,
    once::{Key, Once},
};

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
    /// With [`Code::ProducerGap`]: the `seq` to send again from.
    pub expected: Option<u64>,
}

impl Refused {
    /// A refusal of frame `id`.
    pub fn new(id: Option<u64>, code: Code, message: impl Into<String>) -> Self {
        Self { id, code, message: message.into(), expected: None }
    }

    /// The refusal of frame `id` by the core.
    pub fn by_core(id: Option<u64>, error: &Error) -> Self {
        let expected = if let Error::ProducerGap { expected } = error { Some(*expected) } else { None };
        Self { expected, ..Self::new(id, Code::from(error), error.to_string()) }
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
    /// What makes all of it be stored once: the key of the header, or what the one event says. The events' own fields are
    /// empty.
    pub once: Option<Once>,
}

impl PublishBody {
    /// Reads a whole body; `key` is that of the request's header. Errors: [`Refused`]; for an array the message says which
    /// event it was, from 0.
    pub fn parse(body: &[u8], key: Option<Key>) -> Result<Self, Refused> {
        let text = utf8(body)?;
        if !text.trim_start().starts_with('[') {
            let mut event = PublishFrame::parse(text)?;
            let once = match (key, event.once.take()) {
                (Some(_), Some(_)) => return Err(Refused::new(event.id, Code::BadRequest, TWICE)),
                (key, own) => key.map(Once::Key).or(own),
            };
            return Ok(Self { events: vec![event], array: false, once });
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
                .and_then(|frame| if frame.once.is_some() { Err(once_in_array(frame.id)) } else { Ok(frame) })
                .map_err(|refused| Refused { message: format!("event {at}: {}", refused.message), ..refused })
        };
        let events = items.iter().enumerate().map(event).collect::<Result<_, _>>()?;
        Ok(Self { events, array: true, once: key.map(Once::Key) })
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

fn once_in_array(id: Option<u64>) -> Refused {
    let message = "an array is stored as a whole; put one key for all of it into the header Idempotency-Key";
    Refused::new(id, Code::BadRequest, message)
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

const TWICE: &str =
    "the header Idempotency-Key is there, and `key` or `producer` in the body; send one of them";
/// Largest request body and WebSocket message that a client may send: 1 MiB. It is read whole before anything runs.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use base64::Engine;
    use sosik_core::Data;

    use super::*;
    use crate::data::BASE64;

    fn refused(body: &str) -> (Option<u64>, &'static str, String) {
        let refused = PublishBody::parse(body.as_bytes(), None).unwrap_err();
        (refused.id, refused.code.name(), refused.message)
    }

    // Mutants: `type` required; `data` of an array's event stored as written -> each fails.
    #[test]
    fn one_event_or_an_array_is_read_and_normalised() {
        let one = PublishBody::parse(b" {\"channel\":\"room:7\",\"data\":{ \"a\" : 1 }}\n", None).unwrap();
        assert!(!one.array);
        assert_eq!(one.events[0].data, Data::Json("{\"a\":1}".into()));
        let two = PublishBody::parse(
            b"[{\"type\":\"publish\",\"id\":1,\"channel\":\"room:7\",\"data\":[ 1 ]},\n {\"channel\":\"a:b\",\"binary\":\"\"}]", None)
        .unwrap();
        assert!(two.array);
        assert_eq!(two.events[0].data, Data::Json("[1]".into()));
        assert_eq!(two.events[1].data, Data::Binary("".into()));
        assert_eq!(two.events[1].clone().into_draft().unwrap().0.channel.as_str(), "a:b");
    }

    // Mutants: an empty array taken; the limit one higher; the event's number counted from 1 -> each fails.
    #[test]
    fn a_body_is_refused_as_a_whole_and_says_which_event_it_was() {
        let array =
            |events: usize| format!("[{}]", vec!["{\"channel\":\"a:b\",\"data\":1}"; events].join(","));
        assert_eq!(
            PublishBody::parse(array(EVENTS_PER_PUBLISH_MAX).as_bytes(), None).unwrap().events.len(),
            1_000
        );
        assert_eq!(refused(&array(EVENTS_PER_PUBLISH_MAX + 1)).1, "limit");
        assert_eq!(refused("[]").1, "bad_request");
        for (body, code) in [
            ("[{\"channel\":\"a:b\",\"data\":1},{\"channel\":\"a:b\",\"data\":\"\\ud800\"}]", "bad_request"),
            (
                "[{\"channel\":\"a:b\",\"data\":1},{\"channel\":\"a:b\",\"data\":1,\"key\":\"k\"}]",
                "bad_request",
            ),
            ("[{\"channel\":\"a:b\",\"data\":1},[]]", "bad_request"),
            ("[{\"channel\":\"a:b\",\"data\":1},{\"type\":\"ping\"}]", "bad_request"),
        ] {
            let (_, name, message) = refused(body);
            assert_eq!(name, code, "{body}");
            assert!(message.starts_with("event 1: "), "{message}");
        }
        for body in [
            "",
            "1",
            "{\"channel\":\"a:b\",\"data\":1",
            "{\"type\":\"ping\"}",
            "[{\"channel\":\"a:b\",\"data\":1}",
        ] {
            assert_eq!(refused(body).1, "bad_request", "{body}");
        }
        assert_eq!(
            PublishBody::parse(b"{\"channel\":\"\xff", None).unwrap_err().message.split(" from ").count(),
            2
        );
        let name = "x".repeat(256);
        let long = refused(&format!("{{\"id\":5,\"channel\":\"a:b\",\"name\":\"{name}\",\"data\":1}}"));
        assert_eq!((long.0, long.1), (Some(5), "too_large"));
        let large = refused(&format!("{{\"channel\":\"a:b\",\"data\":\"{}\"}}", "x".repeat(65_535)));
        assert_eq!(large.1, "too_large");
        assert!(large.2.contains("65537") && large.2.contains("65536"), "{}", large.2);
    }

    // Mutants: the header's key dropped for an array; the body's winning over the header's; the field left in the event ->
    // each fails.
    #[test]
    fn a_body_is_stored_once_by_its_header_or_by_what_its_one_event_says() {
        let key = || Some(crate::once::key("of-the-header").unwrap());
        let parse = |body: &str, key| PublishBody::parse(body.as_bytes(), key);
        let plain = "{\"channel\":\"a:b\",\"data\":1}";
        let own = "{\"id\":7,\"channel\":\"a:b\",\"data\":1,\"key\":\"k\"}";
        let produced =
            "{\"id\":7,\"channel\":\"a:b\",\"data\":1,\"producer\":{\"id\":\"p\",\"epoch\":1,\"seq\":1}}";
        assert_eq!(parse(plain, None).unwrap().once, None);
        assert_eq!(parse(plain, key()).unwrap().once, key().map(Once::Key));
        assert_eq!(parse(&format!("[{plain},{plain}]"), key()).unwrap().once, key().map(Once::Key));
        let read = parse(own, None).unwrap();
        assert!(matches!(&read.once, Some(Once::Key(key)) if &*key.text == "k"), "{read:?}");
        assert_eq!(read.events[0].once, None);
        assert!(matches!(parse(produced, None).unwrap().once, Some(Once::Producer(_))));
        for body in [own, produced] {
            let refused = parse(body, key()).unwrap_err();
            assert_eq!((refused.id, refused.code), (Some(7), Code::BadRequest), "{refused}");
        }
    }

    // Mutant: the size of binary data taken from its base64 -> 65,536 bytes are refused.
    #[test]
    fn binary_data_is_measured_as_bytes() {
        let base64 = |bytes: usize| BASE64.encode(vec![7; bytes]);
        let body = |bytes: usize| format!("{{\"channel\":\"a:b\",\"binary\":\"{}\"}}", base64(bytes));
        for bytes in [0, 1, 2, 3, 65_535, 65_536] {
            let read = PublishBody::parse(body(bytes).as_bytes(), None).unwrap();
            assert_eq!(read.events[0].data.bytes().len(), bytes);
        }
        assert_eq!(refused(&body(65_537)).1, "too_large");
    }

    #[test]
    fn a_reading_body_needs_channels_and_an_object() {
        let read =
            ReadBody::parse(b"{\"channels\":[\"a:b\"],\"after\":\"now\",\"wait\":25,\"later\":1}").unwrap();
        assert_eq!((read.channels.len(), read.after.as_deref(), read.wait), (1, Some("now"), Some(25)));
        for body in
            [&b""[..], b"{}", b"[[\"a:b\"]]", b"{\"channels\":[]}", b"{\"channels\":\"a:b\"}", b"\xff"]
        {
            assert_eq!(ReadBody::parse(body).unwrap_err().code, Code::BadRequest);
        }
    }
}
