//! One life of a log: everything that ends with its epoch.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use hashbrown::HashMap;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Semaphore;

use crate::{
    channel::Channel,
    cursor::{Epoch, LogId, Part, Position},
    error::Error,
    event::Event,
    herald::WatchId,
    limits::RECORD_READS_MAX,
    name::ChannelName,
    newest::Newest,
    reads::Reads,
    record,
    removal::Removals,
    space::{Index, Namespace, Space},
    store::{Change, ChannelHead, Level, Opened, Store, Stored},
};

/// A log between two epochs. Readers hold on to it; when it is over they are sent back to open anew.
#[derive(Debug)]
pub(crate) struct Life {
    pub(crate) log: LogId,
    pub(crate) epoch: Epoch,
    pub(crate) base: Position,
    pub(crate) level: Level,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) reads: Reads,
    record_reads: Semaphore,
    pub(crate) newest: Newest,
    pub(crate) removals: Removals,
    spaces: HashMap<Box<str>, Arc<Space>>,
    channels: Mutex<HashMap<ChannelName, Arc<Channel>>>,
    watches: Arc<AtomicU64>,
    head: AtomicU64,
    last_time: AtomicU64,
    over: AtomicBool,
    unreadable: AtomicU64,
}

/// What a batch of changes asks for.
#[derive(Debug, Default)]
pub(crate) struct Applied {
    /// Everything followed that has changed.
    pub(crate) watches: Vec<WatchId>,
    /// Channels that may hold more than they should.
    pub(crate) over: Vec<Arc<Channel>>,
}

impl Life {
    pub(crate) fn new(
        log: LogId,
        store: Arc<dyn Store>,
        opened: Opened,
        namespaces: &[Namespace],
        watches: Arc<AtomicU64>,
    ) -> Self {
        let own = namespaces.iter().filter(|namespace| namespace.log == log);
        Self {
            log,
            epoch: opened.epoch,
            base: opened.base,
            level: opened.level,
            store,
            reads: Reads::default(),
            record_reads: Semaphore::new(RECORD_READS_MAX),
            newest: Newest::default(),
            removals: Removals::default(),
            spaces: own
                .map(|options| (options.name.clone(), Arc::new(Space::new(options.clone()))))
                .collect(),
            channels: Mutex::default(),
            watches,
            head: AtomicU64::new(opened.head.number()),
            last_time: AtomicU64::new(opened.last_time),
            over: AtomicBool::new(false),
            unreadable: AtomicU64::new(0),
        }
    }

    /// The committed head: everything at or below is visible in every channel.
    pub(crate) fn head(&self) -> Position {
        Position::new(self.head.load(Ordering::SeqCst))
    }

    /// Whether the log has begun another life.
    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    pub(crate) fn end(&self) {
        self.over.store(true, Ordering::SeqCst);
    }

    /// Everything that somebody follows: whoever does not see the end by a first look is in it.
    pub(crate) fn followed(&self) -> Vec<WatchId> {
        let channels = self.channels.lock();
        let followed = channels.values().filter(|channel| channel.followers.load(Ordering::SeqCst) > 0);
        let mut watches: Vec<_> = followed.map(|channel| channel.watch).collect();
        for space in self.spaces.values() {
            watches.extend(space.index().iter().flat_map(Index::all_watches));
        }
        watches
    }

    /// `max(now, last)`, remembered: the time of events never falls within a log.
    pub(crate) fn time(&self, now: u64) -> u64 {
        self.last_time.fetch_max(now, Ordering::AcqRel).max(now)
    }

    /// One more place that cannot be read, and that nobody is kept from going on behind.
    pub(crate) fn passed_over(&self) {
        self.unreadable.fetch_add(1, Ordering::Relaxed);
    }

    /// Records that could not be read so far.
    pub(crate) fn unreadable(&self) -> u64 {
        self.unreadable.load(Ordering::Relaxed)
    }

    pub(crate) fn space(&self, namespace: &str) -> Option<&Arc<Space>> {
        self.spaces.get(namespace)
    }

    pub(crate) fn watches(&self) -> &AtomicU64 {
        &self.watches
    }

    /// The channel with its record, read from the store on first use. The namespace must be one of this log.
    pub(crate) async fn channel(&self, name: &ChannelName) -> Result<Arc<Channel>, Error> {
        let channel = self.touch(&mut self.channels.lock(), name);
        let load = async || -> Result<(), Error> {
            // Never closed, so there is a permit.
            let _permit = self.record_reads.acquire().await;
            channel.load(self.store.channel(name).await?);
            Ok(())
        };
        channel.loaded.get_or_try_init(load).await?;
        Ok(channel)
    }

