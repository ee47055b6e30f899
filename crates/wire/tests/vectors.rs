//! The test vectors in `vectors/` are this crate's bytes, to the last one. Other languages test themselves with them.
//!
//! `SOSIK_WRITE_VECTORS=1 cargo test -p sosik-wire --test vectors` writes the outputs anew, for a change of the protocol.
#![allow(clippy::unwrap_used)]

mod support;

use std::{fmt::Write, path::PathBuf};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, value::RawValue};
use sosik_core::{ChannelName, Cursor, Data, Epoch, Event, LogId, Position};
use sosik_wire::{Code, Encoding, EventFrame, Goodbye, Up, decode, normalise};

#[derive(Serialize, Deserialize)]
struct EventVector {
    about: String,
    event: EventInput,
    /// The feed's cursor; absent when it is the event's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
    json_line: String,
    sse: String,
    websocket_hex: String,
    binary_hex: String,
}

#[derive(Serialize, Deserialize)]
struct EventInput {
    log: String,
    epoch: String,
    position: u64,
    channel: String,
    seq: u64,
    time: u64,
    name: String,
    from: String,
    signal: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    json: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    binary_hex: Option<String>,
}

impl EventInput {
    fn event(&self) -> Event {
        let data = match (&self.json, &self.binary_hex) {
            (Some(text), None) => Data::Json(text.clone().into()),
            (None, Some(hex)) => Data::Binary(unhex(hex).into()),
            _ => panic!("exactly one"),
        };
        let mut event = support::event("room:7", &self.name, &self.from, data);
        event.log = if self.log == "memory" { LogId::Memory } else { LogId::Disk };
        event.epoch = Epoch::new(u64::from_str_radix(&self.epoch, 16).unwrap());
        event.position = Position::new(self.position);
        event.channel = ChannelName::parse(&self.channel).unwrap();
        (event.seq, event.time, event.signal) = (self.seq, self.time, self.signal);
        event
    }
}

// Mutant: the epoch little-endian, written and read -> this fails, though every round trip holds.
#[test]
fn events_have_the_bytes_of_their_vectors() {
    vectors("events", |vector: &mut EventVector| {
        let event = vector.event.event();
        let cursor = vector.cursor.as_ref().map(|text| Cursor::parse(text).unwrap());
        let bytes = |encoding: Encoding| match &cursor {
            Some(cursor) => encoding.event_with(&event, cursor).concat(),
            None => encoding.event(&event).to_vec(),
        };
        vector.json_line = String::from_utf8(bytes(Encoding::JsonLine)).unwrap();
        vector.sse = String::from_utf8(bytes(Encoding::Sse)).unwrap();
        vector.websocket_hex = hex(&bytes(Encoding::WebSocketText));
        vector.binary_hex = hex(&bytes(Encoding::Binary));

        let frame = EventFrame::new(&event, &cursor.unwrap_or_else(|| support::own_cursor(&event)));
        let read = decode::event_body(&unhex(&vector.binary_hex)[4..].to_vec().into()).unwrap();
        assert_eq!(read, frame, "{}", vector.about);
    });
}

#[derive(Serialize, Deserialize)]
struct FrameVector {
    about: String,
    frame: Box<RawValue>,
    json_line: String,
    sse: String,
    websocket_hex: String,
    binary_hex: String,
}

// Mutant: `id:` left out of the gap over SSE -> a browser that reconnects there is told the gap again.
#[test]
fn other_frames_have_the_bytes_of_their_vectors() {
    vectors("frames", |vector: &mut FrameVector| {
        let frame = decode::json(vector.frame.get().as_bytes()).unwrap();
        vector.json_line = String::from_utf8(Encoding::JsonLine.frame(&frame).to_vec()).unwrap();
        vector.sse = String::from_utf8(Encoding::Sse.frame(&frame).to_vec()).unwrap();
        vector.websocket_hex = hex(&Encoding::WebSocketText.frame(&frame));
        vector.binary_hex = hex(&Encoding::Binary.frame(&frame));
        let written: Value = serde_json::from_str(&vector.json_line).unwrap();
        assert_eq!(written, serde_json::from_str::<Value>(vector.frame.get()).unwrap(), "{}", vector.about);
    });
}

