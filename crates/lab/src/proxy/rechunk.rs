//! The fault that cuts a stream into pieces at any byte.

use std::time::Duration;

use super::fault::{Direction, Fault, Piece, What, chance};
use super::faults::FaultPlan;

/// Sends in pieces that end at any byte: inside UTF-8, between CR and LF, in a frame's header.
///
/// The ends are drawn by the seed and lie at the same offsets of the stream in every run; where one read ended
/// is one more. The receiving kernel may join pieces again; `pause` keeps them apart.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rechunk {
    /// Longest piece in bytes, at least 1.
    pub piece_max: usize,
    /// Wait before each piece. 0 lets other tasks run instead.
    pub pause: Duration,
}

pub(super) struct RechunkFault {
    rng: fastrand::Rng,
    plan: Option<Rechunk>,
    left: usize,
}

impl RechunkFault {
    pub(super) fn new(direction: Direction, seed: u64, connection: u64) -> Self {
        Self { rng: chance(seed, connection, direction, 3), plan: None, left: 0 }
    }
}

impl Fault for RechunkFault {
    fn set(&mut self, plan: &FaultPlan, _: &mut Vec<Piece>) {
        if self.plan != plan.rechunk {
            (self.plan, self.left) = (plan.rechunk, 0);
        }
    }

    fn take(&mut self, mut piece: Piece, out: &mut Vec<Piece>) {
        let (Some(plan), What::Bytes(bytes)) = (self.plan, &mut piece.what) else {
            out.push(piece);
            return;
        };
        let mut rest = std::mem::take(bytes);
        while !rest.is_empty() {
            if self.left == 0 {
                self.left = self.rng.usize(1..=plan.piece_max.max(1));
            }
            let next = rest.split_to(self.left.min(rest.len()));
            self.left -= next.len();
            out.push(Piece { pause: plan.pause, ..piece.with(What::Bytes(next)) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fault::tests::{set, through};
    use super::*;

    fn ends(reads: &[&[u8]]) -> Vec<usize> {
        let mut fault = RechunkFault::new(Direction::Down, 4, 0);
        let rechunk = Rechunk { piece_max: 7, pause: Duration::ZERO };
        set(&mut fault, &FaultPlan { rechunk: Some(rechunk), ..FaultPlan::default() });
        let (mut at, mut ends) = (0, Vec::new());
        for read in reads {
            let (bytes, pieces) = through(&mut fault, read);
            assert_eq!(bytes, *read, "bytes kept and in order");
            for piece in pieces {
                let What::Bytes(bytes) = piece.what else { panic!("only bytes") };
                assert!((1..=7).contains(&bytes.len()));
                at += bytes.len();
                ends.push(at);
            }
        }
        ends
    }

    // Mutant: drawing anew at each read -> fails, as the offsets then depend on the kernel.
    #[test]
    fn ends_lie_at_the_same_offsets_however_the_bytes_came() {
        let text = [b'x'; 200];
        let whole = ends(&[&text]);
        let halves = ends(&[&text[..93], &text[93..]]);
        assert!(whole.iter().all(|end| halves.contains(end)));
        assert!(halves.iter().all(|end| whole.contains(end) || *end == 93));
        assert!(whole.windows(2).any(|pair| pair[1] - pair[0] != whole[0]));
    }
}
