//! The place from which the next frame of a connection is judged.

use std::collections::BTreeMap;

use super::history::{Begin, Event, Gap, NamespaceKind};
use super::notes::{Key, Notes};
use super::publishes::Publishes;
use super::set::{is_prefix, matches};
use super::violation::Kind;

/// What one connection has delivered, and through the cursor it was opened with, all before it: the place from
/// which its next frame is judged.
#[derive(Clone, Debug)]
pub(super) struct Chain {
    begin: Begin,
    /// The observation at which it, or what it was resumed from, was opened without a cursor.
    born: usize,
    resumed: bool,
    entries: BTreeMap<Key, Entry>,
    epochs: BTreeMap<String, String>,
    afresh: Vec<(String, String)>,
    places: BTreeMap<String, u64>,
    excuses: BTreeMap<(String, String), u64>,
    excuse_count: u64,
}

/// A channel within an epoch.
#[derive(Clone, Debug, Default)]
struct Entry {
    /// The last number delivered, skipped or told gone; `None`: any may come next.
    last: Option<u64>,
    /// What lies at or below was skipped by the way the reader began.
    floor: u64,
    /// The first number that came.
    first: u64,
    /// Nothing has come yet but the floor.
    untouched: bool,
    /// The last word was a gap, so `last + 1` is what it named as next.
    after_gap: bool,
    /// Excuses up to this one are used up.
    settled: u64,
    gone: Vec<(u64, u64)>,
    missing: Vec<Missing>,
}

#[derive(Clone, Debug)]
struct Missing {
    from: u64,
    to: u64,
    named_by_gap: bool,
}

impl Chain {
    pub(super) fn new(begin: &Begin, born: usize) -> Self {
        let mut this = Self {
            begin: begin.clone(),
            born,
            resumed: false,
            entries: BTreeMap::new(),
            epochs: BTreeMap::new(),
            afresh: Vec::new(),
            places: BTreeMap::new(),
            excuses: BTreeMap::new(),
            excuse_count: 0,
        };
        if let Begin::At(places) | Begin::Last(places) = begin {
            for place in places {
                this.epochs.insert(place.channel.clone(), place.epoch.clone());
                let entry =
                    Entry { last: Some(place.seq), floor: place.seq, untouched: true, ..Entry::default() };
                this.entries.insert((place.epoch.clone(), place.channel.clone()), entry);
            }
        }
        this
    }

    /// The place that a connection opened with the cursor handed out just now will begin from.
    pub(super) fn resume(&self) -> Self {
        Self { resumed: true, ..self.clone() }
    }

    /// Whether it may be given this epoch of a channel, when another connection of the reader had had `other`.
    pub(super) fn may_enter(&self, key: &Key, other: &str, seen_at: usize) -> bool {
        let told = self.afresh.iter().any(|(epoch, pattern)| *epoch == key.0 && matches(pattern, &key.1));
        other == key.0 || told || seen_at < self.born || self.epochs.contains_key(&key.1)
    }

    pub(super) fn event(&mut self, event: &Event, publishes: &Publishes<'_>, notes: &mut Notes) {
        let key = (event.epoch.clone(), event.channel.clone());
        let kind = publishes.kind(&event.channel);
        self.enter_epoch(&event.channel, &event.epoch, kind, notes);
        let excuse = self.excuse(&key);
        let floors_hold = !(self.resumed && matches!(self.begin, Begin::Last(_)));
        let entry = self.entry(&key);
        match entry.last {
            Some(last) if event.seq <= last && entry.untouched && !floors_hold => {}
            Some(last) if event.seq <= last => {
                let (kind, what) = entry.late(event.seq);
                notes.report(kind, &event.channel, format!("seq {} after {last}: {what}", event.seq));
                return;
            }
            Some(last) if event.seq == last + 1 => {}
            last => {
                let (from, to) = (last.unwrap_or(0) + 1, event.seq.saturating_sub(1));
                let gone_to = if excuse > entry.settled { publishes.trimmed_to(&key).min(to) } else { 0 };
                entry.tell_gone(&key, from, gone_to, publishes, notes);
                if last.is_some() {
                    entry.leave_out(&key, from.max(gone_to + 1), to, kind, publishes);
                }
            }
        }
        if entry.untouched || entry.first == 0 {
            entry.first = event.seq;
        }
        entry.last = Some(event.seq);
        (entry.untouched, entry.after_gap, entry.settled) = (false, false, excuse);
        if let Some(position) = publishes.position(&key, event.seq) {
            self.pass(&event.epoch, &event.channel, position, false, notes);
        }
    }

