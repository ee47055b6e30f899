//! What the walk over a history writes down.

use std::collections::{BTreeMap, BTreeSet};

use super::violation::{Counts, Kind, Verdict, Violation};

/// (epoch, channel): what a `seq` counts in.
pub(super) type Key = (String, String);

/// What the walk over a history writes down.
#[derive(Debug, Default)]
pub(super) struct Notes {
    pub(super) counts: Counts,
    violations: Vec<Violation>,
    reader: Option<String>,
    at: Option<usize>,
    covered: BTreeMap<Key, Vec<(u64, u64)>>,
    holes: BTreeSet<(Key, u64)>,
}

impl Notes {
    pub(super) fn begin(&mut self, reader: &str) {
        self.reader = Some(reader.to_owned());
        self.at = None;
        self.covered.clear();
        self.holes.clear();
    }

    pub(super) fn at(&mut self, at: Option<usize>) {
        self.at = at;
    }

    pub(super) fn report(&mut self, kind: Kind, channel: &str, what: impl Into<String>) {
        let (reader, at) = (self.reader.clone(), self.at);
        self.violations.push(Violation { kind, reader, at, channel: channel.to_owned(), what: what.into() });
    }

    /// A hole is one fault, however many connections went on from behind it.
    pub(super) fn hole(&mut self, key: &Key, from: u64) -> bool {
        self.holes.insert((key.clone(), from))
    }

    /// The reader was told that these are gone, both ends included.
    pub(super) fn cover(&mut self, key: &Key, from: u64, to: u64) {
        if from <= to {
            self.covered.entry(key.clone()).or_default().push((from, to));
        }
    }

    pub(super) fn covers(&self, key: &Key, seq: u64) -> bool {
        self.covered
            .get(key)
            .is_some_and(|ranges| ranges.iter().any(|(from, to)| (*from..=*to).contains(&seq)))
    }

    pub(super) fn verdict(self) -> Verdict {
        Verdict { violations: self.violations, counts: self.counts }
    }
}
