//! What a fault is: bytes in, bytes and times out, with chance from a seed.

use std::time::Duration;

use bytes::Bytes;

use super::cut::CutKind;
use super::faults::FaultPlan;

/// One way through the proxy.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Direction {
    /// From the client to the upstream.
    Up,
    /// From the upstream to the client.
    Down,
}

/// A fault in one direction of one connection: it takes what comes and gives out what goes on. Pure; time is a
/// field of what it gives, and chance comes in as a seed.
pub(super) trait Fault: Send {
    /// The plan has changed, or is told for the first time. What the fault held for the old one may go on.
    fn set(&mut self, plan: &FaultPlan, out: &mut Vec<Piece>);

    /// The next piece. [`What::End`] and [`What::Reset`] must be given on, after everything held.
    fn take(&mut self, piece: Piece, out: &mut Vec<Piece>);
}

/// What goes through a direction.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Piece {
    /// Not to be sent earlier than this after it arrived.
    pub(super) hold: Duration,
    /// Not to be sent earlier than this after the piece before it.
    pub(super) pause: Duration,
    pub(super) what: What,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum What {
    Bytes(Bytes),
    /// The sender has closed its side.
    End,
    /// The sender is gone by an error.
    Reset,
    /// A fault ends the connection here.
    Cut(CutKind),
}

impl Piece {
    pub(super) fn new(what: What) -> Self {
        Self { hold: Duration::ZERO, pause: Duration::ZERO, what }
    }

    pub(super) fn bytes(bytes: impl Into<Bytes>) -> Self {
        Self::new(What::Bytes(bytes.into()))
    }

    /// The same moment, other content.
    pub(super) fn with(&self, what: What) -> Self {
        Self { what, ..*self }
    }
}

/// Chance for one fault in one direction of one connection, independent of all others.
pub(super) fn chance(seed: u64, connection: u64, direction: Direction, salt: u64) -> fastrand::Rng {
    let mut state = seed;
    for part in [connection, direction as u64, salt] {
        state = mix(state ^ mix(part));
    }
    fastrand::Rng::with_seed(state)
}

/// SplitMix64's step, so that neighbouring seeds have nothing in common.
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Runs bytes through a fault and joins what comes out.
    pub(in crate::proxy) fn through(fault: &mut dyn Fault, bytes: &[u8]) -> (Vec<u8>, Vec<Piece>) {
        let mut out = Vec::new();
        fault.take(Piece::bytes(bytes.to_vec()), &mut out);
        (joined(&out), out)
    }

    pub(in crate::proxy) fn joined(pieces: &[Piece]) -> Vec<u8> {
        let mut all = Vec::new();
        for piece in pieces {
            if let What::Bytes(bytes) = &piece.what {
                all.extend_from_slice(bytes);
            }
        }
        all
    }

    pub(in crate::proxy) fn set(fault: &mut dyn Fault, plan: &FaultPlan) -> Vec<Piece> {
        let mut out = Vec::new();
        fault.set(plan, &mut out);
        out
    }

    #[test]
    fn chance_is_the_same_for_the_same_place_and_no_other() {
        let draw = |seed, connection, direction, salt| chance(seed, connection, direction, salt).u64(..);
        let first = draw(1, 2, Direction::Up, 3);
        assert_eq!(first, draw(1, 2, Direction::Up, 3));
        for other in [
            draw(2, 2, Direction::Up, 3),
            draw(1, 3, Direction::Up, 3),
            draw(1, 2, Direction::Down, 3),
            draw(1, 2, Direction::Up, 4),
        ] {
            assert_ne!(first, other);
        }
    }
}
