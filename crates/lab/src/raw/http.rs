//! Messages of HTTP/1.0 and 1.1, found in bytes that may arrive split anywhere.

mod responses;

use std::ops::Range;

pub use self::responses::{HttpPart, HttpResponses};

/// Most bytes of a message head, in bytes: 64 KiB, the product's own limit. A longer one is no HTTP to us.
pub const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Which messages a [`HttpParser`] reads; a request without length has no body, a response lasts until the close.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HttpSide {
    /// Client to server.
    Request,
    /// Server to client.
    Response,
}

/// A message head, kept as it came.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Head {
    /// Request line or status line, without its CRLF.
    pub start_line: String,
    /// Names and values in their order, white space around values removed.
    pub headers: Vec<(String, String)>,
    /// The very bytes, the empty line included.
    pub raw: Vec<u8>,
}

impl Head {
    /// The first value of a header, the name compared without case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The status of a response; `None` for a request.
    pub fn status(&self) -> Option<u16> {
        self.start_line.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()
    }

    /// Whether a comma-separated header names this token, without case.
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.headers
            .iter()
            .filter(|(n, _)| n.eq_ignore_ascii_case(name))
            .flat_map(|(_, value)| value.split(','))
            .any(|t| t.trim().eq_ignore_ascii_case(token))
    }
}

/// What one [`HttpParser::step`] found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum HttpStep {
    /// All of the input is used; nothing more to say about it.
    More,
    /// A head has ended.
    Head(Head),
    /// Body bytes: this range of the input.
    Payload(Range<usize>),
    /// The message has ended; the next byte begins another.
    End,
    /// The bytes are no HTTP/1 message. Final: every later step says the same and uses nothing.
    NotHttp(String),
}

/// Finds the messages in one direction of an HTTP/1.0 or 1.1 connection (RFC 9112 sections 6 and 7.1), from
/// bytes split anywhere. It changes nothing and holds only a head or a line that has not ended.
///
/// A response to `HEAD` cannot be told from its bytes and is misread, as its body is announced but absent.
#[derive(Debug)]
pub struct HttpParser {
    side: HttpSide,
    state: State,
    line: Vec<u8>,
}

#[derive(Debug)]
enum State {
    Head,
    Fixed(u64),
    ChunkSize,
    ChunkData(u64),
    ChunkEnd,
    Trailers,
    UntilClose,
    Finished,
    NotHttp(String),
}

impl HttpParser {
    /// A parser at the first byte of a connection.
    pub fn new(side: HttpSide) -> Self {
        Self { side, state: State::Head, line: Vec::new() }
    }

    /// Looks at the front of `input`: how many bytes of it were used, and what they were. Call again with the
    /// rest until [`HttpStep::More`] or [`HttpStep::NotHttp`]; an end may be told with nothing left to read.
    pub fn step(&mut self, input: &[u8]) -> (usize, HttpStep) {
        match &mut self.state {
            State::Head => self.head(input),
            State::Fixed(left) | State::ChunkData(left) => {
                if input.is_empty() {
                    return (0, HttpStep::More);
                }
                let n = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                *left -= n as u64;
                if *left == 0 {
                    self.state = match self.state {
                        State::Fixed(_) => State::Finished,
                        _ => State::ChunkEnd,
                    };
                }
                (n, HttpStep::Payload(0..n))
            }
            State::ChunkSize | State::ChunkEnd | State::Trailers => self.line(input),
            State::UntilClose if input.is_empty() => (0, HttpStep::More),
            State::UntilClose => (input.len(), HttpStep::Payload(0..input.len())),
            State::Finished => {
                self.state = State::Head;
                (0, HttpStep::End)
            }
            State::NotHttp(why) => (0, HttpStep::NotHttp(why.clone())),
        }
    }

    /// Whether the next byte belongs to a head.
    pub fn in_head(&self) -> bool {
        matches!(self.state, State::Head)
    }

    /// Bytes of a head or line used but not yet told of.
    pub fn pending(&self) -> &[u8] {
        &self.line
    }

    /// Whether the connection may end here: between two messages, or in one that lasts until the close.
    pub fn may_close(&self) -> bool {
        match self.state {
            State::Head => self.line.is_empty(),
            State::UntilClose | State::Finished => true,
            _ => false,
        }
    }

    fn head(&mut self, input: &[u8]) -> (usize, HttpStep) {
        for (at, &byte) in input.iter().enumerate() {
            self.line.push(byte);
            if !self.begins_well() || self.line.len() > HEAD_BYTES_MAX {
                return (at + 1, self.fail("no HTTP/1 head"));
            }
            if self.line.ends_with(b"\r\n\r\n") {
                let Some(head) = parse_head(&self.line) else {
                    return (at + 1, self.fail("a malformed head"));
                };
                return match self.body_of(&head) {
                    Ok(next) => {
                        self.state = next;
                        self.line.clear();
                        (at + 1, HttpStep::Head(head))
                    }
                    Err(why) => (at + 1, self.fail(why)),
                };
            }
        }
        (input.len(), HttpStep::More)
    }

