//! The fault of a long way.

use std::time::Duration;

use super::fault::{Direction, Fault, Piece, chance};
use super::faults::FaultPlan;

/// Holds what goes through one direction back, as a long way would: later bytes do not wait for earlier ones to
/// be sent, and never overtake them.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Delay {
    /// Always added.
    pub fixed: Duration,
    /// Up to this much more, drawn by the seed for each read.
    pub jitter_max: Duration,
}

pub(super) struct DelayFault {
    direction: Direction,
    rng: fastrand::Rng,
    plan: Option<Delay>,
}

impl DelayFault {
    pub(super) fn new(direction: Direction, seed: u64, connection: u64) -> Self {
        Self { direction, rng: chance(seed, connection, direction, 2), plan: None }
    }
}

impl Fault for DelayFault {
    fn set(&mut self, plan: &FaultPlan, _: &mut Vec<Piece>) {
        self.plan = match self.direction {
            Direction::Up => plan.delay_up,
            Direction::Down => plan.delay_down,
        };
    }

    fn take(&mut self, mut piece: Piece, out: &mut Vec<Piece>) {
        if let Some(delay) = self.plan {
            piece.hold += delay.fixed + delay.jitter_max.mul_f64(self.rng.f64());
        }
        out.push(piece);
    }
}

#[cfg(test)]
mod tests {
    use super::super::fault::tests::{set, through};
    use super::*;

    // Mutant: leaving the jitter out -> fails; reading the other direction's plan -> fails.
    #[test]
    fn adds_the_fixed_part_and_a_seeded_jitter_in_its_direction() {
        let delay = Delay { fixed: Duration::from_millis(100), jitter_max: Duration::from_millis(50) };
        let plan = FaultPlan { delay_up: Some(delay), ..FaultPlan::default() };
        let holds = |direction, seed| {
            let mut fault = DelayFault::new(direction, seed, 0);
            set(&mut fault, &plan);
            (0..20).map(|_| through(&mut fault, b"x").1[0].hold).collect::<Vec<_>>()
        };
        let up = holds(Direction::Up, 9);
        assert!(up.iter().all(|hold| (100..=150).contains(&hold.as_millis())));
        assert!(up.iter().any(|hold| *hold != up[0]));
        assert_eq!(up, holds(Direction::Up, 9));
        assert_ne!(up, holds(Direction::Up, 10));
        assert!(holds(Direction::Down, 9).iter().all(Duration::is_zero));
    }
}
