//! What every event of the load carries in its data, in a width that never changes: a sample of a frame serves for all.

use std::io::Write;

/// Which event this is, and when it should have been sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Marker {
    /// Of this process, from 1; what is left of an earlier run is told from this one.
    pub(crate) run: u32,
    /// The number of the channel, from 0.
    pub(crate) channel: u32,
    /// The number of the event in its channel and run, from 1.
    pub(crate) seq: u64,
    /// The intended send time, nanoseconds of [`clock::ns`](super::clock::ns).
    pub(crate) sent_ns: u64,
}

impl Marker {
    /// Bytes of a marker.
    pub(crate) const LEN: usize = 42;

    /// `@r0001c000000s0000000001t0000000000000001@`
    pub(crate) fn write(&self, to: &mut [u8; Self::LEN]) {
        let Self { run, channel, seq, sent_ns } = self;
        write!(&mut to[..], "@r{run:04}c{channel:06}s{seq:010}t{sent_ns:016}@")
            .expect("the numbers of a run stay within their width");
    }

    /// `None` if these bytes are no marker.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; Self::LEN] = bytes.try_into().ok()?;
        let letters = [(0, b'@'), (1, b'r'), (6, b'c'), (13, b's'), (24, b't'), (41, b'@')];
        if letters.iter().any(|(at, letter)| bytes[*at] != *letter) {
            return None;
        }
        Some(Self {
            run: number(&bytes[2..6])? as u32,
            channel: number(&bytes[7..13])? as u32,
            seq: number(&bytes[14..24])?,
            sent_ns: number(&bytes[25..41])?,
        })
    }

    /// Where the first marker of `bytes` begins, and what it says.
    pub(crate) fn find(bytes: &[u8]) -> Option<(usize, Self)> {
        memchr::memchr_iter(b'@', bytes)
            .find_map(|at| Some((at, Self::parse(bytes.get(at..at + Self::LEN)?)?)))
    }

    /// The data of an event: a JSON string of [`DATA_BYTES`] with the marker in front.
    pub(crate) fn data(&self) -> String {
        let mut marker = [0; Self::LEN];
        self.write(&mut marker);
        format!("\"{}{:x<2$}\"", String::from_utf8_lossy(&marker), "", DATA_BYTES - 2 - Self::LEN)
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    digits
        .iter()
        .try_fold(0_u64, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + u64::from(digit - b'0')))
}

/// Bytes of the data of one event as they are stored.
pub(crate) const DATA_BYTES: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Marker = Marker { run: 7, channel: 123, seq: 9_999_999_999, sent_ns: 1_234_567_890_123 };

    #[test]
    fn a_marker_is_found_where_it_stands_and_says_what_was_written() {
        let frame = format!("a@b{{\"data\":{}}}", ONE.data());
        assert_eq!(ONE.data().len(), DATA_BYTES);
        assert_eq!(Marker::find(frame.as_bytes()), Some((12, ONE)));
    }

    #[test]
    fn what_is_cut_or_changed_is_no_marker() {
        let whole = ONE.data();
        assert_eq!(Marker::find(&whole.as_bytes()[..Marker::LEN]), None);
        assert_eq!(Marker::find(whole.replace("c0001", "c00x1").as_bytes()), None);
    }
}