    /// Whether the channel's record is in memory, and has neither an event nor a mark above `part`.
    pub(crate) fn is_quiet(&self, name: &ChannelName, part: Part) -> bool {
        if part.epoch != self.epoch || part.position > self.head() || self.is_over() {
            return false;
        }
        let channels = self.channels.lock();
        // Only a namespace whose channels can be forgotten has a mark, which may not have been read yet.
        channels.get(name).is_some_and(|channel| {
            let known = channel.loaded.initialized() && channel.is_newer_than(Position::START);
            known && channel.is_quiet(part.position, Position::START)
        })
    }

    fn touch(
        &self,
        channels: &mut MutexGuard<'_, HashMap<ChannelName, Arc<Channel>>>,
        name: &ChannelName,
    ) -> Arc<Channel> {
        if let Some(channel) = channels.get(name) {
            return channel.clone();
        }
        let signal = self.spaces.get(name.namespace()).is_some_and(|space| space.options.signal);
        let channel = Channel::new(name.clone(), WatchId::next(&self.watches), signal, self.head());
        let channel = Arc::new(channel);
        channels.insert(name.clone(), channel.clone());
        channel
    }

    /// Makes sure that the index of `space`, which a follower has begun, holds what the store has. From the moment it
    /// was begun, [`Life::apply`] puts in whatever it is told.
    pub(crate) async fn load_index(&self, space: &Space) -> Result<(), Error> {
        let _loading = space.loading.lock().await;
        if space.index().as_ref().is_some_and(|index| index.loaded) {
            return Ok(());
        }
        let stored = self.store.namespace(&space.options.name).await?;
        space.raise_forgotten_to(stored.forgotten_to);
        let mut channels = self.channels.lock();
        let mut slot = space.index();
        let index = slot.get_or_insert_default();
        for (name, head) in stored.channels {
            let channel = self.touch(&mut channels, &name);
            channel.load(Some(head));
            let _ = channel.loaded.set(());
            if let Some(head) = channel.head() {
                index.place(&channel, head);
            }
        }
        index.loaded = true;
        Ok(())
    }

    /// Makes sure that the mark of forgotten channels of `space` holds what the store has.
    pub(crate) async fn load_mark(&self, space: &Space) -> Result<(), Error> {
        if !space.options.forgettable {
            return Ok(());
        }
        let load = async || -> Result<(), Error> {
            let stored = self.store.namespace(&space.options.name).await?;
            space.raise_forgotten_to(stored.forgotten_to);
            Ok(())
        };
        space.marked.get_or_try_init(load).await.copied()
    }

    /// Takes in what the store told, in order, and moves the head once at the end.
    ///
    /// The lock on the channels is held throughout, so that a channel first touched meanwhile knows exactly which
    /// events it will be told.
    pub(crate) fn apply(&self, changes: Vec<Change>, head: Position) -> Applied {
        let mut applied = Applied::default();
        let mut touched: Vec<Arc<Channel>> = Vec::new();
        let mut channels = self.channels.lock();
        for change in changes {
            if let Some(channel) = self.apply_one(&mut channels, change) {
                touched.push(channel);
            }
        }
        // SeqCst here and on `followers`: either we see the follower, or its first look sees this head.
        self.head.fetch_max(head.number(), Ordering::SeqCst);
        drop(channels);
        touched.sort_by_key(|channel| channel.watch);
        touched.dedup_by_key(|channel| channel.watch);
        for channel in touched {
            self.consequences(&channel, &mut applied);
        }
        applied.watches.sort();
        applied.watches.dedup();
        applied
    }

    fn apply_one(
        &self,
        channels: &mut MutexGuard<'_, HashMap<ChannelName, Arc<Channel>>>,
        change: Change,
    ) -> Option<Arc<Channel>> {
        match change {
            Change::Event(stored) => {
                let space = self.spaces.get(stored.channel.namespace())?;
                let mut slot = space.index();
                let channel = match (channels.get(&stored.channel), slot.as_mut()) {
                    (Some(channel), _) => channel.clone(),
                    (None, Some(index)) => self.touch_new(channels, &stored, index.loaded),
                    (None, None) => return None,
                };
                self.push(&channel, &stored);
                if let (Some(index), Some(head)) = (slot.as_mut(), channel.head()) {
                    index.place(&channel, head);
                }
                Some(channel)
            }
            Change::Trimmed { channel, to, first_seq } => {
                let channel = channels.get(&channel)?.clone();
                self.trimmed(&channel, to, first_seq);
                None
            }
            Change::Forgotten { channel, mark } => {
                let space = self.spaces.get(channel.namespace())?;
                space.one_forgotten(mark);
                let channel = channels.get(&channel)?.clone();
                space.forgotten(&channel, mark);
                Some(channel)
            }
        }
    }