    pub(super) fn gap(&mut self, gap: &Gap, publishes: &Publishes<'_>, notes: &mut Notes) {
        if let Some(position) = gap.position {
            self.pass(&gap.epoch, &gap.channel, position, true, notes);
            let key = (gap.epoch.clone(), gap.channel.clone());
            let next = gap.next_seq.and_then(|next| publishes.position(&key, next));
            if next.is_some_and(|next| next <= position) {
                let what = format!("it stands at {position}, not before its next event");
                notes.report(Kind::GapMisplaced, &gap.channel, what);
            }
        }
        let kind = publishes.kind(&gap.channel);
        if kind == NamespaceKind::Signal {
            notes.report(Kind::GapCoversNothing, &gap.channel, "signals have no gaps");
            return;
        }
        if gap.reason == "epoch" && self.new_epoch(gap, publishes, notes) {
            return;
        }
        match gap.next_seq {
            Some(next) if !is_prefix(&gap.channel) => self.named_gap(gap, next, kind, publishes, notes),
            _ => self.wide_gap(gap, kind, publishes, notes),
        }
    }

    /// Gaps for a prefix whose channels have not gone on since: nothing more comes, so they stand for the rest.
    pub(super) fn cover_tails(&self, publishes: &Publishes<'_>, acked: &[Key], notes: &mut Notes) {
        for key in acked {
            let entry = self.entries.get(key);
            if self.excuse(key) > entry.map_or(0, |entry| entry.settled) {
                let last = entry.map_or(Some(0), |entry| entry.last).unwrap_or(0);
                notes.cover(key, last + 1, publishes.trimmed_to(key));
            }
        }
    }

    /// Tells what was left out and never came.
    pub(super) fn close(&self, notes: &mut Notes) {
        for (key, entry) in &self.entries {
            for missing in &entry.missing {
                if !notes.hole(key, missing.from) {
                    continue;
                }
                let kind = if missing.named_by_gap { Kind::GapNextSeqWrong } else { Kind::Hole };
                let what = format!("seq {} to {} of epoch {} never came", missing.from, missing.to, key.0);
                notes.report(kind, &key.1, what);
            }
        }
    }

    fn named_gap(
        &mut self,
        gap: &Gap,
        next: u64,
        kind: NamespaceKind,
        publishes: &Publishes<'_>,
        notes: &mut Notes,
    ) {
        let key = (gap.epoch.clone(), gap.channel.clone());
        self.enter_epoch(&gap.channel, &gap.epoch, kind, notes);
        let excuse = self.excuse_count;
        let numbered = kind == NamespaceKind::Log;
        let exact = !(self.resumed && matches!(self.begin, Begin::Last(_)));
        let entry = self.entry(&key);
        let mut report = |kind, what: String| notes.report(kind, &gap.channel, what);
        if let Some(last) = entry.last.filter(|_| exact || !entry.untouched) {
            if next <= last {
                report(Kind::GapCoversDelivered, format!("next_seq {next}, but {last} was passed"));
                return;
            }
            // The gap of a new epoch names what is there by now, and may run ahead of the gap of what was trimmed
            // since, which stands at its own place and counts from the epoch's base.
            let counted = numbered && !entry.after_gap;
            if counted && next == last + 1 {
                report(Kind::GapCoversNothing, format!("next_seq {next} right after {last}"));
            }
            if counted && gap.lost.is_some_and(|lost| lost != next - last - 1) {
                report(Kind::GapLostWrong, format!("lost {:?} between {last} and {next}", gap.lost));
            }
        }
        if numbered && next > publishes.last_possible(&gap.channel) + 1 {
            report(Kind::GapNextSeqWrong, format!("next_seq {next} is beyond all that was published"));
        }
        let kept = publishes.trimmed_to(&key).saturating_add(1);
        let over_kept = match kind {
            NamespaceKind::Log => next > kept,
            _ => !publishes.acked_between(&key, kept, next.saturating_sub(1)).is_empty(),
        };
        if over_kept {
            report(Kind::GapOverKept, format!("next_seq {next}, but {kept} was kept"));
        }
        entry.tell_gone(&key, entry.last.unwrap_or(0) + 1, next.saturating_sub(1), publishes, notes);
        let before = entry.last.filter(|_| exact || !entry.untouched);
        entry.last = Some(before.unwrap_or(0).max(next.saturating_sub(1)));
        (entry.untouched, entry.after_gap, entry.settled) = (false, true, excuse);
    }

    fn wide_gap(&mut self, gap: &Gap, kind: NamespaceKind, publishes: &Publishes<'_>, notes: &mut Notes) {
        let idle = publishes.trimmed_under(&gap.epoch, &gap.channel).is_some_and(|trimmed| {
            !trimmed
                .iter()
                .any(|(key, seq)| self.entries.get(*key).and_then(|e| e.last).is_none_or(|last| last < *seq))
        });
        if idle && kind == NamespaceKind::Log {
            notes.report(
                Kind::GapCoversNothing,
                &gap.channel,
                "all that was trimmed under it had been passed",
            );
        }
        self.excuse_count += 1;
        self.excuses.insert((gap.epoch.clone(), gap.channel.clone()), self.excuse_count);
    }

