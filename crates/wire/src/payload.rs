//! What publishers send as `data` is checked and normalised once, here; stored so; never parsed again.

use std::{borrow::Cow, cell::Cell, fmt};

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use sosik_core::limits::EVENT_BYTES_MAX;

/// Checks `text` and removes what would tear the line it will travel in.
///
/// It must be UTF-8 and one JSON value (RFC 8259) whose escapes are whole characters, whose numbers a double can hold
/// (RFC 7493 section 2.2: `1e999` is refused) and which nests at most [`DEPTH_MAX`] deep. Duplicate keys are allowed.
/// White space outside strings is removed; everything else, numbers too, stays as written. The result is one line of
/// at most [`EVENT_BYTES_MAX`] bytes, borrowed when nothing had to be removed. Errors: [`PayloadError`].
pub fn normalise(text: &[u8]) -> Result<Cow<'_, [u8]>, PayloadError> {
    let spaces = space_outside_strings(text).count();
    check_size(text.len() - spaces)?;
    let too_deep = Cell::new(false);
    let mut from = serde_json::Deserializer::from_slice(text);
    let checked = Discard { depth: 0, too_deep: &too_deep }.deserialize(&mut from).and_then(|()| from.end());
    if let Err(error) = checked {
        return Err(PayloadError::new(&error, too_deep.get()));
    }
    Ok(if spaces == 0 { Cow::Borrowed(text) } else { Cow::Owned(without_space(text)) })
}

/// JSON text without the white space outside its strings.
pub(crate) fn without_space(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut kept = 0;
    for at in space_outside_strings(text) {
        out.extend_from_slice(&text[kept..at]);
        kept = at + 1;
    }
    out.extend_from_slice(&text[kept..]);
    out
}

/// Refuses data that would be stored in more than [`EVENT_BYTES_MAX`] bytes.
pub fn check_size(bytes: usize) -> Result<(), PayloadError> {
    if bytes > EVENT_BYTES_MAX {
        return Err(PayloadError::TooLarge { bytes, most: EVENT_BYTES_MAX });
    }
    Ok(())
}

/// Why data was refused: the publisher's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PayloadError {
    /// Not JSON in UTF-8.
    #[error(
        "data is not valid JSON: {what} at line {line} column {column} of the data; send one JSON value in UTF-8"
    )]
    Syntax {
        /// What is wrong there.
        what: String,
        /// Line within the data, from 1.
        line: usize,
        /// Column within the line, in bytes, from 1.
        column: usize,
    },
    /// Nested too deep.
    #[error(
        "data nests deeper than {most} arrays and objects at line {line} column {column} of the data; send it flatter, or as binary"
    )]
    Depth {
        /// The limit.
        most: usize,
        /// Line within the data, from 1.
        line: usize,
        /// Column within the line, in bytes, from 1.
        column: usize,
    },
    /// Too large as it would be stored.
    #[error(
        "data has {bytes} bytes as stored, the limit is {most}; send less, or a reference to where it lies"
    )]
    TooLarge {
        /// Its size as stored, bytes.
        bytes: usize,
        /// The limit, bytes.
        most: usize,
    },
}

impl PayloadError {
    fn new(error: &serde_json::Error, too_deep: bool) -> Self {
        let (line, column) = (error.line(), error.column());
        if too_deep {
            return Self::Depth { most: DEPTH_MAX, line, column };
        }
        let text = error.to_string();
        let what = text.split_once(" at line ").map_or(&*text, |(what, _)| what).to_owned();
        Self::Syntax { what, line, column }
    }
}

/// Where white space stands outside strings. On text that is not JSON the answer means nothing, and does no harm.
fn space_outside_strings(text: &[u8]) -> impl Iterator<Item = usize> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        while let Some(&byte) = text.get(at) {
            at += 1;
            match byte {
                b'"' => at += behind_string(&text[at..]),
                b' ' | b'\t' | b'\n' | b'\r' => return Some(at - 1),
                _ => {}
            }
        }
        None
    })
}

/// Where the rest of a text goes on behind the string that it begins inside of.
fn behind_string(text: &[u8]) -> usize {
    let mut at = 0;
    while let Some(found) = memchr::memchr2(b'"', b'\\', &text[at.min(text.len())..]) {
        at += found + 1;
        if text[at - 1] == b'"' {
            return at;
        }
        at += 1;
    }
    text.len()
}

/// Goes through a whole value and keeps nothing. Unlike `IgnoredAny` and `RawValue` it has every string decoded, so
/// that half a surrogate pair is found here and not by every reader.
#[derive(Clone, Copy)]
struct Discard<'a> {
    depth: usize,
    too_deep: &'a Cell<bool>,
}

impl Discard<'_> {
    fn deeper<E: Error>(self) -> Result<Self, E> {
        if self.depth == DEPTH_MAX {
            self.too_deep.set(true);
            return Err(E::custom("too deep"));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Discard<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Discard<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        while items.next_element_seed(inner)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        while entries.next_key_seed(inner)?.is_some() {
            entries.next_value_seed(inner)?;
        }
        Ok(())
    }
}

