//! A log as the rules describe it.

use std::collections::BTreeMap;

use fastrand::Rng;
use sosik_lab::checker::{Event, Gap, Observed};

use super::{follows, matches};

/// One log, as rules 3, 4, 6, 7 and 9 describe it, without any cleverness.
pub(super) struct Log {
    pub(super) epoch: String,
    pub(super) base: u64,
    pub(super) head: u64,
    pub(super) events: Vec<Record>,
    removed: Vec<Record>,
    channels: BTreeMap<String, Channel>,
    forgotten_to: u64,
    /// The last `seq` of names that were forgotten.
    lives: BTreeMap<String, u64>,
}

#[derive(Clone)]
pub(super) struct Record {
    pub(super) channel: String,
    position: u64,
    prev: u64,
    seq: u64,
    body: Vec<u8>,
}

#[derive(Clone, Default)]
struct Channel {
    seq: u64,
    position: u64,
    trimmed_to: u64,
    trimmed_seq: u64,
    /// The namespace's `forgotten_to` when the channel began.
    began: u64,
}

pub(super) struct Item {
    pub(super) position: u64,
    pub(super) what: What,
}

#[derive(Clone)]
pub(super) enum What {
    Event { channel: String, seq: u64, body: Vec<u8> },
    Gap { pattern: String, reason: &'static str, next_seq: Option<u64>, lost: Option<u64> },
}

impl Log {
    pub(super) fn new(epoch: String) -> Self {
        Self {
            epoch,
            base: 0,
            head: 0,
            events: Vec::new(),
            removed: Vec::new(),
            channels: BTreeMap::new(),
            forgotten_to: 0,
            lives: BTreeMap::new(),
        }
    }

    pub(super) fn append(&mut self, name: &str, body: &[u8], stride: u64) -> (u64, u64) {
        self.head += stride;
        let position = self.head;
        let forgetful = name.starts_with("once");
        let began = if forgetful { self.forgotten_to } else { 0 };
        let first = if forgetful { position } else { 1 };
        let channel = self.channels.entry(name.to_owned());
        let channel = channel.or_insert_with(|| Channel {
            seq: first - 1,
            position: began,
            began,
            ..Channel::default()
        });
        let prev = channel.position;
        channel.seq += 1;
        channel.position = position;
        let seq = channel.seq;
        self.events.push(Record { channel: name.to_owned(), position, prev, seq, body: body.to_vec() });
        (seq, position)
    }

    /// Leaves the newest `keep`; the last `seq` that is gone, if any went.
    pub(super) fn trim(&mut self, name: &str, keep: usize) -> Option<u64> {
        let mine: Vec<usize> = (0..self.events.len()).filter(|&at| self.events[at].channel == name).collect();
        let last = *mine.get(mine.len().checked_sub(keep + 1)?)?;
        let (position, seq) = (self.events[last].position, self.events[last].seq);
        let channel = self.channels.get_mut(name)?;
        (channel.trimmed_to, channel.trimmed_seq) = (position, seq);
        self.remove(|event| event.channel == name && event.position <= position);
        Some(seq)
    }

    pub(super) fn forget(&mut self, name: &str) -> Option<u64> {
        let channel = self.channels.remove(name)?;
        self.forgotten_to = self.forgotten_to.max(channel.position);
        self.lives.insert(name.to_owned(), channel.seq);
        self.remove(|event| event.channel == name);
        Some(channel.seq)
    }

    pub(super) fn restore(&mut self, base: u64, epoch: String) {
        for log in [&mut self.events, &mut self.removed] {
            log.retain(|event| event.position <= base);
        }
        self.forgotten_to = self.forgotten_to.min(base);
        let mut channels = BTreeMap::new();
        for event in self.removed.iter().chain(&self.events) {
            let Some(before) = self.channels.get(&event.channel) else { continue };
            if event.position <= before.began {
                continue;
            }
            let channel: &mut Channel = channels.entry(event.channel.clone()).or_default();
            if event.position > channel.position {
                (channel.seq, channel.position, channel.began) = (event.seq, event.position, before.began);
            }
        }
        for event in &self.removed {
            if let Some(channel) = channels
                .get_mut(&event.channel)
                .filter(|_| event.position > channel_began(&self.channels, event))
            {
                channel.trimmed_to = channel.trimmed_to.max(event.position);
                channel.trimmed_seq = channel.trimmed_seq.max(event.seq);
            }
        }
        (self.channels, self.base, self.epoch) = (channels, base, epoch);
    }

    pub(super) fn last_seq(&self, name: &str) -> u64 {
        let lived = self.lives.get(name).copied().unwrap_or(0);
        self.channels.get(name).map_or(lived, |channel| channel.seq)
    }

    pub(super) fn trimmed_seq(&self, name: &str) -> u64 {
        self.channels.get(name).map_or(u64::MAX - 1, |channel| channel.trimmed_seq)
    }

    /// Position and `seq` below which `last=n` does not go.
    pub(super) fn floor(&self, name: &str, n: usize) -> (u64, u64) {
        let Some(channel) = self.channels.get(name) else { return (self.head, 0) };
        let mine: Vec<&Record> = self.events.iter().filter(|event| event.channel == name).collect();
        match mine.len().checked_sub(n) {
            Some(at) if n > 0 && at < mine.len() => (mine[at].prev, mine[at].seq - 1),
            _ => mine.first().map_or((channel.position, channel.seq), |first| (first.prev, first.seq - 1)),
        }
    }

