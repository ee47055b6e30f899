//! The judgement of one reader, over all of its connections.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::chain::Chain;
use super::dedupe::{Dedupe, Fresh};
use super::history::{Acked, Begin, Event, History, NamespaceKind, Observed, Reader};
use super::notes::{Key, Notes};
use super::publishes::Publishes;
use super::set::follows;
use super::violation::Kind;

/// Judges one reader: each of its connections, then all of them together.
pub(super) fn check<'a>(
    history: &'a History,
    reader: &'a Reader,
    publishes: &mut Publishes<'a>,
    notes: &mut Notes,
) {
    let mut walk = Walk::new(history, reader);
    for (at, seen) in reader.seen.iter().enumerate() {
        notes.at(Some(at));
        walk.at = at;
        walk.observe(seen.connection, &seen.item, publishes, notes);
    }
    notes.at(None);
    for chain in walk.open.values() {
        chain.close(notes);
    }
    let newest = walk.newest.and_then(|connection| walk.open.get(&connection));
    if let Some(last) = newest.or(walk.last.as_ref()) {
        let acked: Vec<Key> = owed(history, reader).map(key_of).collect::<HashSet<_>>().into_iter().collect();
        last.cover_tails(publishes, &acked, notes);
    }
    walk.check_lost(publishes, notes);
}

struct Walk<'a> {
    at: usize,
    history: &'a History,
    reader: &'a Reader,
    /// Cursors that a connection will be opened with: only of these the place is kept.
    asked: HashSet<&'a str>,
    handed: HashMap<&'a str, Chain>,
    open: BTreeMap<u64, Chain>,
    newest: Option<u64>,
    /// Where the newest connection ended.
    last: Option<Chain>,
    rule: Dedupe,
    passed: HashSet<(Key, u64)>,
    seen: HashMap<(&'a str, u64), Vec<&'a Event>>,
    bounds: HashMap<Key, (u64, u64)>,
    places: HashMap<&'a str, u64>,
    /// The epoch last seen of each channel, and where.
    epochs: HashMap<&'a str, (&'a str, usize)>,
}

impl<'a> Walk<'a> {
    fn new(history: &'a History, reader: &'a Reader) -> Self {
        let asked = reader.seen.iter().filter_map(|seen| match &seen.item {
            Observed::Opened { after } => after.as_deref(),
            _ => None,
        });
        let remembered = match history.dedupe_channels_max {
            0 => Dedupe::CHANNELS_MAX,
            limit => limit,
        };
        Self {
            at: 0,
            history,
            reader,
            asked: asked.collect(),
            handed: HashMap::new(),
            open: BTreeMap::new(),
            newest: None,
            last: None,
            rule: Dedupe::new(remembered),
            passed: HashSet::new(),
            seen: HashMap::new(),
            bounds: HashMap::new(),
            places: HashMap::new(),
            epochs: HashMap::new(),
        }
    }

    fn observe(
        &mut self,
        connection: u64,
        item: &'a Observed,
        publishes: &mut Publishes<'a>,
        notes: &mut Notes,
    ) {
        if let Observed::Opened { after } = item {
            notes.counts.connections += 1;
            let chain = self.opened(after.as_deref(), notes);
            self.newest = Some(connection);
            if let Some(before) = self.open.insert(connection, chain) {
                notes.report(Kind::NotOpen, "", format!("connection {connection} opened twice"));
                before.close(notes);
            }
            return;
        }
        let Some(chain) = self.open.get_mut(&connection) else {
            notes.report(Kind::NotOpen, "", format!("connection {connection} is not open"));
            return;
        };
        let cursor = match item {
            Observed::Event(event) => {
                notes.counts.events += 1;
                publishes.judge(event, notes);
                if follows(&self.reader.set, &event.channel) {
                    let key = (event.epoch.clone(), event.channel.clone());
                    if let Some((epoch, at)) = self.epochs.get(event.channel.as_str())
                        && publishes.kind(&event.channel) != NamespaceKind::Signal
                        && !chain.may_enter(&key, epoch, *at)
                    {
                        let what = format!("from epoch {epoch} to {} without a gap", event.epoch);
                        notes.report(Kind::SilentEpoch, &event.channel, what);
                    }
                    self.epochs.insert(&event.channel, (&event.epoch, self.at));
                    chain.event(event, publishes, notes);
                } else {
                    notes.report(Kind::NotFollowed, &event.channel, "an event outside the set");
                }
                event.cursor.as_deref()
            }
            Observed::Gap(gap) => {
                notes.counts.gaps += 1;
                if follows(&self.reader.set, &gap.channel) {
                    chain.gap(gap, publishes, notes);
                } else {
                    notes.report(Kind::NotFollowed, &gap.channel, "a gap outside the set");
                }
                self.rule.gap(gap);
                gap.cursor.as_deref()
            }
            Observed::Cursor { cursor, .. } => Some(cursor.as_str()),
            Observed::Opened { .. } | Observed::Other { .. } | Observed::Closed => None,
        };
        // Of items at one position only the last carries that position and those before it the cursor before
        // (rule 4): the first time a text is handed out tells what it stands for.
        if let Some(cursor) = cursor.filter(|cursor| self.asked.contains(cursor)) {
            self.handed.entry(cursor).or_insert_with(|| chain.resume());
        }
        match item {
            Observed::Event(event) => self.remember(event, publishes, notes),
            Observed::Closed => {
                if let Some(chain) = self.open.remove(&connection) {
                    chain.close(notes);
                    if self.newest == Some(connection) {
                        self.last = Some(chain);
                    }
                }
            }
            _ => {}
        }
    }