#[derive(Serialize, Deserialize)]
struct UpVector {
    about: String,
    line: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    frame: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refused: Option<RefusedVector>,
}

#[derive(Serialize, Deserialize)]
struct RefusedVector {
    id: Option<u64>,
    code: String,
}

// Mutants: `producer` ignored; `"data":null` taken for none; the id of a malformed frame lost; `presence` ignored;
// arrays read as fields; the type looked at only in frames that fit our fields -> each fails here.
#[test]
fn frames_of_clients_are_read_or_refused_like_their_vectors() {
    vectors("up", |vector: &mut UpVector| {
        let about = &vector.about;
        let (mut frame, mut refused) = (None, None);
        match Up::parse(&vector.line) {
            Ok(up) => {
                let text = up.to_json().unwrap();
                assert_eq!(Up::parse(&text).unwrap(), up, "{about}");
                frame = Some(RawValue::from_string(text).unwrap());
            }
            Err(error) => {
                assert!(!error.message.is_empty());
                refused = Some(RefusedVector { id: error.id, code: error.code.name().into() });
            }
        }
        (vector.frame, vector.refused) = (frame, refused);
    });
}

#[derive(Serialize, Deserialize)]
struct PayloadVector {
    about: String,
    text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stored: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
}

#[test]
fn data_is_stored_or_refused_like_its_vectors() {
    vectors("payloads", |vector: &mut PayloadVector| match normalise(vector.text.as_bytes()) {
        Ok(stored) => {
            (vector.stored, vector.refused) = (Some(String::from_utf8(stored.into()).unwrap()), None)
        }
        Err(_) => (vector.stored, vector.refused) = (None, Some(Code::BadRequest.name().into())),
    });
}

#[derive(Serialize)]
struct CodeRow {
    name: &'static str,
    http_status: u16,
    retry: bool,
    after_ms: u64,
    meaning: &'static str,
}

#[derive(Serialize)]
struct GoodbyeRow {
    code: u16,
    name: &'static str,
    retry: bool,
    after_ms: u64,
    spread_ms: u64,
}

/// The two tables, for what is generated from them.
#[test]
fn the_tables_are_those_of_their_vectors() {
    let codes = Code::ALL.iter().map(|code| CodeRow {
        name: code.name(),
        http_status: code.http_status(),
        retry: code.retry(),
        after_ms: code.after_ms().unwrap_or(0),
        meaning: code.meaning(),
    });
    hold("codes", &codes.collect::<Vec<_>>());
    let goodbyes = Goodbye::ALL.iter().map(|goodbye| GoodbyeRow {
        code: goodbye.number(),
        name: goodbye.name(),
        retry: goodbye.retry(),
        after_ms: goodbye.after_ms(),
        spread_ms: goodbye.spread_ms(),
    });
    hold("goodbyes", &goodbyes.collect::<Vec<_>>());
}

/// Makes the outputs of every vector again and holds the file to them.
fn vectors<T: Serialize + DeserializeOwned>(file: &str, make: impl Fn(&mut T)) {
    let mut vectors: Vec<T> = serde_json::from_str(&std::fs::read_to_string(path(file)).unwrap()).unwrap();
    assert!(vectors.len() > 5);
    vectors.iter_mut().for_each(make);
    hold(file, &vectors);
}

fn hold<T: Serialize>(file: &str, want: &[T]) {
    let text = serde_json::to_string_pretty(want).unwrap() + "\n";
    if std::env::var_os("SOSIK_WRITE_VECTORS").is_some() {
        std::fs::write(path(file), &text).unwrap();
    }
    let kept = std::fs::read_to_string(path(file)).unwrap();
    let differs = kept.lines().zip(text.lines()).enumerate().find(|(_, (kept, made))| kept != made);
    assert!(kept == text, "vectors/{file}.json: {differs:?}");
}

fn path(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors").join(file).with_extension("json")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}