    /// A channel that the index did not know. Once the index is complete, its first event tells its whole record.
    fn touch_new(
        &self,
        channels: &mut MutexGuard<'_, HashMap<ChannelName, Arc<Channel>>>,
        stored: &Stored,
        index_is_complete: bool,
    ) -> Arc<Channel> {
        let channel = self.touch(channels, &stored.channel);
        if index_is_complete {
            channel.load(None);
            let _ = channel.loaded.set(());
        }
        channel
    }

    fn push(&self, channel: &Channel, stored: &Stored) {
        match record::decode(self.log, self.epoch, stored) {
            Ok(event) => {
                self.last_time.fetch_max(event.time, Ordering::AcqRel);
                channel.push(Arc::new(event), stored.body.len());
            }
            Err(_) => {
                self.unreadable.fetch_add(1, Ordering::Relaxed);
                channel.push_unreadable(stored.seq, stored.position);
            }
        }
    }

    /// Raises a channel's mark, in its record and in the index.
    pub(crate) fn trimmed(&self, channel: &Arc<Channel>, to: Position, first_seq: u64) {
        channel.trimmed(to, first_seq);
        let Some(space) = self.spaces.get(channel.name.namespace()) else { return };
        if let (Some(index), Some(head)) = (space.index().as_mut(), channel.head()) {
            index.place(channel, head);
        }
        space.marked_more();
    }

    /// As [`Life::trimmed`], of a channel that may not be known here: then it has nothing to raise.
    pub(crate) fn trimmed_by_name(&self, channel: &ChannelName, to: Position, first_seq: u64) {
        let channel = self.channels.lock().get(channel).cloned();
        if let Some(channel) = channel {
            self.trimmed(&channel, to, first_seq);
        }
    }

    /// Whether somebody follows the channel by its name.
    pub(crate) fn is_followed(&self, channel: &ChannelName) -> bool {
        let channels = self.channels.lock();
        channels.get(channel).is_some_and(|channel| channel.followers.load(Ordering::SeqCst) > 0)
    }

    /// The options of the log's namespaces.
    pub(crate) fn spaces(&self) -> impl Iterator<Item = &Namespace> {
        self.spaces.values().map(|space| &space.options)
    }

    /// A channel is forgotten, with everything up to `mark`.
    pub(crate) fn forgotten(&self, channel: &ChannelName, mark: Position) {
        let channels = self.channels.lock();
        let Some(space) = self.spaces.get(channel.namespace()) else { return };
        let channel = channels.get(channel);
        let told = channel.and_then(|channel| channel.head()).map_or(mark, |head| head.position);
        space.one_forgotten(mark.max(told));
        if let Some(channel) = channel {
            space.forgotten(channel, mark.max(told));
        }
    }

    fn consequences(&self, channel: &Arc<Channel>, applied: &mut Applied) {
        if channel.followers.load(Ordering::SeqCst) > 0 {
            applied.watches.push(channel.watch);
        }
        let Some(space) = self.spaces.get(channel.name.namespace()) else { return };
        if let Some(index) = space.index().as_ref() {
            applied.watches.extend(index.watches(&channel.name));
        }
        if channel.is_over(&space.options) {
            applied.over.push(channel.clone());
        }
    }

    /// Gives memory back: signals whose time is over, and channels that were asked for, have no record and are held by
    /// nobody, so that asking for names costs nothing for long.
    pub(crate) fn tidy(&self, now: u64) {
        self.reads.tidy();
        self.newest.tidy();
        let mut channels = self.channels.lock();
        channels.values().filter(|channel| channel.signal).for_each(|channel| channel.expire(now));
        channels.retain(|_, channel| Arc::strong_count(channel) > 1 || channel.head().is_some());
    }

    /// Leaves out events that are trimmed by now.
    pub(crate) fn retain_kept(&self, events: &mut Vec<Arc<Event>>) {
        let channels = self.channels.lock();
        events.retain(|event| {
            let head = channels.get(&event.channel).and_then(|channel| channel.head());
            head.is_none_or(|head| event.position > head.trimmed_to)
        });
    }

    /// Channels known at the moment.
    pub(crate) fn known(&self) -> usize {
        self.channels.lock().len()
    }

    /// A stored event for a reader; an unreadable one is counted and answered with its head, so that it becomes a gap.
    pub(crate) fn read(&self, stored: &Stored) -> Result<Arc<Event>, ChannelHead> {
        record::decode(self.log, self.epoch, stored).map(Arc::new).map_err(|_| {
            self.unreadable.fetch_add(1, Ordering::Relaxed);
            ChannelHead {
                seq: stored.seq,
                position: stored.position,
                trimmed_to: stored.position,
                first_seq: stored.seq + 1,
                bytes: 0,
            }
        })
    }
}
