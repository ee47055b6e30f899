//! Frames in an event stream, read from raw bytes.

use super::FRAME_BYTES_MAX;
use super::frame::{Cursor, Torn, heartbeat, kind, observe, utf8};
use crate::checker::Observed;

/// `text/event-stream` after [de-framing](super::HttpResponses), read as WHATWG HTML section 9.2.6 says.
///
/// The cursor is the `id:` of the same block and nothing else: not a field of the JSON, and not an earlier id.
/// A block without `event:` must hold an event frame, and every other frame must be named by its `event:` line.
/// A comment is a heartbeat.
#[derive(Debug, Default)]
pub struct Sse {
    started: bool,
    after_cr: bool,
    line: Vec<u8>,
    block: Block,
    held: usize,
}

#[derive(Debug, Default)]
struct Block {
    id: Option<String>,
    event: Option<String>,
    data: Option<String>,
}

impl Sse {
    /// A reader at the first byte of a body.
    pub fn new() -> Self {
        Self::default()
    }

    /// What the bytes complete, in their order.
    ///
    /// # Errors
    /// [`Torn`] when a block holds no frame, its `event:` line names another type, or it is longer than
    /// [`FRAME_BYTES_MAX`].
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<Observed>, Torn> {
        let mut seen = Vec::new();
        for &byte in bytes {
            let after_cr = std::mem::take(&mut self.after_cr);
            match byte {
                b'\n' if after_cr => {}
                b'\n' | b'\r' => {
                    self.after_cr = byte == b'\r';
                    let line = std::mem::take(&mut self.line);
                    seen.extend(self.line(&line)?);
                }
                _ => {
                    self.line.push(byte);
                    self.held += 1;
                }
            }
            if self.held > FRAME_BYTES_MAX {
                return Err(Torn::new(format!("a block of more than {FRAME_BYTES_MAX} bytes")));
            }
        }
        Ok(seen)
    }

    /// Bytes of a block that has not ended.
    pub fn unfinished(&self) -> usize {
        self.held
    }

    fn line(&mut self, line: &[u8]) -> Result<Option<Observed>, Torn> {
        let mut line = utf8(line)?;
        if !std::mem::replace(&mut self.started, true) {
            line = line.strip_prefix('\u{feff}').unwrap_or(line);
        }
        if line.is_empty() {
            self.held = 0;
            return std::mem::take(&mut self.block).dispatch();
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "" => return Ok(Some(heartbeat())),
            "id" if !value.contains('\0') => self.block.id = Some(value.to_owned()),
            "event" => self.block.event = Some(value.to_owned()),
            "data" => match &mut self.block.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                none => *none = Some(value.to_owned()),
            },
            _ => {}
        }
        Ok(None)
    }
}

impl Block {
    fn dispatch(self) -> Result<Option<Observed>, Torn> {
        let Some(data) = self.data.filter(|data| !data.is_empty()) else { return Ok(None) };
        let seen = observe(&data, Cursor::Beside(self.id.as_deref()))?;
        let named = self.event.as_deref().filter(|name| !name.is_empty()).unwrap_or("event");
        match kind(&data) {
            Some(kind) if kind == named && (kind != "event" || self.event.is_none()) => Ok(Some(seen)),
            kind => Err(Torn::new(format!("`event:` is {:?} for a frame of type {kind:?}", self.event))),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::checker::{CursorFrom, Event, Gap};

    const STREAM: &str = concat!(
        "\u{feff}retry: 3000\nid: c0\nevent: welcome\ndata: {\"type\":\"welcome\"}\n\n",
        "id: c1\ndata: {\"type\":\"event\",\"channel\":\"a:1\",\"epoch\":\"e\",\"seq\":1,\"data\":\"x\"}\n\n",
        ":\n\n",
        "id:c2\r\nevent:gap\r\ndata:{\"type\":\"gap\",\"channel\":\"a:1\",\"reason\":\"trimmed\",\"epoch\":\"e\"}\r\n\r\n",
        "id: c3\rdata: {\"type\":\"event\",\"channel\":\"a:1\",\rdata: \"epoch\":\"e\",\"seq\":5,\"data\":2,\"cursor\":\"no\"}\r\r",
        "data: {\"type\":\"event\",\"channel\":\"a:1\",\"epoch\":\"e\",\"seq\":6,\"data\":3}\n\n",
        "id: c4\n\n",
        "data: {\"type\":\"event\""
    );

    fn event(seq: u64, body: &str, cursor: Option<&str>) -> Observed {
        Observed::Event(Event {
            channel: "a:1".into(),
            epoch: "e".into(),
            seq,
            body: body.into(),
            cursor: cursor.map(Into::into),
        })
    }

    // Mutant: keeping the block's id for the next block -> fails at seq 6.
    // Mutant: forgetting that LF after CR ends no line -> fails (a second, empty block).
    #[test]
    fn a_stream_split_at_any_byte_reads_the_same() {
        let expected = vec![
            Observed::Cursor { from: CursorFrom::Welcome, cursor: "c0".into() },
            event(1, "\"x\"", Some("c1")),
            heartbeat(),
            Observed::Gap(Gap {
                channel: "a:1".into(),
                reason: "trimmed".into(),
                epoch: "e".into(),
                next_seq: None,
                lost: None,
                position: None,
                cursor: Some("c2".into()),
            }),
            event(5, "2", Some("c3")),
            event(6, "3", None),
        ];
        for at in 0..=STREAM.len() {
            let mut sse = Sse::new();
            let (a, b) = STREAM.as_bytes().split_at(at);
            let mut seen = sse.push(a).unwrap();
            seen.extend(sse.push(b).unwrap());
            assert_eq!(seen, expected, "split at {at}");
            assert_eq!(sse.unfinished(), "data: {\"type\":\"event\"".len());
        }
    }

    #[test]
    fn a_block_under_the_wrong_name_is_torn() {
        let frame = "data: {\"type\":\"event\",\"channel\":\"a:1\",\"epoch\":\"e\",\"seq\":1,\"data\":1}\n\n";
        assert!(Sse::new().push(frame.as_bytes()).is_ok());
        assert!(Sse::new().push(format!("event: event\n{frame}").as_bytes()).is_err());
        assert!(Sse::new().push(format!("event: gap\n{frame}").as_bytes()).is_err());
        assert!(Sse::new().push(b"data: {\"type\":\"heartbeat\"}\n\n").is_err());
        assert!(Sse::new().push(b"event: heartbeat\ndata: {\"type\":\"heartbeat\"}\n\n").is_ok());
    }
}
