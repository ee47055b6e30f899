//! What lies below the tails: pages from the store, kept in the reader's place until they are delivered.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use tokio::sync::Semaphore;

use crate::{
    cursor::Position,
    error::Error,
    event::Event,
    half::{CHANNELS_PER_LOOK_MAX, Half, Mark},
    herald::WatchId,
    limits::{PAGE_BYTES_MAX, PAGE_EVENTS_MAX},
    member::{Kind, Member},
    name::ChannelName,
    reads::Found,
    store::PageLimit,
};

/// One merged page: everything of the covered members in `(place when it was read, complete_to]`.
#[derive(Debug, Default)]
pub(crate) struct Fetched {
    pub(crate) complete_to: Position,
    events: Vec<Arc<Event>>,
    covered: Vec<WatchId>,
    /// As the store said after the range was read.
    pub(crate) marks: Vec<Mark>,
}

impl Fetched {
    pub(crate) fn covers(&self, watch: WatchId) -> bool {
        self.covered.contains(&watch)
    }

    pub(crate) fn between(&self, after: Position, up_to: Position) -> impl Iterator<Item = Arc<Event>> + '_ {
        let from = self.events.partition_point(|event| event.position <= after);
        self.events[from..].iter().take_while(move |event| event.position <= up_to).cloned()
    }
}

impl Half {
    /// Whether something that the reader wants is not in memory and has not been fetched.
    pub(crate) fn is_behind(&self) -> bool {
        self.fetched.is_none() && self.members.iter().any(|member| member.is_behind(self.place))
    }

    /// Reads one page for every member that is behind its tail, and merges them. Reads of the store wait for `permits`.
    pub(crate) async fn fetch(&mut self, permits: &Semaphore) -> Result<(), Error> {
        let mut fetched = Fetched { complete_to: self.life.head(), ..Fetched::default() };
        let behind: Vec<&Member> =
            self.members.iter().filter(|member| member.is_behind(self.place)).collect();
        let share = PageLimit {
            events: (PAGE_EVENTS_MAX / behind.len().max(1)).max(SHARE_EVENTS_MIN),
            bytes: (PAGE_BYTES_MAX / behind.len().max(1)).max(SHARE_BYTES_MIN),
        };
        let mut found: Vec<Found> = Vec::new();
        for member in behind {
            let start = self.place.max(member.floor);
            let passage = self.life.reads.passage(&self.life, permits, member, start, share).await?;
            // What is being removed may be missing already; its mark is not known before the store has answered.
            let takes = |channel: &ChannelName, to| to > start && member.pattern.matches(channel);
            self.life.removals.settled(takes).await;
            let (events, complete_to) = passage.above(start, share);
            fetched.complete_to = fetched.complete_to.min(complete_to);
            fetched.covered.push(member.watch());
            if let (Kind::Channel(channel), Some((trimmed_to, first_seq))) = (&member.kind, passage.trimmed) {
                fetched.marks.push(Mark::trimmed(&channel.name, trimmed_to, first_seq));
            }
            let wanted = |event: &&Found| event.position() > member.start_of(event.channel(), self.place);
            let from = found.len();
            found.extend(events.iter().filter(wanted).cloned());
            fetched.marks.extend(self.marks_before(member, &found[from..]));
        }
        found.sort_unstable_by_key(Found::position);
        found.dedup_by_key(|event| event.position());
        fetched.take(found);
        self.fetched = Some(Box::new(fetched));
        Ok(())
    }

    /// What is gone below the first event of each channel, whichever page will hold that event.
    fn marks_before(&self, member: &Member, events: &[Found]) -> Vec<Mark> {
        let mut seen = HashSet::new();
        let firsts = events.iter().filter(|event| seen.insert(event.channel()));
        let gone = firsts.filter(|first| first.prev() > member.start_of(first.channel(), self.place));
        gone.map(|first| Mark::before(member, first.channel(), first.seq(), first.position(), first.prev()))
            .collect()
    }
}

impl Fetched {
    /// Takes the events up to the first hole, and none at or above the place where its gap stands: the next page tells
    /// it. A record that cannot be read ends the page too, as a mark if its channel has no event before it, else one
    /// event earlier.
    fn take(&mut self, found: Vec<Found>) {
        let mut last_of: HashMap<ChannelName, Position> = HashMap::new();
        let mut last = None;
        for found in found.into_iter().take_while(|found| found.position() <= self.complete_to) {
            let (position, prev) = (found.position(), found.prev());
            let before = last_of.insert(found.channel().clone(), position);
            let linked = before.is_none_or(|before| before == prev);
            match (found, before, last) {
                (Found::Event(event), ..) if linked => self.events.push(event),
                (Found::Unreadable { channel, seq, .. }, None, _) => {
                    self.complete_to = position;
                    self.marks.push(Mark::trimmed(&channel, position, seq + 1));
                    return;
                }
                (Found::Event(_), Some(before), _) => {
                    self.events.retain(|event| event.position < prev);
                    self.complete_to = self.events.last().map_or(before, |last| last.position);
                    return;
                }
                (_, _, last) => {
                    self.complete_to = last.unwrap_or(self.complete_to);
                    return;
                }
            }
            last = Some(position);
        }
    }
}

impl Member {
    /// Whether something that the member wants above `place` is not in memory.
    fn is_behind(&self, place: Position) -> bool {
        if self.is_signal() {
            return false;
        }
        match &self.kind {
            Kind::Channel(channel) => channel.is_below(self.start_of(&channel.name, place)),
            Kind::Prefix { prefix, .. } => {
                let index = self.space.index();
                let Some(index) = index.as_ref() else { return true };
                let mut changed = index.changed(prefix, place.max(self.floor));
                let mut first = changed.by_ref().take(CHANNELS_PER_LOOK_MAX);
                first.any(|(_, channel)| channel.is_below(self.start_of(&channel.name, place)))
                    || changed.next().is_some()
            }
        }
    }
}

/// Events that each member reads at least, however many read with it, so that many do not read one event each time.
const SHARE_EVENTS_MIN: usize = 4;
/// Bytes that each member reads at least, with one event in any case.
const SHARE_BYTES_MIN: usize = 4 * 1024;
