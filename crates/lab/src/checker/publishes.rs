//! The publishes of a run, found by channel, number and data.

use std::collections::{BTreeMap, HashMap};

use super::history::{Acked, Event, History, NamespaceKind};
use super::notes::{Key, Notes};
use super::set::matches;
use super::violation::Kind;

/// What was published, and what of the unanswered has shown itself.
#[derive(Debug)]
pub(super) struct Publishes<'a> {
    history: &'a History,
    acked: BTreeMap<Key, BTreeMap<u64, Stored<'a>>>,
    epochs: BTreeMap<&'a str, Vec<&'a str>>,
    bodies: HashMap<(&'a str, &'a [u8]), &'a Acked>,
    uncertain: HashMap<(&'a str, &'a [u8]), u64>,
    uncertain_in: BTreeMap<&'a str, u64>,
    explained: HashMap<(String, u64), BTreeMap<String, Vec<u8>>>,
}

#[derive(Clone, Copy, Debug)]
struct Stored<'a> {
    body: &'a [u8],
    position: Option<u64>,
}

impl<'a> Publishes<'a> {
    pub(super) fn new(history: &'a History, notes: &mut Notes) -> Self {
        let mut this = Self {
            history,
            acked: BTreeMap::new(),
            epochs: BTreeMap::new(),
            bodies: HashMap::new(),
            uncertain: HashMap::new(),
            uncertain_in: BTreeMap::new(),
            explained: HashMap::new(),
        };
        for ack in &history.acked {
            let stored = Stored { body: &ack.body, position: ack.position };
            let key = (ack.epoch.clone(), ack.channel.clone());
            if let Some(before) = this.acked.entry(key).or_default().insert(ack.seq, stored)
                && (before.body != stored.body || before.position != stored.position)
            {
                let what = format!("seq {} of epoch {} was acknowledged for two events", ack.seq, ack.epoch);
                notes.report(Kind::AckConflict, &ack.channel, what);
            }
            // In another epoch it may be there anew: the one it was stored in may have ended without it.
            if let Some(before) = this.bodies.insert((&ack.channel, &ack.body), ack)
                && before.epoch == ack.epoch
                && before.seq != ack.seq
            {
                let what =
                    format!("acknowledged as seq {} and {} of epoch {}", before.seq, ack.seq, ack.epoch);
                notes.report(Kind::StoredTwice, &ack.channel, what);
            }
            let epochs = this.epochs.entry(&ack.channel).or_default();
            if !epochs.contains(&ack.epoch.as_str()) {
                epochs.push(&ack.epoch);
            }
        }
        for publish in &history.uncertain {
            *this.uncertain.entry((&publish.channel, &publish.body)).or_default() += 1;
            *this.uncertain_in.entry(&publish.channel).or_default() += 1;
        }
        this.check_positions(notes);
        this
    }

    pub(super) fn kind(&self, channel: &str) -> NamespaceKind {
        let namespace = channel.split(':').next().unwrap_or(channel);
        self.history.namespaces.get(namespace).copied().unwrap_or_default()
    }

    pub(super) fn position(&self, key: &Key, seq: u64) -> Option<u64> {
        self.acked.get(key)?.get(&seq)?.position
    }

    /// Acknowledged numbers of a channel within a range, both ends included.
    pub(super) fn acked_between(&self, key: &Key, from: u64, to: u64) -> Vec<u64> {
        match self.acked.get(key) {
            Some(stored) if from <= to => stored.range(from..=to).map(|(seq, _)| *seq).collect(),
            _ => Vec::new(),
        }
    }

    /// The greatest number that a channel can have reached, in any epoch.
    pub(super) fn last_possible(&self, channel: &str) -> u64 {
        let epochs = self.epochs.get(channel).map_or(&[][..], Vec::as_slice);
        let last = epochs.iter().filter_map(|epoch| {
            let stored = self.acked.get(&((*epoch).to_owned(), channel.to_owned()))?;
            stored.last_key_value().map(|(seq, _)| *seq)
        });
        last.max().unwrap_or(0) + self.uncertain_in.get(channel).copied().unwrap_or(0)
    }

