//! The client's rule about repeats, written a second time.

use std::collections::{BTreeMap, HashMap};

use super::history::Gap;
use super::notes::Key;
use super::set::{is_prefix, matches};

/// The client's rule (rule 5): the last `seq` per (epoch, channel), at or below which an event is a repeat.
/// Written here a second time on purpose: the client under test must not judge itself.
#[derive(Debug)]
pub struct Dedupe {
    channels_max: usize,
    entries: HashMap<Key, Entry>,
    oldest: BTreeMap<u64, Key>,
    touches: u64,
}

#[derive(Debug)]
struct Entry {
    last: u64,
    touched: u64,
    excused: bool,
}

/// What the rule says of an event.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fresh {
    /// Deliver it.
    Yes,
    /// Deliver it, but these numbers were left out; the client re-reads them.
    AfterHole {
        /// The number that should have come.
        expected: u64,
    },
    /// Drop it.
    Repeat,
}

impl Dedupe {
    /// Channels remembered by default: 10,000, the protocol's number; about 100 bytes each.
    pub const CHANNELS_MAX: usize = 10_000;

    /// A client that has seen nothing. Above `channels_max` the channel touched longest ago is forgotten.
    pub fn new(channels_max: usize) -> Self {
        Self { channels_max, entries: HashMap::new(), oldest: BTreeMap::new(), touches: 0 }
    }

    /// Judges an event and remembers it. The first event of a channel is taken whatever its number.
    pub fn event(&mut self, epoch: &str, channel: &str, seq: u64) -> Fresh {
        let key = (epoch.to_owned(), channel.to_owned());
        let Some(entry) = self.entries.get_mut(&key) else {
            self.touch(key, seq);
            return Fresh::Yes;
        };
        if seq <= entry.last {
            return Fresh::Repeat;
        }
        let expected = entry.last + 1;
        let hole = seq > expected && !std::mem::take(&mut entry.excused);
        self.touch(key, seq);
        if hole { Fresh::AfterHole { expected } } else { Fresh::Yes }
    }

    /// Hears of a gap: raises what is expected, never lowers it. One for a prefix excuses the next hole of each
    /// of its channels; another epoch counts afresh by itself.
    pub fn gap(&mut self, gap: &Gap) {
        match gap.next_seq {
            Some(next) if !is_prefix(&gap.channel) => {
                let key = (gap.epoch.clone(), gap.channel.clone());
                let last = self.entries.get(&key).map_or(0, |entry| entry.last);
                self.touch(key, last.max(next.saturating_sub(1)));
            }
            _ => {
                let meant = |key: &Key| key.0 == gap.epoch && matches(&gap.channel, &key.1);
                self.entries.iter_mut().filter(|(key, _)| meant(key)).for_each(|(_, e)| e.excused = true);
            }
        }
    }

    fn touch(&mut self, key: Key, last: u64) {
        self.touches += 1;
        let touched = self.touches;
        let entry = self.entries.entry(key.clone()).or_insert(Entry { last, touched, excused: false });
        self.oldest.remove(&entry.touched);
        (entry.last, entry.touched) = (last, touched);
        self.oldest.insert(touched, key);
        while self.entries.len() > self.channels_max {
            let Some((_, oldest)) = self.oldest.pop_first() else { break };
            self.entries.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gap(channel: &str, epoch: &str, next_seq: Option<u64>) -> Gap {
        Gap {
            channel: channel.into(),
            reason: "trimmed".into(),
            epoch: epoch.into(),
            next_seq,
            lost: None,
            position: None,
            cursor: None,
        }
    }

    // Mutant: letting a gap lower the expectation -> fails.
    // Mutant: a prefix gap excusing every later hole -> fails.
    #[test]
    fn rule_five_clause_by_clause() {
        let mut rule = Dedupe::new(Dedupe::CHANNELS_MAX);
        assert_eq!(rule.event("e", "a:1", 7), Fresh::Yes);
        assert_eq!(rule.event("e", "a:1", 7), Fresh::Repeat);
        assert_eq!(rule.event("e", "a:1", 9), Fresh::AfterHole { expected: 8 });
        assert_eq!(rule.event("f", "a:1", 1), Fresh::Yes);
        rule.gap(&gap("a:1", "e", Some(5)));
        assert_eq!(rule.event("e", "a:1", 9), Fresh::Repeat);
        rule.gap(&gap("a:1", "e", Some(20)));
        assert_eq!(rule.event("e", "a:1", 19), Fresh::Repeat);
        assert_eq!(rule.event("e", "a:1", 20), Fresh::Yes);
        rule.gap(&gap("a:*", "e", None));
        assert_eq!(rule.event("e", "a:1", 30), Fresh::Yes);
        assert_eq!(rule.event("e", "a:1", 40), Fresh::AfterHole { expected: 31 });
    }

    // Mutant: dropping the channel heard first instead of the one touched longest ago -> fails.
    #[test]
    fn above_its_limit_it_forgets_the_channel_touched_longest_ago() {
        let mut rule = Dedupe::new(2);
        rule.event("e", "a", 1);
        rule.event("e", "b", 1);
        rule.event("e", "a", 2);
        rule.event("e", "c", 1);
        assert_eq!(rule.event("e", "a", 2), Fresh::Repeat);
        assert_eq!(rule.event("e", "b", 1), Fresh::Yes);
    }
}
