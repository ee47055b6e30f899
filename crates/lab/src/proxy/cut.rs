//! The fault that ends a connection in mid-stream.

use std::ops::RangeInclusive;

use super::fault::{Direction, Fault, Piece, What, chance};
use super::faults::FaultPlan;

/// Cuts each connection after a number of bytes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Cut {
    /// The direction whose bytes are counted; both are cut.
    pub direction: Direction,
    /// How many bytes are forwarded before the cut, counted per connection from when the plan reached it; drawn
    /// by the seed, `n..=n` for a fixed number. 0 cuts at the first byte, not at the accept. With
    /// [`CutKind::Rst`] the peer may see fewer, since a reset overtakes what is still under way.
    pub after_bytes: RangeInclusive<u64>,
    /// How both sides are closed.
    pub kind: CutKind,
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum CutKind {
    /// In order: what was sent arrives, then the end (TCP FIN).
    Fin,
    /// A reset (TCP RST): the peer gets an error.
    Rst,
}

pub(super) struct CutFault {
    direction: Direction,
    rng: fastrand::Rng,
    plan: Option<Cut>,
    left: Option<u64>,
}

impl CutFault {
    pub(super) fn new(direction: Direction, seed: u64, connection: u64) -> Self {
        Self { direction, rng: chance(seed, connection, direction, 1), plan: None, left: None }
    }
}

impl Fault for CutFault {
    fn set(&mut self, plan: &FaultPlan, _: &mut Vec<Piece>) {
        let mine = plan.cut.clone().filter(|cut| cut.direction == self.direction);
        if mine != self.plan {
            self.left = mine.as_ref().map(|cut| self.rng.u64(cut.after_bytes.clone()));
            self.plan = mine;
        }
    }

    fn take(&mut self, piece: Piece, out: &mut Vec<Piece>) {
        let (Some(left), Some(cut), What::Bytes(bytes)) = (&mut self.left, &self.plan, &piece.what) else {
            out.push(piece);
            return;
        };
        let length = bytes.len() as u64;
        if length < *left {
            *left -= length;
            out.push(piece);
            return;
        }
        let end = What::Cut(cut.kind);
        let forwarded = bytes.slice(..usize::try_from(*left).unwrap_or(bytes.len()));
        *left = 0;
        if !forwarded.is_empty() {
            out.push(piece.with(What::Bytes(forwarded)));
        }
        out.push(Piece::new(end));
    }
}

#[cfg(test)]
mod tests {
    use super::super::fault::tests::{set, through};
    use super::*;

    fn plan(after_bytes: RangeInclusive<u64>) -> FaultPlan {
        let cut = Cut { direction: Direction::Down, after_bytes, kind: CutKind::Rst };
        FaultPlan { cut: Some(cut), ..FaultPlan::default() }
    }

    // Mutant: `length <= left` going on without a cut -> fails at the exact byte.
    #[test]
    fn cuts_after_exactly_that_many_bytes() {
        let mut cut = CutFault::new(Direction::Down, 1, 0);
        set(&mut cut, &plan(5..=5));
        assert_eq!(through(&mut cut, b"abc").0, b"abc");
        let (bytes, pieces) = through(&mut cut, b"defgh");
        assert_eq!(bytes, b"de");
        assert_eq!(pieces.last().map(|p| &p.what), Some(&What::Cut(CutKind::Rst)));

        let mut cut = CutFault::new(Direction::Down, 1, 0);
        set(&mut cut, &plan(3..=3));
        assert_eq!(through(&mut cut, b"abc").1.len(), 2);
    }

    // Mutant: drawing again at every `set` -> fails.
    #[test]
    fn an_unchanged_plan_keeps_its_count_and_the_other_direction_is_left_alone() {
        let mut cut = CutFault::new(Direction::Down, 1, 0);
        set(&mut cut, &plan(5..=5));
        through(&mut cut, b"abc");
        set(&mut cut, &FaultPlan { strip_upgrade: true, ..plan(5..=5) });
        assert_eq!(through(&mut cut, b"defgh").0, b"de");

        let mut up = CutFault::new(Direction::Up, 1, 0);
        set(&mut up, &plan(0..=0));
        assert_eq!(through(&mut up, b"abc").1.len(), 1);
    }
}
