//! The fault of a proxy that collects an answer before it passes it on.

use bytes::BytesMut;

use super::fault::{Direction, Fault, Piece, What};
use super::faults::FaultPlan;
use crate::raw::{HttpParser, HttpSide, HttpStep};

/// Most bytes that [`Buffer`] holds per connection, in bytes: 8 MiB. When they are full they are sent on, as
/// proxies do whose buffers are full.
pub const BUFFER_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Holds what the upstream answers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Buffer {
    /// Until the HTTP response is complete (head and body, so a kept-alive connection still works), or, for
    /// what is no HTTP, until the upstream closes. After `101` the bytes are a tunnel and pass.
    UntilEnd,
    /// Until this many bytes are there or the end comes; then all of them at once, and so on.
    UntilBytes(usize),
}

pub(super) struct BufferFault {
    direction: Direction,
    plan: Option<Buffer>,
    held: BytesMut,
    http: HttpParser,
    tunnel: bool,
}

impl BufferFault {
    pub(super) fn new(direction: Direction) -> Self {
        let http = HttpParser::new(HttpSide::Response);
        Self { direction, plan: None, held: BytesMut::new(), http, tunnel: false }
    }

    /// How many of these bytes belong to complete responses or a tunnel, and may go.
    fn complete(&mut self, bytes: &[u8]) -> usize {
        let (mut at, mut complete) = (0, 0);
        while !self.tunnel {
            let (used, step) = self.http.step(&bytes[at..]);
            at += used;
            match step {
                HttpStep::End => complete = at,
                HttpStep::Head(head) => self.tunnel = head.status() == Some(101),
                HttpStep::Payload(_) => {}
                HttpStep::More | HttpStep::NotHttp(_) => return complete,
            }
        }
        bytes.len()
    }

    fn release(&mut self, bytes: usize, like: &Piece, out: &mut Vec<Piece>) {
        if bytes > 0 {
            let bytes = self.held.split_to(bytes).freeze();
            out.push(like.with(What::Bytes(bytes)));
        }
    }
}

impl Fault for BufferFault {
    fn set(&mut self, plan: &FaultPlan, out: &mut Vec<Piece>) {
        let mine = plan.buffer.filter(|_| self.direction == Direction::Down);
        if mine != self.plan {
            self.plan = mine;
            let all = self.held.len();
            self.release(all, &Piece::bytes(""), out);
        }
    }

    fn take(&mut self, piece: Piece, out: &mut Vec<Piece>) {
        if self.direction == Direction::Up {
            out.push(piece);
            return;
        }
        let What::Bytes(bytes) = &piece.what else {
            let all = self.held.len();
            self.release(all, &piece, out);
            out.push(piece);
            return;
        };
        // Followed even while switched off, so that it can be switched on in mid-stream.
        let before = self.held.len();
        let complete = self.complete(bytes);
        let Some(plan) = self.plan else {
            out.push(piece);
            return;
        };
        self.held.extend_from_slice(bytes);
        let ready = match plan {
            _ if self.tunnel || self.held.len() >= BUFFER_BYTES_MAX => self.held.len(),
            Buffer::UntilEnd if complete > 0 => before + complete,
            Buffer::UntilBytes(n) if self.held.len() >= n => self.held.len(),
            _ => 0,
        };
        self.release(ready, &piece, out);
    }
}

#[cfg(test)]
mod tests {
    use super::super::fault::tests::{joined, set, through};
    use super::*;

    fn buffer(buffer: Buffer) -> BufferFault {
        let mut fault = BufferFault::new(Direction::Down);
        set(&mut fault, &FaultPlan { buffer: Some(buffer), ..FaultPlan::default() });
        fault
    }

    fn end(fault: &mut BufferFault) -> Vec<u8> {
        let mut out = Vec::new();
        fault.take(Piece::new(What::End), &mut out);
        assert_eq!(out.last().map(|p| &p.what), Some(&What::End));
        joined(&out)
    }

    // Mutant: releasing at the head's end -> fails.
    // Mutant: releasing everything held when a response ends, the next one's begin with it -> fails.
    #[test]
    fn a_response_is_held_until_its_last_byte() {
        let first = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
        let second = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n";
        let mut fault = buffer(Buffer::UntilEnd);
        assert_eq!(through(&mut fault, &first[..40]).0, b"");
        assert_eq!(through(&mut fault, &[&first[40..], &second[..]].concat()).0, first);
        assert_eq!(through(&mut fault, b"0\r\n").0, b"");
        assert_eq!(through(&mut fault, b"\r\n").0, [&second[..], b"0\r\n\r\n"].concat());
    }

    #[test]
    fn what_is_no_http_is_held_until_the_end() {
        let mut fault = buffer(Buffer::UntilEnd);
        assert_eq!(through(&mut fault, b"{\"type\":\"welcome\"}\n").0, b"");
        assert_eq!(end(&mut fault), b"{\"type\":\"welcome\"}\n");
    }

    #[test]
    fn a_tunnel_passes() {
        let mut fault = buffer(Buffer::UntilEnd);
        let switch = b"HTTP/1.1 101 Switching Protocols\r\n\r\n\x81\x00";
        assert_eq!(through(&mut fault, switch).0, switch);
        assert_eq!(through(&mut fault, b"\x81\x00").0, b"\x81\x00");
    }

    #[test]
    fn blocks_go_when_they_are_full_and_the_rest_at_the_end() {
        let mut fault = buffer(Buffer::UntilBytes(4));
        assert_eq!(through(&mut fault, b"abc").0, b"");
        assert_eq!(through(&mut fault, b"de").0, b"abcde");
        assert_eq!(through(&mut fault, b"f").0, b"");
        assert_eq!(end(&mut fault), b"f");
    }

    // Mutant: dropping what is held when the plan changes -> fails.
    #[test]
    fn switching_it_off_lets_go_and_switching_it_on_works_in_mid_stream() {
        let mut fault = BufferFault::new(Direction::Down);
        set(&mut fault, &FaultPlan::default());
        let response = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nabcdef";
        assert_eq!(through(&mut fault, &response[..40]).0, &response[..40]);
        let on = FaultPlan { buffer: Some(Buffer::UntilEnd), ..FaultPlan::default() };
        set(&mut fault, &on);
        assert_eq!(through(&mut fault, &response[40..42]).0, b"");
        assert_eq!(through(&mut fault, &response[42..]).0, &response[40..]);
        assert_eq!(through(&mut fault, b"HTTP").0, b"");
        assert_eq!(joined(&set(&mut fault, &FaultPlan::default())), b"HTTP");
    }

    #[test]
    fn a_full_buffer_is_sent_on() {
        let mut fault = buffer(Buffer::UntilEnd);
        let block = vec![b'x'; BUFFER_BYTES_MAX / 2];
        assert_eq!(through(&mut fault, &block).0.len(), 0);
        assert_eq!(through(&mut fault, &block).0.len(), BUFFER_BYTES_MAX);
    }
}
