//! One namespace within one log: its options, its mark of forgotten channels, and its channels in order while somebody
//! follows a prefix.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::OnceCell;

use crate::{
    channel::Channel,
    cursor::{LogId, Position},
    herald::WatchId,
    limits::{AGE_MAX_MS, BYTES_MAX, EVENTS_MAX, IDEMPOTENCY_KEYS_MAX, PRODUCERS_MAX},
    name::{ChannelName, Prefix},
    store::ChannelHead,
};

/// How the channels of one namespace behave.
#[derive(Debug, Clone)]
pub struct Namespace {
    /// The part of channel names before the first `:`.
    pub name: Box<str>,
    /// Where its events live.
    pub log: LogId,
    /// Whether its events are signals: kept for seconds, gone without a mark. Needs the memory log.
    pub signal: bool,
    /// Events kept per channel: at least this many, at most a tenth more. Default 10,000.
    pub events_max: u64,
    /// Idempotency keys remembered, for 24 hours at most. Default 1,000,000; 0 remembers none for longer than a moment.
    pub idempotency_keys_max: u64,
    /// Pairs of producer and channel remembered, for 24 hours at most since they last wrote. Default 100,000.
    pub producers_max: u64,
    /// Bytes of records kept per channel: at least this many if there are, at most a tenth more. Default 64 MiB.
    pub bytes_max: u64,
    /// How long an event is kept, milliseconds; what is older goes, slowly. Default 7 days; `None` for ever.
    pub age_max_ms: Option<u64>,
    /// How long after its last event a channel that nobody reads is forgotten with its record, milliseconds; `None` for
    /// never, the default. Needs `forgettable`.
    pub forget_after_ms: Option<u64>,
    /// Whether its channels can be forgotten with their records; a channel's first `seq` is then its position.
    pub forgettable: bool,
}

impl Namespace {
    /// A namespace of ordinary channels in the memory log.
    pub fn new(name: impl Into<Box<str>>) -> Self {
        Self {
            name: name.into(),
            log: LogId::Memory,
            signal: false,
            events_max: EVENTS_MAX,
            idempotency_keys_max: IDEMPOTENCY_KEYS_MAX,
            producers_max: PRODUCERS_MAX,
            bytes_max: BYTES_MAX,
            age_max_ms: Some(AGE_MAX_MS),
            forget_after_ms: None,
            forgettable: false,
        }
    }
}

/// A namespace at work.
#[derive(Debug)]
pub(crate) struct Space {
    pub(crate) options: Namespace,
    forgotten_to: AtomicU64,
    /// How many channels were forgotten since the log was opened.
    forgets: AtomicU64,
    marks: AtomicU64,
    index: Mutex<Option<Index>>,
    /// Filled once `forgotten_to` has been read from the store.
    pub(crate) marked: OnceCell<()>,
    /// Held while the index is read from the store.
    pub(crate) loading: tokio::sync::Mutex<()>,
}

/// The channels of a namespace by where something of them last happened. Kept while a prefix is followed.
#[derive(Debug, Default)]
pub(crate) struct Index {
    by_last: BTreeMap<Position, Arc<Channel>>,
    by_trimmed: BTreeMap<Position, Arc<Channel>>,
    last_of: HashMap<ChannelName, (Position, Position)>,
    prefixes: Vec<(Prefix, WatchId, usize)>,
    /// Whether the store's records are in it.
    pub(crate) loaded: bool,
}

impl Space {
    pub(crate) fn new(options: Namespace) -> Self {
        Self {
            options,
            forgotten_to: AtomicU64::new(0),
            forgets: AtomicU64::new(0),
            marks: AtomicU64::new(0),
            index: Mutex::new(None),
            marked: OnceCell::new(),
            loading: tokio::sync::Mutex::new(()),
        }
    }

    /// The greatest last position of a channel that was forgotten.
    pub(crate) fn forgotten_to(&self) -> Position {
        Position::new(self.forgotten_to.load(Ordering::Acquire))
    }

    pub(crate) fn raise_forgotten_to(&self, mark: Position) {
        self.forgotten_to.fetch_max(mark.number(), Ordering::AcqRel);
        self.marked_more();
    }

    /// Raised after anything of the namespace was marked as gone.
    pub(crate) fn marks(&self) -> u64 {
        self.marks.load(Ordering::Acquire)
    }

    /// Something was marked as gone: what was answered before is not what would be answered now.
    pub(crate) fn marked_more(&self) {
        self.marks.fetch_add(1, Ordering::AcqRel);
    }

