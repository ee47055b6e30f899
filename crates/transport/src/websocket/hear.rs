//! What a client says over a WebSocket, its pings answered and its close too.

use bytes::{Bytes, BytesMut};
use sosik_wire::websocket::{Decoder, Fault, PONG, Received, message};

use crate::form::Pieces;

/// One thing that a client says.
#[derive(Debug)]
pub(super) enum Heard {
    Text(String),
    Binary(Vec<u8>),
    /// It has closed, and was answered.
    Closed,
    /// It broke the protocol: the connection is to be failed.
    Broken(Fault),
}

/// The next thing, `None` until more is fed. Answers to control frames go into `control`: whatever the client sends, at
/// most [`PONGS_MAX`] pongs for each call, in one piece.
pub(super) fn hear(decoder: &mut Decoder, control: &mut Vec<Pieces>) -> Option<Heard> {
    let mut pongs = Pongs::default();
    let (heard, last) = loop {
        break match decoder.next_received() {
            Ok(Some(Received::Ping(payload))) => {
                pongs.push(&payload);
                continue;
            }
            Ok(Some(Received::Pong(_))) => continue,
            Ok(Some(Received::Text(text))) => (Some(Heard::Text(text)), None),
            Ok(Some(Received::Binary(bytes))) => (Some(Heard::Binary(bytes)), None),
            Ok(Some(Received::Close(closing))) => (Some(Heard::Closed), Some(closing.answer())),
            Ok(None) => (None, None),
            Err(fault) => (Some(Heard::Broken(fault)), None),
        };
    };
    control.extend([pongs.finish(), last].into_iter().flatten().map(|bytes| Pieces::from_iter([bytes])));
    heard
}

/// Answers to pings that came together. Of more than a few only the latest is answered (RFC 6455 section 5.5.3): a flood
/// of them must not make us write as much as it does.
#[derive(Debug, Default)]
struct Pongs {
    bytes: BytesMut,
    count: usize,
    latest: Option<Bytes>,
}

impl Pongs {
    fn push(&mut self, payload: &[u8]) {
        let pong = message(PONG, payload);
        self.count += 1;
        if self.count < PONGS_MAX {
            self.bytes.extend_from_slice(&pong);
        } else {
            self.latest = Some(pong);
        }
    }

    fn finish(mut self) -> Option<Bytes> {
        self.bytes.extend(self.latest);
        (self.count > 0).then(|| self.bytes.freeze())
    }
}

/// Pongs written for pings that came together.
const PONGS_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use sosik_wire::websocket::PING;

    use super::*;

    fn ping(number: u32) -> Vec<u8> {
        let mut frame = vec![0x80 | PING, 0x84, 0, 0, 0, 0];
        frame.extend(number.to_be_bytes());
        frame
    }

    /// The pongs for `count` pings that come together.
    fn pongs(count: u32) -> Vec<u32> {
        let mut decoder = Decoder::with_limit(9);
        decoder.feed(&(0..count).flat_map(ping).collect::<Vec<_>>());
        let mut control = Vec::new();
        assert!(hear(&mut decoder, &mut control).is_none());
        assert!(control.len() <= 1);
        let bytes = control.concat().concat();
        let (frames, rest) = bytes.as_chunks::<6>();
        assert!(rest.is_empty());
        frames
            .iter()
            .map(|[first, length, number @ ..]| {
                assert_eq!((*first, *length), (0x80 | PONG, 4));
                u32::from_be_bytes(*number)
            })
            .collect()
    }

    // Mutants: every ping answered; the first of the many answered and not the latest -> each fails.
    #[test]
    fn a_few_pings_are_all_answered_and_of_many_the_latest() {
        assert!(pongs(0).is_empty());
        assert_eq!(pongs(3), [0, 1, 2]);
        assert_eq!(pongs(16), Vec::from_iter(0..16));
        assert_eq!(pongs(100_000), Vec::from_iter((0..15).chain([99_999])));
    }
}
