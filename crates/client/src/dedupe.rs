//! What a reader has had: drops repeats, finds holes.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use sosik_wire::{EventFrame, GapFrame, GapReason};

/// The last `seq` of each (epoch, channel), of the [`CHANNELS_MAX`] channels heard of last.
#[derive(Debug)]
pub(crate) struct Dedupe {
    channels: HashMap<Arc<str>, Channel>,
    /// Channels by when they were heard of last.
    by_age: BTreeMap<u64, Arc<str>>,
    clock: u64,
    most: usize,
}

/// What to do with an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Deliver it.
    New,
    /// It was delivered before, or a gap told that it is gone.
    Repeat,
    /// Events from `expected` up to it are missing and nobody said why. Nothing was noted.
    Hole { expected: u64 },
}

#[derive(Debug, Default)]
struct Channel {
    age: u64,
    /// The present epoch and the one before it, in the order in which they were heard of.
    epochs: Vec<Known>,
}

#[derive(Debug)]
struct Known {
    epoch: Box<str>,
    /// `None` until an event or a gap says a number: then the first event is taken whatever its number.
    last: Option<u64>,
    /// A gap without a number was told: the next hole is what it spoke of.
    excused: bool,
    /// The gap that began this epoch was told.
    begun: bool,
}

impl Dedupe {
    /// Nothing had yet.
    pub(crate) fn new() -> Self {
        Self::with_limit(CHANNELS_MAX)
    }

    fn with_limit(most: usize) -> Self {
        Self { channels: HashMap::new(), by_age: BTreeMap::new(), clock: 0, most }
    }

    /// Judges an event, and notes it if it is new. Signals vanish without a mark, so their holes are none.
    pub(crate) fn event(&mut self, event: &EventFrame) -> Verdict {
        let known = self.known(&event.channel, &event.epoch);
        match known.last {
            Some(last) if event.seq <= last => return Verdict::Repeat,
            Some(last) if event.seq - last > 1 && !event.signal && !std::mem::take(&mut known.excused) => {
                return Verdict::Hole { expected: last + 1 };
            }
            _ => {}
        }
        known.last = Some(event.seq);
        Verdict::New
    }

    /// Notes an event in spite of the hole before it.
    pub(crate) fn accept(&mut self, event: &EventFrame) {
        let known = self.known(&event.channel, &event.epoch);
        known.last = known.last.max(Some(event.seq));
    }

    /// Notes a gap. Returns whether it says anything new.
    pub(crate) fn gap(&mut self, gap: &GapFrame) -> bool {
        if gap.reason == GapReason::Epoch {
            return !std::mem::replace(&mut self.known(&gap.channel, &gap.epoch).begun, true);
        }
        if let Some(prefix) = gap.channel.strip_suffix('*') {
            self.excuse(prefix, &gap.epoch);
            return true;
        }
        let known = self.known(&gap.channel, &gap.epoch);
        let Some(before_next) = gap.next_seq.map(|next| next.saturating_sub(1)) else {
            known.excused = true;
            return true;
        };
        let new = known.last.is_none_or(|last| last < before_next);
        known.last = known.last.max(Some(before_next));
        new
    }

    fn excuse(&mut self, prefix: &str, epoch: &str) {
        for (name, channel) in &mut self.channels {
            if name.starts_with(prefix) {
                channel
                    .epochs
                    .iter_mut()
                    .filter(|known| &*known.epoch == epoch)
                    .for_each(|k| k.excused = true);
            }
        }
    }

    /// The record of (epoch, channel), made if there is none, and now the youngest.
    fn known(&mut self, name: &str, epoch: &str) -> &mut Known {
        self.touch(name);
        let channel = self.channels.get_mut(name).expect("touch has put it there");
        if let Some(at) = channel.epochs.iter().position(|known| &*known.epoch == epoch) {
            return &mut channel.epochs[at];
        }
        if channel.epochs.len() == EPOCHS_MAX {
            channel.epochs.remove(0);
        }
        channel.epochs.push(Known { epoch: epoch.into(), last: None, excused: false, begun: false });
        channel.epochs.last_mut().expect("one was pushed")
    }

    fn touch(&mut self, name: &str) {
        self.clock += 1;
        let key = match self.channels.get(name) {
            Some(channel) => self.by_age.remove(&channel.age),
            None => None,
        };
        let key = key.unwrap_or_else(|| name.into());
        self.channels.entry(key.clone()).or_default().age = self.clock;
        self.by_age.insert(self.clock, key);
        if self.channels.len() > self.most
            && let Some((_, oldest)) = self.by_age.pop_first()
        {
            self.channels.remove(&oldest);
        }
    }
}

/// How many channels are remembered; about 150 bytes each.
const CHANNELS_MAX: usize = 10_000;
/// While transports change, one connection may still tell of the epoch before.
const EPOCHS_MAX: usize = 2;

#[cfg(test)]
mod tests;