    /// Raised whenever a channel is forgotten, also when the mark stays where it is.
    pub(crate) fn forgets(&self) -> u64 {
        self.forgets.load(Ordering::Acquire)
    }

    /// One more channel is forgotten, with everything up to `mark`.
    pub(crate) fn one_forgotten(&self, mark: Position) {
        self.raise_forgotten_to(mark);
        self.forgets.fetch_add(1, Ordering::AcqRel);
    }

    /// A channel is gone with its record, unless it has begun anew above `mark`.
    pub(crate) fn forgotten(&self, channel: &Channel, mark: Position) {
        let mut index = self.index.lock();
        if channel.forgotten(mark)
            && let Some(index) = index.as_mut()
        {
            index.remove(&channel.name);
        }
        drop(index);
        self.marked_more();
    }

    pub(crate) fn index(&self) -> MutexGuard<'_, Option<Index>> {
        self.index.lock()
    }

    /// One more reader follows `prefix`; the index must be there.
    pub(crate) fn follow(&self, prefix: &Prefix, watches: &AtomicU64) -> WatchId {
        let mut index = self.index.lock();
        let index = index.get_or_insert_default();
        match index.prefixes.iter_mut().find(|(own, ..)| own == prefix) {
            Some((_, watch, readers)) => {
                *readers += 1;
                *watch
            }
            None => {
                let watch = WatchId::next(watches);
                index.prefixes.push((prefix.clone(), watch, 1));
                watch
            }
        }
    }

    /// One reader fewer follows `prefix`; the last one takes the index with it.
    pub(crate) fn unfollow(&self, prefix: &Prefix) {
        let mut slot = self.index.lock();
        let Some(index) = slot.as_mut() else { return };
        if let Some((_, _, readers)) = index.prefixes.iter_mut().find(|(own, ..)| own == prefix) {
            *readers -= 1;
        }
        index.prefixes.retain(|&(.., readers)| readers > 0);
        if index.prefixes.is_empty() && index.loaded {
            *slot = None;
        }
    }
}

impl Index {
    /// Puts `channel` where `head` says.
    pub(crate) fn place(&mut self, channel: &Arc<Channel>, head: ChannelHead) {
        let (last, trimmed) = self.last_of.get(&channel.name).copied().unwrap_or_default();
        if head.position > last {
            self.by_last.remove(&last);
            self.by_last.insert(head.position, channel.clone());
        }
        if head.trimmed_to > trimmed {
            self.by_trimmed.remove(&trimmed);
            self.by_trimmed.insert(head.trimmed_to, channel.clone());
        }
        self.last_of.insert(channel.name.clone(), (last.max(head.position), trimmed.max(head.trimmed_to)));
    }

    /// Takes a forgotten channel out.
    pub(crate) fn remove(&mut self, name: &ChannelName) {
        if let Some((last, trimmed)) = self.last_of.remove(name) {
            self.by_last.remove(&last);
            self.by_trimmed.remove(&trimmed);
        }
    }

    /// Watches of all prefixes.
    pub(crate) fn all_watches(&self) -> impl Iterator<Item = WatchId> + '_ {
        self.prefixes.iter().map(|&(_, watch, _)| watch)
    }

    /// Watches of the prefixes that `name` lies under.
    pub(crate) fn watches<'a>(&'a self, name: &'a ChannelName) -> impl Iterator<Item = WatchId> + 'a {
        self.prefixes.iter().filter(|(prefix, ..)| prefix.matches(name)).map(|&(_, watch, _)| watch)
    }

    /// Channels under `prefix` whose last event lies above `after`, the one longest silent first.
    pub(crate) fn changed<'a>(
        &'a self,
        prefix: &'a Prefix,
        after: Position,
    ) -> impl DoubleEndedIterator<Item = (Position, &'a Arc<Channel>)> {
        let above = (Bound::Excluded(after), Bound::Unbounded);
        let all = self.by_last.range(above).map(|(&position, channel)| (position, channel));
        all.filter(move |(_, channel)| prefix.matches(&channel.name))
    }

    /// Channels under `prefix` whose `trimmed_to` lies in `(after, up_to]`, lowest mark first.
    pub(crate) fn trimmed<'a>(
        &'a self,
        prefix: &'a Prefix,
        after: Position,
        up_to: Position,
    ) -> impl DoubleEndedIterator<Item = (Position, &'a Arc<Channel>)> {
        let between = (Bound::Excluded(after), Bound::Included(up_to.max(after)));
        let none = after >= up_to;
        let all = self.by_trimmed.range(between).map(|(&position, channel)| (position, channel));
        all.filter(move |(_, channel)| !none && prefix.matches(&channel.name))
    }
}
