//! The answers of poll and long-poll, read from raw bytes.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::frame::{Cursor, Torn, observe, utf8};
use crate::checker::{CursorFrom, Observed};

/// The body of one poll or long-poll answer: `{"cursor","frames":[…],"more",…}`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Answer {
    /// The frames in their order, then the answer's cursor as [`CursorFrom::Answer`].
    pub observed: Vec<Observed>,
    /// What the next request asks with.
    pub cursor: String,
    /// Whether more is waiting, so that asking again at once pays.
    pub more: bool,
}

impl Answer {
    /// Reads a whole body.
    ///
    /// # Errors
    /// [`Torn`] when it is no such object, or one of its frames is no frame. A body that a cut left short is
    /// torn too: without its end an answer says nothing.
    pub fn read(body: &[u8]) -> Result<Self, Torn> {
        let text = utf8(body)?;
        let parts: Parts<'_> =
            serde_json::from_str(text).map_err(|e| Torn::new(format!("not a poll answer: {e}")))?;
        let mut observed = Vec::with_capacity(parts.frames.len() + 1);
        for frame in parts.frames {
            observed.push(observe(frame.get(), Cursor::Inside)?);
        }
        observed.push(Observed::Cursor { from: CursorFrom::Answer, cursor: parts.cursor.clone() });
        Ok(Self { observed, cursor: parts.cursor, more: parts.more })
    }
}

#[derive(Deserialize)]
struct Parts<'a> {
    cursor: String,
    #[serde(borrow)]
    frames: Vec<&'a RawValue>,
    #[serde(default)]
    more: bool,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const BODY: &str = concat!(
        "{\"cursor\":\"c9\",\"frames\":[{\"type\":\"event\",\"channel\":\"a:1\",\"epoch\":\"e\",\"seq\":4,\"data\":[1, 2]},",
        "{\"type\":\"gap\",\"channel\":\"b:*\",\"reason\":\"forgotten\",\"epoch\":\"e\"}],\"more\":true,\"next_ms\":1000}"
    );

    // Mutant: putting the answer's cursor before its frames -> fails.
    #[test]
    fn the_answers_cursor_stands_after_its_frames() {
        let answer = Answer::read(BODY.as_bytes()).unwrap();
        assert!(
            matches!(&answer.observed[0], Observed::Event(e) if e.body == b"[1, 2]" && e.cursor.is_none())
        );
        assert!(matches!(&answer.observed[1], Observed::Gap(g) if g.channel == "b:*"));
        assert_eq!(answer.observed[2], Observed::Cursor { from: CursorFrom::Answer, cursor: "c9".into() });
        assert_eq!((answer.cursor.as_str(), answer.more), ("c9", true));
    }

    #[test]
    fn an_answer_cut_short_is_torn_at_every_byte() {
        for end in 0..BODY.len() {
            assert!(Answer::read(&BODY.as_bytes()[..end]).is_err(), "cut at {end}");
        }
    }
}
