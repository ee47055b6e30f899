//! Frames one per line, read from raw bytes.

use super::FRAME_BYTES_MAX;
use super::frame::{Cursor, Torn, heartbeat, observe, utf8};
use crate::checker::Observed;

/// One JSON frame per line: the HTTP stream (`application/x-ndjson`) after [de-framing](super::HttpResponses),
/// and raw TCP in its JSON mode. A bare newline is a heartbeat.
#[derive(Debug, Default)]
pub struct JsonLines {
    line: Vec<u8>,
}

impl JsonLines {
    /// A reader at the first byte of a connection or body.
    pub fn new() -> Self {
        Self::default()
    }

    /// What the bytes complete, in their order.
    ///
    /// # Errors
    /// [`Torn`] when a line is no frame, or is longer than [`FRAME_BYTES_MAX`].
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<Observed>, Torn> {
        let mut seen = Vec::new();
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|&b| b == b'\n') {
            self.line.extend_from_slice(&rest[..end]);
            rest = &rest[end + 1..];
            let line = std::mem::take(&mut self.line);
            seen.push(match line.as_slice() {
                b"" | b"\r" => heartbeat(),
                line => observe(utf8(line)?, Cursor::Inside)?,
            });
        }
        self.line.extend_from_slice(rest);
        if self.line.len() > FRAME_BYTES_MAX {
            return Err(Torn::new(format!("a line of more than {FRAME_BYTES_MAX} bytes")));
        }
        Ok(seen)
    }

    /// Bytes of a line that has not ended.
    pub fn unfinished(&self) -> usize {
        self.line.len()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::checker::{CursorFrom, Event, Gap};

    const LINES: &str = concat!(
        "{\"type\":\"welcome\",\"client\":\"c\",\"heartbeat_ms\":25000,\"cursor\":\"c0\"}\n",
        "{\"type\":\"event\",\"channel\":\"room:7\",\"epoch\":\"abcdef\",\"seq\":1,\"time\":1,\"name\":\"say\",",
        "\"data\":{\"text\":\"\u{2028}소식\",\"n\":1.0},\"cursor\":\"c1\"}\n",
        "\n",
        "{\"type\":\"gap\",\"channel\":\"room:7\",\"reason\":\"trimmed\",\"epoch\":\"abcdef\",\"next_seq\":9,\"lost\":7,",
        "\"cursor\":\"c2\"}\n",
        "{\"type\":\"ok\",\"id\":3,\"seq\":812,\"cursor\":\"place\"}\n",
        "{\"type\":\"event\",\"channel\":\"bin:1\",\"epoch\":\"abcdef\",\"seq\":2,\"binary\":\"AAEC\",\"cursor\":\"c3\"}\n",
        "{\"type\":\"ev"
    );

    fn expected() -> Vec<Observed> {
        vec![
            Observed::Cursor { from: CursorFrom::Welcome, cursor: "c0".into() },
            Observed::Event(Event {
                channel: "room:7".into(),
                epoch: "abcdef".into(),
                seq: 1,
                body: "{\"text\":\"\u{2028}소식\",\"n\":1.0}".as_bytes().to_vec(),
                cursor: Some("c1".into()),
            }),
            heartbeat(),
            Observed::Gap(Gap {
                channel: "room:7".into(),
                reason: "trimmed".into(),
                epoch: "abcdef".into(),
                next_seq: Some(9),
                lost: Some(7),
                position: None,
                cursor: Some("c2".into()),
            }),
            Observed::Other {
                kind: "ok".into(),
                frame: "{\"type\":\"ok\",\"id\":3,\"seq\":812,\"cursor\":\"place\"}".into(),
            },
            Observed::Event(Event {
                channel: "bin:1".into(),
                epoch: "abcdef".into(),
                seq: 2,
                body: vec![0, 1, 2],
                cursor: Some("c3".into()),
            }),
        ]
    }

    // Mutant: clearing the held line at the start of `push` -> fails.
    #[test]
    fn lines_split_at_any_byte_read_the_same() {
        for at in 0..=LINES.len() {
            let mut lines = JsonLines::new();
            let (a, b) = LINES.as_bytes().split_at(at);
            let mut seen = lines.push(a).unwrap();
            seen.extend(lines.push(b).unwrap());
            assert_eq!(seen, expected(), "split at {at}");
            assert_eq!(lines.unfinished(), "{\"type\":\"ev".len());
        }
    }

    #[test]
    fn a_line_that_is_no_frame_is_torn() {
        for line in ["hello\n", "{}\n", "{\"type\":\"event\",\"channel\":\"a\"}\n", "\u{fffd}\n"] {
            assert!(JsonLines::new().push(line.as_bytes()).is_err(), "{line}");
        }
        assert!(JsonLines::new().push(b"\xff\n").is_err());
    }

    #[test]
    fn a_line_without_end_is_torn_and_not_held_for_ever() {
        let mut lines = JsonLines::new();
        let block = vec![b'x'; FRAME_BYTES_MAX / 2];
        assert!(lines.push(&block).is_ok());
        assert!(lines.push(&block).is_ok());
        assert!(lines.push(b"x").is_err());
    }
}