    /// The greatest number that can be gone: `u64::MAX` when the run does not know.
    pub(super) fn trimmed_to(&self, key: &Key) -> u64 {
        match &self.history.trimmed_to {
            Some(trimmed) => trimmed.get(key).copied().unwrap_or(0),
            None => u64::MAX,
        }
    }

    /// The channels under a pattern of which something was trimmed; `None` when the run does not know.
    pub(super) fn trimmed_under(&self, epoch: &str, pattern: &str) -> Option<Vec<(&Key, u64)>> {
        let trimmed = self.history.trimmed_to.as_ref()?;
        let meant = trimmed.iter().filter(|(key, _)| key.0 == epoch && matches(pattern, &key.1));
        Some(meant.map(|(key, seq)| (key, *seq)).collect())
    }

    /// What was acknowledged under a pattern in epochs that had ended when this one began: a gap of reason
    /// `epoch` tells all of it gone, also where the reader had seen nothing of it yet.
    pub(super) fn ended_before(&self, epoch: &str, pattern: &str) -> Vec<Key> {
        let mut keys = Vec::new();
        for (channel, epochs) in self.epochs.iter().filter(|(channel, _)| matches(pattern, channel)) {
            let before = epochs.iter().take_while(|other| **other != epoch);
            let ended = before.filter(|other| self.history.ended_epochs.contains(**other));
            keys.extend(ended.map(|other| ((*other).to_owned(), (*channel).to_owned())));
        }
        keys
    }

    /// Whether this is what was published under this name and number.
    pub(super) fn judge(&mut self, event: &'a Event, notes: &mut Notes) {
        let what = |text: &str| format!("seq {} of epoch {}: {text}", event.seq, event.epoch);
        let key = (event.epoch.clone(), event.channel.clone());
        let known = self.acked.get(&key).and_then(|stored| stored.get(&event.seq)).map(|stored| stored.body);
        let explained = self.explained.entry((event.channel.clone(), event.seq)).or_default();
        if let Some(body) = known.or_else(|| explained.get(&event.epoch).map(Vec::as_slice)) {
            if body != event.body {
                notes.report(Kind::WrongBody, &event.channel, what("other bytes than were published"));
            }
            return;
        }
        // A new epoch may carry the log of an earlier one on: the same number with the same bytes.
        let carried = explained.values().any(|body| *body == event.body)
            || self.epochs.get(event.channel.as_str()).is_some_and(|epochs| {
                epochs.iter().any(|epoch| {
                    let key = ((*epoch).to_owned(), event.channel.clone());
                    let stored = self.acked.get(&key).and_then(|stored| stored.get(&event.seq));
                    stored.is_some_and(|stored| stored.body == event.body)
                })
            });
        explained.insert(event.epoch.clone(), event.body.clone());
        if carried {
            return;
        }
        let publish = (event.channel.as_str(), event.body.as_slice());
        match (self.uncertain.get_mut(&publish), self.bodies.get(&publish)) {
            (Some(left), _) if *left > 0 => *left -= 1,
            (_, Some(ack)) => {
                let text = format!("its body was acknowledged as {}", ack.seq);
                notes.report(Kind::StoredTwice, &event.channel, what(&text));
            }
            (Some(_), None) => {
                notes.report(
                    Kind::StoredTwice,
                    &event.channel,
                    what("its body came under another number before"),
                );
            }
            (None, None) => notes.report(Kind::Invented, &event.channel, what("nobody published this")),
        }
    }

    fn check_positions(&self, notes: &mut Notes) {
        let mut used = HashMap::new();
        for ((epoch, channel), stored) in &self.acked {
            let mut below = None;
            for (seq, position) in stored.iter().filter_map(|(seq, stored)| Some((seq, stored.position?))) {
                if let Some((other, other_seq)) = used.insert((epoch, position), (channel, seq)) {
                    let what =
                        format!("seq {seq} has position {position}, as has seq {other_seq} of {other:?}");
                    notes.report(Kind::AckPosition, channel, what);
                }
                if below.is_some_and(|below| below > position) {
                    let what = format!("seq {seq} has position {position}, below the one before it");
                    notes.report(Kind::AckPosition, channel, what);
                }
                below = Some(position);
            }
        }
    }
}