    /// Whether the gap opened another epoch for its channels, which then count afresh.
    fn new_epoch(&mut self, gap: &Gap, publishes: &Publishes<'_>, notes: &mut Notes) -> bool {
        let known: Vec<Key> =
            self.entries.keys().filter(|key| matches(&gap.channel, &key.1)).cloned().collect();
        if known.iter().any(|key| key.0 == gap.epoch) {
            return false;
        }
        for key in publishes.ended_before(&gap.epoch, &gap.channel) {
            let last = self.entries.get(&key).and_then(|entry| entry.last).unwrap_or(0);
            notes.cover(&key, last + 1, u64::MAX);
        }
        for key in known {
            let last = self.entries.get(&key).and_then(|entry| entry.last).unwrap_or(0);
            notes.cover(&key, last + 1, u64::MAX);
            self.epochs.insert(key.1, gap.epoch.clone());
        }
        self.afresh.push((gap.epoch.clone(), gap.channel.clone()));
        if let Some(next) = gap.next_seq.filter(|_| !is_prefix(&gap.channel)) {
            let last = Some(next.saturating_sub(1));
            let mut entry = Entry { last, after_gap: true, settled: self.excuse_count, ..Entry::default() };
            let key = (gap.epoch.clone(), gap.channel.clone());
            entry.tell_gone(&key, 1, next.saturating_sub(1), publishes, notes);
            self.entries.insert(key, entry);
            self.epochs.insert(gap.channel.clone(), gap.epoch.clone());
        }
        true
    }

    fn enter_epoch(&mut self, channel: &str, epoch: &str, kind: NamespaceKind, notes: &mut Notes) {
        let before = self.epochs.insert(channel.to_owned(), epoch.to_owned());
        if let Some(before) = before.filter(|before| before != epoch && kind != NamespaceKind::Signal) {
            notes.report(Kind::SilentEpoch, channel, format!("from epoch {before} to {epoch} without a gap"));
            self.afresh.push((epoch.to_owned(), channel.to_owned()));
        }
    }

    fn pass(&mut self, epoch: &str, channel: &str, position: u64, may_stand: bool, notes: &mut Notes) {
        let place = self.places.entry(epoch.to_owned()).or_insert(0);
        if position < *place || (position == *place && !may_stand) {
            let what = format!("position {position} of epoch {epoch} after {place}");
            notes.report(Kind::OutOfOrderAcross, channel, what);
        }
        *place = position.max(*place);
    }

    fn entry(&mut self, key: &Key) -> &mut Entry {
        let counts_afresh =
            self.afresh.iter().any(|(epoch, pattern)| *epoch == key.0 && matches(pattern, &key.1));
        let last = if counts_afresh || self.begin == Begin::Anywhere { None } else { Some(0) };
        self.entries.entry(key.clone()).or_insert_with(|| Entry { last, untouched: true, ..Entry::default() })
    }

    fn excuse(&self, key: &Key) -> u64 {
        let meant =
            self.excuses.iter().filter(|((epoch, pattern), _)| *epoch == key.0 && matches(pattern, &key.1));
        meant.map(|(_, number)| *number).max().unwrap_or(0)
    }
}

impl Entry {
    /// Believed of the wire as it was told, but as an excuse only where it can be true.
    fn tell_gone(&mut self, key: &Key, from: u64, to: u64, publishes: &Publishes<'_>, notes: &mut Notes) {
        if from <= to {
            self.gone.push((from, to));
        }
        notes.cover(key, from, to.min(publishes.trimmed_to(key)));
    }

    fn leave_out(&mut self, key: &Key, from: u64, to: u64, kind: NamespaceKind, publishes: &Publishes<'_>) {
        let named_by_gap = self.after_gap;
        match kind {
            NamespaceKind::Log if from <= to => self.missing.push(Missing { from, to, named_by_gap }),
            NamespaceKind::Log | NamespaceKind::Signal => {}
            NamespaceKind::Forgetful => {
                let missed = publishes.acked_between(key, from, to).into_iter();
                self.missing.extend(missed.map(|seq| Missing { from: seq, to: seq, named_by_gap }));
            }
        }
    }

    /// What it means that this number comes although a later one was passed.
    fn late(&mut self, seq: u64) -> (Kind, &'static str) {
        if let Some(at) = self.missing.iter().position(|missing| (missing.from..=missing.to).contains(&seq)) {
            let Missing { from, to, named_by_gap } = self.missing.swap_remove(at);
            let left = [(from, seq - 1), (seq + 1, to)].into_iter().filter(|(from, to)| from <= to);
            self.missing.extend(left.map(|(from, to)| Missing { from, to, named_by_gap }));
            return (Kind::OutOfOrder, "it had been left out");
        }
        if self.gone.iter().any(|(from, to)| (*from..=*to).contains(&seq)) {
            return (Kind::GapCoversDelivered, "a gap had told it gone");
        }
        if seq <= self.floor || seq == 0 {
            return (Kind::BeforeStart, "the reader began above it");
        }
        if seq < self.first {
            return (Kind::OutOfOrder, "it is below the first that came");
        }
        (Kind::RepeatedOnWire, "it had been sent")
    }
}
