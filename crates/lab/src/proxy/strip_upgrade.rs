//! The fault of a proxy that was not told of WebSocket.

use super::fault::{Direction, Fault, Piece, What};
use super::faults::FaultPlan;
use crate::raw::{Head, HttpParser, HttpSide, HttpStep};

/// Takes `Upgrade` and the `upgrade` of `Connection` out of each HTTP/1 request head, so that a plain `GET`
/// arrives: what a reverse proxy does that was not told of WebSocket. All else stays as it came.
///
/// The rest of a connection whose upgrade went through before is left alone, being no HTTP.
pub(super) struct StripUpgradeFault {
    direction: Direction,
    on: bool,
    /// Holds back an unfinished head, at most [`crate::raw::HEAD_BYTES_MAX`].
    http: HttpParser,
    no_http: bool,
}

impl StripUpgradeFault {
    pub(super) fn new(direction: Direction) -> Self {
        Self { direction, on: false, http: HttpParser::new(HttpSide::Request), no_http: false }
    }
}

impl Fault for StripUpgradeFault {
    fn set(&mut self, plan: &FaultPlan, _: &mut Vec<Piece>) {
        self.on = plan.strip_upgrade;
    }

    fn take(&mut self, piece: Piece, out: &mut Vec<Piece>) {
        if self.direction == Direction::Down || self.no_http {
            out.push(piece);
            return;
        }
        let What::Bytes(bytes) = &piece.what else {
            if self.http.in_head() && !self.http.pending().is_empty() {
                out.push(piece.with(What::Bytes(self.http.pending().to_vec().into())));
            }
            out.push(piece);
            return;
        };
        let forward = self.forward(bytes);
        if !forward.is_empty() {
            out.push(piece.with(What::Bytes(forward.into())));
        }
    }
}

impl StripUpgradeFault {
    fn forward(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut forward = Vec::with_capacity(bytes.len());
        let mut rest = bytes;
        loop {
            let in_head = self.http.in_head();
            let (used, step) = self.http.step(rest);
            let (now, later) = rest.split_at(used);
            match &step {
                HttpStep::Head(head) if self.on => forward.extend(stripped(head)),
                HttpStep::Head(head) => forward.extend_from_slice(&head.raw),
                HttpStep::NotHttp(_) => {
                    self.no_http = true;
                    forward.extend_from_slice(if in_head { self.http.pending() } else { now });
                    forward.extend_from_slice(later);
                    return forward;
                }
                // An unfinished head waits inside the parser.
                _ if in_head => {}
                _ => forward.extend_from_slice(now),
            }
            if step == HttpStep::More {
                return forward;
            }
            rest = later;
        }
    }
}

fn stripped(head: &Head) -> Vec<u8> {
    let mut kept = Vec::with_capacity(head.raw.len());
    for line in head.raw.split_inclusive(|&b| b == b'\n') {
        let name = line.split(|&b| b == b':').next().unwrap_or_default();
        if name.eq_ignore_ascii_case(b"connection") {
            let value = String::from_utf8_lossy(&line[name.len() + 1..]).into_owned();
            let tokens =
                value.split(',').map(str::trim).filter(|token| !token.eq_ignore_ascii_case("upgrade"));
            let tokens = tokens.collect::<Vec<_>>().join(", ");
            if !tokens.is_empty() {
                kept.extend_from_slice(format!("Connection: {tokens}\r\n").as_bytes());
            }
        } else if !name.eq_ignore_ascii_case(b"upgrade") {
            kept.extend_from_slice(line);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::super::fault::tests::{joined, set};
    use super::*;

    const UPGRADE: &str = "GET /v1/websocket HTTP/1.1\r\nHost: a\r\nCONNECTION: keep-alive, Upgrade\r\n\
        upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n";
    const PLAIN: &str = "GET /v1/websocket HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\
        Sec-WebSocket-Version: 13\r\n\r\n";
    const POST: &str = "POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n\
        12\r\nupgrade: websocket\r\n0\r\n\r\n";

    fn run(on: bool, input: &[u8], mut size: impl FnMut() -> usize) -> Vec<u8> {
        let mut fault = StripUpgradeFault::new(Direction::Up);
        set(&mut fault, &FaultPlan { strip_upgrade: on, ..FaultPlan::default() });
        let (mut out, mut rest) = (Vec::new(), input);
        while !rest.is_empty() {
            let (now, later) = rest.split_at(size().min(rest.len()));
            fault.take(Piece::bytes(now.to_vec()), &mut out);
            rest = later;
        }
        fault.take(Piece::new(What::End), &mut out);
        joined(&out)
    }

    // Mutant: forwarding an unfinished head as it comes -> fails.
    // Mutant: leaving chunk lines out of what is forwarded -> fails.
    #[test]
    fn each_head_of_a_connection_is_stripped_and_bodies_are_left_alone() {
        let input = [UPGRADE, POST, UPGRADE].concat();
        let expected = [PLAIN, POST, PLAIN].concat();
        for seed in 0..100 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let got = run(true, input.as_bytes(), || rng.usize(1..=50));
            assert_eq!(String::from_utf8_lossy(&got), expected);
        }
        assert_eq!(run(false, input.as_bytes(), || 9), input.as_bytes());
    }

    // Mutant: losing the bytes by which a stream shows itself to be no HTTP -> fails.
    #[test]
    fn what_is_no_http_passes_byte_for_byte() {
        for input in [
            &b"{\"type\":\"hello\"}\n"[..],
            b"\x00\x00\x00\x02{}",
            b"GET / HTTP/1.1\r\nno header\r\n\r\nrest",
            b"GET / HTTP/1.1\r\nHost: cut",
            b"GET / HTTP/1.1\r\nHost: a\r\n\r\n\x81\x80masked",
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nnot a size\r\nrest",
        ] {
            for size in [1, 3, 1000] {
                assert_eq!(run(true, input, || size), input, "{:?}", String::from_utf8_lossy(input));
            }
        }
    }
}