    fn opened(&mut self, after: Option<&'a str>, notes: &mut Notes) -> Chain {
        let first = self.newest.is_none();
        match after {
            None | Some("now") => Chain::new(&self.reader.begin, self.at),
            Some("start") => Chain::new(&Begin::Start, self.at),
            Some(cursor) => match self.handed.get(cursor) {
                Some(chain) => chain.clone(),
                None if first => {
                    let chain = Chain::new(&self.reader.begin, self.at);
                    self.handed.insert(cursor, chain.clone());
                    chain
                }
                None => {
                    notes.report(Kind::ForeignCursor, "", format!("{cursor:?} was never handed out"));
                    Chain::new(&Begin::Anywhere, self.at)
                }
            },
        }
    }

    fn remember(&mut self, event: &'a Event, publishes: &Publishes<'_>, notes: &mut Notes) {
        let key = (event.epoch.clone(), event.channel.clone());
        if self.rule.event(&event.epoch, &event.channel, event.seq) == Fresh::Repeat {
            notes.counts.dropped += 1;
        } else if !self.passed.insert((key.clone(), event.seq)) {
            let what = format!("seq {} of epoch {} passed the client's rule twice", event.seq, event.epoch);
            notes.report(Kind::Repeated, &event.channel, what);
        }
        if let Some(position) = publishes.position(&key, event.seq) {
            let place = self.places.entry(&event.epoch).or_default();
            *place = position.max(*place);
        }
        let bounds = self.bounds.entry(key).or_insert((event.seq, event.seq));
        *bounds = (bounds.0.min(event.seq), bounds.1.max(event.seq));
        self.seen.entry((&event.channel, event.seq)).or_default().push(event);
    }

    fn check_lost(&self, publishes: &Publishes<'_>, notes: &mut Notes) {
        for ack in owed(self.history, self.reader) {
            let key = key_of(ack);
            if !self.is_owed(ack, &key, publishes) {
                continue;
            }
            let copies = self.seen.get(&(ack.channel.as_str(), ack.seq)).map_or(&[][..], Vec::as_slice);
            if copies.iter().any(|event| event.epoch == ack.epoch || event.body == ack.body) {
                notes.counts.delivered += 1;
            } else if notes.covers(&key, ack.seq) {
                notes.counts.told_gone += 1;
            } else {
                let what = format!("seq {} of epoch {} was acknowledged and never came", ack.seq, ack.epoch);
                notes.report(Kind::Lost, &ack.channel, what);
            }
        }
    }

    fn is_owed(&self, ack: &Acked, key: &Key, publishes: &Publishes<'_>) -> bool {
        if publishes.kind(&ack.channel) == NamespaceKind::Signal {
            return false;
        }
        let bounds = self.bounds.get(key);
        let began_above = match &self.reader.begin {
            Begin::Start => false,
            Begin::At(places) | Begin::Last(places) => places.iter().any(|place| {
                place.channel == ack.channel && place.epoch == ack.epoch && ack.seq <= place.seq
            }),
            Begin::Anywhere => bounds.is_none_or(|(first, _)| ack.seq < *first),
        };
        // The gap for trimmed events may stand above them, where this reader had not come yet.
        let kept = ack.seq > publishes.trimmed_to(key);
        let place = self.places.get(ack.epoch.as_str()).filter(|_| kept);
        let passed = bounds.is_some_and(|(_, last)| ack.seq <= *last)
            || ack.position.zip(place).is_some_and(|(position, place)| position <= *place);
        let stayed = self.reader.drained && !self.history.ended_epochs.contains(&ack.epoch);
        !began_above && (passed || stayed)
    }
}

fn owed<'a>(history: &'a History, reader: &'a Reader) -> impl Iterator<Item = &'a Acked> {
    history.acked.iter().filter(|ack| follows(&reader.set, &ack.channel))
}

fn key_of(ack: &Acked) -> Key {
    (ack.epoch.clone(), ack.channel.clone())
}
