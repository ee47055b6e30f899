//! Time that goes on evenly, whatever the wall clock does.

/// What one log believes of the time. The wall clock may jump; ages are measured by what is believed of it.
#[derive(Debug, Default)]
pub(crate) struct Steady {
    wall_ms: Option<u64>,
    steady_ms: u64,
    believed_ms: u64,
    second: u64,
}

/// One moment of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    /// Since the first tick, milliseconds, jumps of the clock left out.
    pub(crate) steady_ms: u64,
    /// What the wall clock says as far as it is believed, milliseconds since 1970: at once when it is behind, and at
    /// most twice as fast as time goes on when it is ahead. A clock that jumps by an hour is believed after an hour.
    pub(crate) believed_ms: u64,
}

impl Steady {
    pub(crate) fn tick(&mut self, now: u64) {
        let passed = match self.wall_ms.replace(now) {
            Some(before) => now.saturating_sub(before).min(TICK_MS_MAX),
            None => {
                self.believed_ms = now;
                0
            }
        };
        self.steady_ms += passed;
        self.believed_ms = now.min(self.believed_ms + 2 * passed);
    }

    /// The present moment, once each second.
    pub(crate) fn second(&mut self) -> Option<Moment> {
        let second = self.steady_ms / 1_000;
        let is_new = second > std::mem::replace(&mut self.second, second);
        is_new.then_some(Moment { steady_ms: self.steady_ms, believed_ms: self.believed_ms })
    }
}

/// The longest time between two ticks that is taken for time, milliseconds: the rest is a jump, or the process slept.
const TICK_MS_MAX: u64 = 1_000;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn after(ticks: &[(u64, u64)]) -> Moment {
        let mut steady = Steady::default();
        for &(from, to) in ticks {
            (0..).map(|n| from + n * 100).take_while(|now| *now <= to).for_each(|now| steady.tick(now));
        }
        steady.second = 0;
        steady.second().unwrap()
    }

    // Mutants: the jump believed at once; the way back not believed at once; the jump counted as time -> fails.
    #[test]
    fn a_jump_is_believed_slowly_and_the_way_back_at_once() {
        const HOUR: u64 = 3_600_000;
        let start = 100 * HOUR;
        let even = after(&[(start, start + 10_000)]);
        assert_eq!(even, Moment { steady_ms: 10_000, believed_ms: start + 10_000 });
        let ahead = after(&[(start, start + 10_000), (start + HOUR, start + HOUR + 10_000)]);
        assert_eq!(ahead, Moment { steady_ms: 21_000, believed_ms: start + 32_000 });
        let back = after(&[(start, start + 10_000), (start - HOUR, start - HOUR + 10_000)]);
        assert_eq!(back, Moment { steady_ms: 20_000, believed_ms: start - HOUR + 10_000 });
        let again =
            after(&[(start, start + 10_000), (start + HOUR, start + HOUR), (start + 10_000, start + 20_000)]);
        assert_eq!(again, Moment { steady_ms: 21_000, believed_ms: start + 20_000 });
    }
}
