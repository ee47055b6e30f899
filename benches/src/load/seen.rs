//! What one connection has seen of a run, and the sum over all of them.

use super::Marker;

/// The count of one connection: which numbers came, which came twice, which came late.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// The greatest number that came.
    last: u64,
    /// Numbers below it that did not come yet.
    missing: Vec<u64>,
    events: u64,
    repeated: u64,
    reordered: u64,
    foreign: u64,
}

impl Seen {
    /// Takes an event that is here. `true` if it is one that was waited for, and had not come before.
    pub(crate) fn take(&mut self, marker: &Marker, run: u32, channel: u32) -> bool {
        if marker.run != run || marker.channel != channel {
            self.foreign += 1;
            return false;
        }
        if marker.seq > self.last {
            self.missing.extend(self.last + 1..marker.seq);
            self.last = marker.seq;
        } else if let Some(at) = self.missing.iter().position(|seq| *seq == marker.seq) {
            self.missing.swap_remove(at);
            self.reordered += 1;
        } else {
            self.repeated += 1;
            return false;
        }
        self.events += 1;
        true
    }

    pub(crate) fn events(&self) -> u64 {
        self.events
    }

    /// Adds this connection, to which `published` events were due.
    pub(crate) fn sum(&self, published: u64, tally: &mut Tally) {
        tally.deliveries += self.events;
        tally.lost += self.missing.len() as u64 + published.saturating_sub(self.last);
        tally.repeated += self.repeated;
        tally.reordered += self.reordered;
        tally.foreign += self.foreign;
    }
}

/// The sum over all connections of a run. All but the first must be 0.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Events that came, each once.
    pub(crate) deliveries: u64,
    /// Events that were published and did not come.
    pub(crate) lost: u64,
    /// Events that came again.
    pub(crate) repeated: u64,
    /// Events that came behind one with a greater number.
    pub(crate) reordered: u64,
    /// Events of another channel or of an earlier run.
    pub(crate) foreign: u64,
    /// Connections that ended, were refused, or answered with an error.
    pub(crate) cut: u64,
}

impl Tally {
    /// Whether everything came, once and in order.
    pub(crate) fn is_whole(&self) -> bool {
        let Self { deliveries: _, lost, repeated, reordered, foreign, cut } = self;
        [lost, repeated, reordered, foreign, cut].iter().all(|count| **count == 0)
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.deliveries += other.deliveries;
        self.lost += other.lost;
        self.repeated += other.repeated;
        self.reordered += other.reordered;
        self.foreign += other.foreign;
        self.cut += other.cut;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally_of(seqs: impl IntoIterator<Item = u64>, published: u64) -> Tally {
        let mut seen = Seen::default();
        for seq in seqs {
            seen.take(&Marker { run: 1, channel: 0, seq, sent_ns: 0 }, 1, 0);
        }
        let mut tally = Tally::default();
        seen.sum(published, &mut tally);
        tally
    }

    #[test]
    fn what_comes_once_and_in_order_is_whole() {
        let tally = tally_of(1..=5, 5);
        assert!(tally.is_whole());
        assert_eq!(tally.deliveries, 5);
    }

    // Mutants: `missing.extend` left out -> the one in the middle is not told; `saturating_sub` left out of the sum -> the
    // first and the last are not told.
    #[test]
    fn a_lost_event_is_told_wherever_it_was() {
        for lost in 1..=5 {
            let tally = tally_of((1..=5).filter(|seq| *seq != lost), 5);
            assert_eq!((tally.lost, tally.deliveries), (1, 4), "{lost}");
        }
        assert_eq!(tally_of([], 5).lost, 5);
    }

    // Mutant: `>=` instead of `>` -> the repeated one counts as a delivery.
    #[test]
    fn a_repeated_event_is_told_and_is_no_delivery() {
        for repeated in 1..=5 {
            let tally = tally_of((1..=5).chain([repeated]), 5);
            assert_eq!((tally.repeated, tally.deliveries, tally.lost), (1, 5, 0), "{repeated}");
        }
        assert_eq!(tally_of([1, 1, 2], 2).repeated, 1);
    }

    // Mutant: `reordered` not counted -> a swap looks whole.
    #[test]
    fn swapped_events_are_told_once_and_are_not_lost() {
        let tally = tally_of([1, 3, 2, 4], 4);
        assert_eq!((tally.reordered, tally.lost, tally.repeated, tally.deliveries), (1, 0, 0, 4));
        assert!(!tally.is_whole());
    }

    // Mutant: the channel is not compared -> what was meant for others counts.
    #[test]
    fn what_is_of_another_run_or_channel_is_no_delivery() {
        let mut seen = Seen::default();
        assert!(!seen.take(&Marker { run: 1, channel: 0, seq: 1, sent_ns: 0 }, 2, 0));
        assert!(!seen.take(&Marker { run: 2, channel: 1, seq: 1, sent_ns: 0 }, 2, 0));
        let mut tally = Tally::default();
        seen.sum(1, &mut tally);
        assert_eq!((tally.foreign, tally.lost, tally.deliveries), (2, 1, 0));
    }
}
