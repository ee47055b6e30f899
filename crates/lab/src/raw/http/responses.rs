//! The responses of one connection, without their framing.

use super::{Head, HttpParser, HttpSide, HttpStep};
use crate::raw::frame::Torn;

/// A part of a response, as [`HttpResponses`] tells it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum HttpPart {
    /// A response begins.
    Head(Head),
    /// Body bytes without their chunk framing; after `101`, the bytes of the tunnel.
    Body(Vec<u8>),
    /// The response is complete. A body that lasts until the close, and a tunnel, get this from
    /// [`HttpResponses::close`] alone.
    End,
}

/// The responses of one connection out of its chunked, length-prefixed or close-delimited framing.
#[derive(Debug)]
pub struct HttpResponses {
    parser: HttpParser,
    in_body: bool,
}

impl Default for HttpResponses {
    fn default() -> Self {
        Self { parser: HttpParser::new(HttpSide::Response), in_body: false }
    }
}

impl HttpResponses {
    /// A reader at the first byte of a connection.
    pub fn new() -> Self {
        Self::default()
    }

    /// What the bytes complete, in their order.
    ///
    /// # Errors
    /// [`Torn`] when the bytes are no HTTP/1 response.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<HttpPart>, Torn> {
        let mut parts = Vec::new();
        let mut rest = bytes;
        loop {
            let (used, step) = self.parser.step(rest);
            match step {
                HttpStep::More => return Ok(parts),
                HttpStep::Head(head) => {
                    self.in_body = true;
                    parts.push(HttpPart::Head(head));
                }
                HttpStep::Payload(range) => parts.push(HttpPart::Body(rest[range].to_vec())),
                HttpStep::End => {
                    self.in_body = false;
                    parts.push(HttpPart::End);
                }
                HttpStep::NotHttp(why) => return Err(Torn::new(why)),
            }
            rest = &rest[used..];
        }
    }

    /// The connection has ended: the end of a response that lasted until the close, if one did.
    ///
    /// # Errors
    /// [`Torn`] when it ended inside a response that announced its length, or inside a head.
    pub fn close(self) -> Result<Option<HttpPart>, Torn> {
        match (self.parser.may_close(), self.in_body) {
            (true, true) => Ok(Some(HttpPart::End)),
            (true, false) => Ok(None),
            (false, _) => Err(Torn::new("the connection ended inside a response")),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const KEPT_ALIVE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n\
        HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello\
        HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 9\r\n\r\n\
        HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n3\r\nabc\r\n0A;x=\"1\"\r\n0123456789\r\n0\r\nT: 1\r\n\r\n\
        HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n\
        HTTP/1.0 200 OK\r\n\r\nuntil the end";

    type Read = Vec<(u16, String, bool)>;

    fn read(bytes: &[u8], splits: &mut dyn FnMut(usize) -> usize) -> Result<Read, Torn> {
        let (mut responses, mut at, mut read) = (HttpResponses::new(), 0, Read::new());
        let mut note = |part: HttpPart| match part {
            HttpPart::Head(head) => read.push((head.status().unwrap(), String::new(), false)),
            HttpPart::Body(bytes) => {
                read.last_mut().unwrap().1.push_str(std::str::from_utf8(&bytes).unwrap())
            }
            HttpPart::End => read.last_mut().unwrap().2 = true,
        };
        while at < bytes.len() {
            let n = splits(bytes.len() - at);
            responses.push(&bytes[at..at + n])?.into_iter().for_each(&mut note);
            at += n;
        }
        responses.close()?.into_iter().for_each(&mut note);
        Ok(read)
    }

    // Mutant: not clearing the chunk line between pushes, or losing the rest of a line -> fails.
    // Mutant: giving a 304 the body it announces -> fails.
    #[test]
    fn responses_split_anywhere_read_the_same() {
        let expected: Read =
            [(100, ""), (200, "hello"), (304, ""), (200, "abc0123456789"), (200, ""), (200, "until the end")]
                .map(|(status, body)| (status, body.to_owned(), true))
                .into();
        assert_eq!(read(KEPT_ALIVE, &mut |left| left).unwrap(), expected);
        assert_eq!(read(KEPT_ALIVE, &mut |_| 1).unwrap(), expected);
        for seed in 0..200 {
            let mut rng = fastrand::Rng::with_seed(seed);
            assert_eq!(read(KEPT_ALIVE, &mut |left| rng.usize(1..=40).min(left)).unwrap(), expected);
        }
    }

    // Mutant: `may_close` true inside a fixed body -> fails.
    #[test]
    fn a_response_cut_off_is_told_from_a_complete_one() {
        let whole = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
        for end in 1..whole.len() {
            assert!(read(&whole[..end], &mut |left| left).is_err(), "cut at {end}");
        }
        assert!(read(whole, &mut |left| left).is_ok());
        assert!(read(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nabc", &mut |left| left).is_err());
    }

    #[test]
    fn after_101_everything_is_tunnel() {
        let mut responses = HttpResponses::new();
        let parts = responses
            .push(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x81\x00")
            .unwrap();
        assert!(matches!(&parts[..], [HttpPart::Head(_), HttpPart::Body(b)] if b == b"\x81\x00"));
    }

    #[test]
    fn what_is_no_http_is_said_at_its_first_byte() {
        let (used, step) = HttpParser::new(HttpSide::Request).step(b"{\"type\":\"hello\"}\n");
        assert!(used == 1 && matches!(step, HttpStep::NotHttp(_)));
        assert!(HttpResponses::new().push(b"\x00").is_err());
        assert!(
            HttpResponses::new()
                .push(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n")
                .is_err()
        );
    }
}
