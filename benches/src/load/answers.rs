//! Answers of HTTP with a length: where one ends, and what the next request needs of it.

use std::ops::Range;

use memchr::memmem;

/// One whole answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Range<usize>,
}

impl Answer {
    /// The answer that `bytes` begin with; `None` while it is not all there.
    pub(crate) fn of(bytes: &[u8]) -> Option<Self> {
        let head = memmem::find(bytes, b"\r\n\r\n")? + 4;
        let status = std::str::from_utf8(bytes.get(9..12)?).ok()?.parse().unwrap_or(0);
        let length = header(&bytes[..head], "content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        (bytes.len() >= head + length).then_some(Self { status, body: head..head + length })
    }
}

/// Where a poll or a long-poll goes on.
#[derive(Debug, Default)]
pub(crate) struct Place {
    pub(crate) cursor: String,
    pub(crate) etag: Option<String>,
}

impl Place {
    /// Moves on by an answer of `bytes`. A `304` says that nothing moved.
    pub(crate) fn follow(&mut self, bytes: &[u8], answer: &Answer) {
        if let Some(cursor) = cursor_of(&bytes[answer.body.clone()]) {
            self.cursor = cursor;
            self.etag = header(&bytes[..answer.body.start], "etag").map(str::to_owned);
        }
    }
}

/// The cursor of an answer stands behind those of its frames.
pub(crate) fn cursor_of(body: &[u8]) -> Option<String> {
    text_behind(body, b"\"cursor\":\"")
}

/// The number behind the last `"name":`, 0 if it is not there.
pub(crate) fn number_of(body: &[u8], name: &str) -> u64 {
    let Some(at) = memmem::rfind(body, name.as_bytes()) else { return 0 };
    let digits = body[at + name.len()..].iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'))
}

fn text_behind(body: &[u8], name: &[u8]) -> Option<String> {
    let rest = &body[memmem::rfind(body, name)? + name.len()..];
    let end = memchr::memchr(b'"', rest)?;
    Some(String::from_utf8_lossy(&rest[..end]).into_owned())
}

fn header<'a>(head: &'a [u8], name: &str) -> Option<&'a str> {
    let text = std::str::from_utf8(head).ok()?;
    let found =
        text.lines().find_map(|line| line.split_once(':').filter(|(key, _)| key.eq_ignore_ascii_case(name)));
    found.map(|(_, value)| value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_ends_with_its_length_and_says_where_to_go_on() {
        let whole = b"HTTP/1.1 200 OK\r\nETag: \"a\"\r\nContent-Length: 49\r\n\r\n{\"frames\":[{\"cursor\":\"1\"}],\"cursor\":\"2\",\"next\":70}HTTP";
        for cut in 0..whole.len() - 5 {
            assert_eq!(Answer::of(&whole[..cut]), None, "{cut}");
        }
        let answer = Answer::of(whole).unwrap();
        assert_eq!((answer.status, answer.body.len()), (200, 49));
        let mut place = Place::default();
        place.follow(whole, &answer);
        assert_eq!((place.cursor.as_str(), place.etag.as_deref()), ("2", Some("\"a\"")));
        assert_eq!(number_of(whole, "\"next\":"), 70);
        let unchanged = b"HTTP/1.1 304 Not Modified\r\n\r\n";
        place.follow(unchanged, &Answer::of(unchanged).unwrap());
        assert_eq!(place.cursor, "2");
    }
}