    pub(super) fn page(
        &self,
        set: &[String],
        after: u64,
        floors: &BTreeMap<String, u64>,
        rng: &mut Rng,
    ) -> Vec<Item> {
        let floor = |name: &str| floors.get(name).copied().unwrap_or(0).max(after);
        let events: Vec<&Record> = self
            .events
            .iter()
            .filter(|event| follows(set, &event.channel) && event.position > floor(&event.channel))
            .collect();
        let mut gaps = Vec::new();
        for (name, channel) in self.channels.iter().filter(|(name, _)| follows(set, name)) {
            if name.starts_with("typing") {
                continue;
            }
            let first = events.iter().find(|event| event.channel == *name);
            let (position, next_seq) = match first {
                Some(event) => (event.prev, event.seq),
                None => (channel.trimmed_to, channel.seq + 1),
            };
            let reason = if position == channel.began { "forgotten" } else { "trimmed" };
            if position > floor(name) {
                let lost = self.lost(name, floor(name)).filter(|_| rng.bool());
                let what = What::Gap { pattern: name.clone(), reason, next_seq: Some(next_seq), lost };
                gaps.push(Item { position, what });
            }
        }
        // A name without a record is compared with the mark of its namespace, and so are the unknown names under
        // a prefix.
        for pattern in set.iter().filter(|pattern| pattern.starts_with("once")) {
            if !self.channels.contains_key(pattern.as_str()) && self.forgotten_to > after {
                let what =
                    What::Gap { pattern: pattern.clone(), reason: "forgotten", next_seq: None, lost: None };
                gaps.push(Item { position: self.forgotten_to, what });
            }
        }
        for prefix in set.iter().filter(|pattern| pattern.ends_with('*')) {
            let under =
                |item: &Item| matches!(&item.what, What::Gap { pattern, .. } if matches(prefix, pattern));
            if gaps.iter().filter(|item| under(item)).count() > 1 {
                let lowest = gaps.iter().filter(|item| under(item)).map(|item| item.position).min().unwrap();
                gaps.retain(|item| !under(item));
                let what =
                    What::Gap { pattern: prefix.clone(), reason: "trimmed", next_seq: None, lost: None };
                gaps.push(Item { position: lowest, what });
            }
        }
        let mut items: Vec<Item> = events
            .into_iter()
            .map(|event| Item {
                position: event.position,
                what: What::Event {
                    channel: event.channel.clone(),
                    seq: event.seq,
                    body: event.body.clone(),
                },
            })
            .chain(gaps)
            .collect();
        items.sort_by_key(|item| (item.position, matches!(item.what, What::Gap { .. })));
        items
    }

    /// How many events of a channel are gone after a position, where the log can know: a cursor that other
    /// channels moved past events that were gone already does not say how many of them the reader had.
    fn lost(&self, name: &str, after: u64) -> Option<u64> {
        let mut gone = self.removed.iter().filter(|event| event.channel == name && event.position > after);
        let first = gone.clone().map(|event| event.seq).min()?;
        let stands_there =
            |event: &Record| event.channel == name && event.position == after && event.seq + 1 == first;
        let known = (after == 0 && first == 1) || self.removed.iter().chain(&self.events).any(stands_there);
        known.then(|| gone.by_ref().count() as u64)
    }

    pub(super) fn epoch_gap(&self, pattern: &str) -> Item {
        let next_seq = (!pattern.ends_with('*')).then(|| {
            let first = self.events.iter().find(|e| e.channel == pattern && e.position > self.base);
            first.map_or_else(|| self.last_seq(pattern) + 1, |event| event.seq)
        });
        let next_seq = next_seq.filter(|_| !pattern.starts_with("once"));
        let what = What::Gap { pattern: pattern.to_owned(), reason: "epoch", next_seq, lost: None };
        Item { position: self.base, what }
    }

    fn remove(&mut self, gone: impl Fn(&Record) -> bool) {
        let (removed, kept) = std::mem::take(&mut self.events).into_iter().partition(gone);
        self.events = kept;
        self.removed.extend::<Vec<Record>>(removed);
    }
}

impl Item {
    pub(super) fn observe(&self, epoch: &str, cursor: Option<String>) -> Observed {
        match &self.what {
            What::Event { channel, seq, body } => Observed::Event(Event {
                channel: channel.clone(),
                epoch: epoch.to_owned(),
                seq: *seq,
                body: body.clone(),
                cursor,
            }),
            What::Gap { pattern, reason, next_seq, lost } => Observed::Gap(Gap {
                channel: pattern.clone(),
                reason: (*reason).to_owned(),
                epoch: epoch.to_owned(),
                next_seq: *next_seq,
                lost: *lost,
                position: Some(self.position),
                cursor,
            }),
        }
    }
}

fn channel_began(channels: &BTreeMap<String, Channel>, event: &Record) -> u64 {
    channels.get(&event.channel).map_or(u64::MAX, |channel| channel.began)
}
