//! One-shot answers: poll, long-poll, history, publish.

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sosik_core::{Cursor, Event, Gap};

use crate::{
    down::{Down, OkFrame},
    encoding::Encoding,
};

/// An answer of several frames as it grows: `{"frames":[…],"cursor":"…","more":false}`. The same frames and cursor
/// give the same bytes, whoever asks.
#[derive(Debug)]
pub struct Answer {
    out: BytesMut,
    frames: usize,
}

impl Answer {
    /// An answer without frames.
    pub fn new() -> Self {
        Self { out: BytesMut::from(OPEN), frames: 0 }
    }

    /// Adds an event with its own cursor.
    pub fn push_event(&mut self, event: &Event) {
        self.push_pieces(&[Encoding::JsonLine.event(event)]);
    }

    /// Adds an event with the cursor of a feed over both logs.
    pub fn push_event_with(&mut self, event: &Event, cursor: &Cursor) {
        self.push_pieces(&Encoding::JsonLine.event_with(event, cursor));
    }

    /// Adds any other frame.
    pub fn push(&mut self, frame: &Down) {
        self.push_pieces(&[Encoding::JsonLine.frame(frame)]);
    }

    /// Adds one frame that is a JSON line already, in any number of pieces.
    pub fn push_pieces(&mut self, pieces: &[Bytes]) {
        if self.frames > 0 {
            self.out.put_u8(b',');
        }
        self.frames += 1;
        pieces.iter().for_each(|piece| self.out.put_slice(piece));
        if self.out.ends_with(b"\n") {
            self.out.truncate(self.out.len() - 1);
        }
    }

    /// How many frames it has.
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// How many bytes it has so far, for a budget.
    pub fn bytes(&self) -> usize {
        self.out.len()
    }

    /// The body for a poll or long-poll. `cursor` is the feed's place, `more` whether there is more to read at once.
    pub fn poll(self, cursor: &Cursor, more: bool, hints: Hints) -> Bytes {
        self.finish(&Rest { cursor: cursor.to_string(), more, hints })
    }

    /// The body for a history. `cursor` is where to go on in the same direction.
    pub fn history(self, cursor: &Cursor, more: bool) -> Bytes {
        self.finish(&Rest { cursor: cursor.to_string(), more, hints: Hints::default() })
    }

    fn finish(mut self, rest: &Rest) -> Bytes {
        self.out.put_slice(b"],");
        let rest = serde_json::to_vec(rest).expect("a struct of text and numbers");
        self.out.put_slice(&rest[1..]);
        self.out.put_u8(b'\n');
        self.out.freeze()
    }
}

impl Default for Answer {
    fn default() -> Self {
        Self::new()
    }
}

/// When a poll or long-poll should come again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hints {
    /// Of a poll: when to ask next, milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_ms: Option<u64>,
    /// Of a long-poll: when to ask next, milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rearm_ms: Option<u64>,
}

#[derive(Serialize)]
struct Rest {
    cursor: String,
    more: bool,
    #[serde(flatten)]
    hints: Hints,
}

/// The answer to a `history` frame on a connection: the gap it begins with, if any, and events of `channel` with their
/// own cursors.
pub fn history_ok<'a>(
    id: Option<u64>,
    channel: &str,
    gap: Option<&Gap>,
    events: impl IntoIterator<Item = &'a Event>,
    cursor: &Cursor,
    more: bool,
) -> Down {
    let raw = |line: Bytes| {
        let text = std::str::from_utf8(line.trim_ascii_end()).expect("frames are UTF-8");
        RawValue::from_string(text.to_owned()).expect("a frame is JSON")
    };
    let gap = gap.map(|gap| Encoding::JsonLine.frame(&Down::gap(gap, &Cursor::new([gap.part]))));
    let events = events.into_iter().map(|event| Encoding::JsonLine.event(event));
    Down::Ok(OkFrame {
        id,
        channel: Some(channel.to_owned()),
        frames: Some(gap.into_iter().chain(events).map(raw).collect()),
        more: Some(more),
        cursor: Some(cursor.to_string()),
        ..OkFrame::default()
    })
}

/// The body of the answer to an array in `POST /v1/publish`: one `ok` per event, in their order.
pub fn publish_array(answers: &[Down]) -> Bytes {
    let mut out = BytesMut::from("[");
    for (at, answer) in answers.iter().enumerate() {
        if at > 0 {
            out.put_u8(b',');
        }
        out.put_slice(Encoding::JsonLine.frame(answer).trim_ascii_end());
    }
    out.put_slice(b"]\n");
    out.freeze()
}

const OPEN: &str = "{\"frames\":[";