/// How deep data may nest: arrays and objects inside each other.
pub const DEPTH_MAX: usize = 64;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::value::RawValue;

    use super::*;

    fn stored(text: &str) -> String {
        String::from_utf8(normalise(text.as_bytes()).unwrap().into_owned()).unwrap()
    }

    // Mutants: not counting `\r` as white space -> a CR tears SSE; leaving `escaped` out -> "\" " ends the string early.
    #[test]
    fn white_space_outside_strings_is_removed_and_nothing_else_changes() {
        for (text, want) in [
            ("{\n  \"a\": [1, 2,\r\n\t3 ],\r\"b\" : null\n}\n", "{\"a\":[1,2,3],\"b\":null}"),
            ("\" a \\\" b \\\\\" ", "\" a \\\" b \\\\\""),
            (" 1.50e+2 ", "1.50e+2"),
            ("{\"a\":1,\"a\" : 2}", "{\"a\":1,\"a\":2}"),
            ("[123456789012345678901234567890, -0, 1E-400]", "[123456789012345678901234567890,-0,1E-400]"),
            ("\"\u{2028}\u{2029}\u{a0} \\u0000\"", "\"\u{2028}\u{2029}\u{a0} \\u0000\""),
            ("\"\\ud83d\\ude00\"", "\"\\ud83d\\ude00\""),
            ("true", "true"),
            ("\"\"", "\"\""),
        ] {
            assert_eq!(stored(text), want);
            assert!(matches!(normalise(want.as_bytes()), Ok(Cow::Borrowed(_))), "{want}");
        }
    }

    #[test]
    fn what_is_not_json_is_refused_with_its_place() {
        for (text, what, line, column) in [
            (&b""[..], "EOF while parsing a value", 1, 0),
            (b"  ", "EOF while parsing a value", 1, 2),
            (b"{\"a\":1} x", "trailing characters", 1, 9),
            (b"1 2", "trailing characters", 1, 3),
            (b"[1,\n2,]", "trailing comma", 2, 3),
            (b"{'a':1}", "key must be a string", 1, 2),
            (b"NaN", "expected value", 1, 1),
            (b"01", "invalid number", 1, 2),
            (b"1e999", "number out of range", 1, 5),
            (b"\"a\nb\"", "control character (\\u0000-\\u001F) found while parsing a string", 2, 0),
            (b"\"a\0b\"", "control character (\\u0000-\\u001F) found while parsing a string", 1, 3),
            (b"\"\xff\"", "invalid unicode code point", 1, 2),
            (b"\"\xed\xa0\x80\"", "invalid unicode code point", 1, 2),
            (b"\xff", "expected value", 1, 1),
            (b"\xef\xbb\xbf1", "expected value", 1, 1),
            ("[1,\u{a0}2]".as_bytes(), "expected value", 1, 4),
        ] {
            let error = normalise(text).unwrap_err();
            let want = PayloadError::Syntax { what: what.into(), line, column };
            assert_eq!(error, want, "{:?}", String::from_utf8_lossy(text));
        }
    }

    // Mutant: `IgnoredAny` in place of `Discard` -> the three are stored, and every reader's parser fails on them.
    #[test]
    fn half_surrogates_are_refused_where_the_library_would_let_them_through() {
        for text in [r#""\ud800""#, r#"["\udc00 \ud800"]"#, r#"{"\ud800x":1}"#] {
            assert!(serde_json::from_str::<&RawValue>(text).is_ok(), "{text}");
            assert!(serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok(), "{text}");
            let error = normalise(text.as_bytes()).unwrap_err();
            assert!(matches!(error, PayloadError::Syntax { line: 1, .. }), "{text}: {error}");
        }
    }

    // Mutant: `>` instead of `==` in `deeper` -> 65 levels pass.
    #[test]
    fn sixty_four_levels_are_the_most() {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let nest = |levels: usize| format!("{}1{}", open.repeat(levels), close.repeat(levels));
            assert_eq!(stored(&nest(64)), nest(64));
            let error = normalise(nest(65).as_bytes()).unwrap_err();
            assert!(matches!(error, PayloadError::Depth { most: 64, line: 1, .. }), "{error}");
            assert!(normalise("[".repeat(60_000).as_bytes()).is_err());
        }
    }

    // Mutant: checking the size before the white space is taken off -> the second line is refused.
    #[test]
    fn the_stored_size_counts() {
        let string = |bytes: usize| format!("\"{}\"", "x".repeat(bytes - 2));
        assert_eq!(stored(&string(65_536)).len(), 65_536);
        assert_eq!(stored(&format!("{}{}", " ".repeat(100_000), string(65_536))).len(), 65_536);
        assert_eq!(
            normalise(string(65_537).as_bytes()).unwrap_err().to_string(),
            "data has 65537 bytes as stored, the limit is 65536; send less, or a reference to where it lies"
        );
    }
}