    fn begins_well(&self) -> bool {
        const RESPONSE: &[u8] = b"HTTP/1.";
        const METHOD_BYTES_MAX: usize = 24;
        match self.side {
            HttpSide::Response => self.line.iter().zip(RESPONSE).all(|(a, b)| a == b),
            HttpSide::Request => {
                let method = self.line.iter().position(|&b| b == b' ').unwrap_or(self.line.len());
                (1..=METHOD_BYTES_MAX).contains(&method)
                    && self.line[..method].iter().all(u8::is_ascii_uppercase)
            }
        }
    }

    /// RFC 9112 section 6.3, in its order.
    fn body_of(&self, head: &Head) -> Result<State, &'static str> {
        if self.side == HttpSide::Response {
            match head.status() {
                Some(101) => return Ok(State::UntilClose),
                Some(100..=199 | 204 | 304) => return Ok(State::Finished),
                Some(_) => {}
                None => return Err("no status"),
            }
        }
        if head.has_token("transfer-encoding", "chunked") {
            return Ok(State::ChunkSize);
        }
        match head.header("content-length").map(str::parse) {
            Some(Ok(0)) => Ok(State::Finished),
            Some(Ok(length)) => Ok(State::Fixed(length)),
            Some(Err(_)) => Err("a content-length that is no number"),
            None if self.side == HttpSide::Response => Ok(State::UntilClose),
            None => Ok(State::Finished),
        }
    }

    fn line(&mut self, input: &[u8]) -> (usize, HttpStep) {
        let Some(end) = input.iter().position(|&b| b == b'\n') else {
            self.line.extend_from_slice(input);
            if self.line.len() > HEAD_BYTES_MAX {
                return (input.len(), self.fail("a chunk line without end"));
            }
            return (input.len(), HttpStep::More);
        };
        self.line.extend_from_slice(&input[..end]);
        let line = std::mem::take(&mut self.line);
        let line = line.strip_suffix(b"\r").unwrap_or(&line);
        self.state = match self.state {
            State::ChunkSize => match chunk_size(line) {
                Some(0) => State::Trailers,
                Some(size) => State::ChunkData(size),
                None => return (end + 1, self.fail("a chunk size that is no number")),
            },
            State::ChunkEnd if !line.is_empty() => return (end + 1, self.fail("bytes after a chunk")),
            State::ChunkEnd => State::ChunkSize,
            _ if line.is_empty() => State::Finished,
            _ => State::Trailers,
        };
        let (used, step) = self.step(&input[end + 1..]);
        let step = match step {
            HttpStep::Payload(range) => HttpStep::Payload(range.start + end + 1..range.end + end + 1),
            step => step,
        };
        (used + end + 1, step)
    }

    fn fail(&mut self, why: &str) -> HttpStep {
        self.state = State::NotHttp(why.to_owned());
        HttpStep::NotHttp(why.to_owned())
    }
}

fn chunk_size(line: &[u8]) -> Option<u64> {
    let size = line.split(|&b| b == b';').next()?.trim_ascii();
    if !size.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(size).ok()?, 16).ok()
}

fn parse_head(raw: &[u8]) -> Option<Head> {
    // A header value may hold bytes above ASCII (RFC 9110 section 5.5); only a copy is made readable.
    let text = String::from_utf8_lossy(raw);
    let mut lines = text.trim_end_matches("\r\n").split("\r\n");
    let start_line = lines.next()?.to_owned();
    if !start_line.contains("HTTP/1.") {
        return None;
    }
    let headers = lines
        .map(|line| line.split_once(':').map(|(name, value)| (name.to_owned(), value.trim().to_owned())))
        .collect::<Option<Vec<_>>>()?;
    Some(Head { start_line, headers, raw: raw.to_vec() })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_request_without_length_has_no_body() {
        let mut parser = HttpParser::new(HttpSide::Request);
        let input = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nPOST /x HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}";
        let (mut at, mut told) = (0, Vec::new());
        loop {
            let (used, step) = parser.step(&input[at..]);
            at += used;
            match step {
                HttpStep::More => break,
                HttpStep::Head(head) => told.push(head.start_line),
                HttpStep::Payload(range) => told.push(format!("{} bytes", range.len())),
                HttpStep::End => told.push("end".to_owned()),
                HttpStep::NotHttp(why) => panic!("{why}"),
            }
        }
        assert_eq!(told, ["GET / HTTP/1.1", "end", "POST /x HTTP/1.1", "2 bytes", "end"]);
    }
}
