//! The `Store` trait: where a log lives, and what the core may rely on.
//!
//! One value is one shard; a log is one store. Everything here can be honoured by an embedded engine and by a
//! replicated one. The promises are written on the methods; one suite checks every engine.

mod memo;

use std::{collections::BTreeSet, future::Future, pin::Pin};

use bytes::Bytes;

pub use self::memo::{Keep, Memo, MemoKey, MemoKind, MemosHeld, Remembered};
use crate::{
    cursor::{Epoch, Position},
    figures::StoreFigures,
    name::{ChannelName, Prefix},
};

/// One boxed future per batch or page, never per event: this keeps the trait object-safe.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Where a log lives.
///
/// 1. Positions rise strictly along [`Store::follow`], with holes allowed; none is used twice in an epoch.
/// 2. `seq` of a channel is gapless and never reused within an epoch, also after everything of it was trimmed; `prev`
///    is the position of the event before, or 0 (for a first event placed by [`Place::First`]: the namespace's mark).
/// 3. What `append` acknowledged is seen by every later [`Store::channel`]; `follow` sees it after a while, before or
///    after the acknowledgement.
pub trait Store: Send + Sync + std::fmt::Debug + 'static {
    /// Reads what is there. Called once, before anything else.
    ///
    /// A store that finds less than it once vouched for answers with a new epoch.
    fn open(&self) -> Answer<'_, Result<Opened, StoreError>>;

    /// Appends all of `batch` or nothing.
    ///
    /// `Ok` means durable at [`Appended::level`]. A batch whose [`Batch::id`] was stored before is answered
    /// [`AppendError::Duplicate`] with its places, whatever its guards say. A guard that does not hold is
    /// [`AppendError::Conflict`]. Where what a guard stands for cannot be read, [`AppendError::Unreadable`] says of which
    /// channels: the other entries may come again in another batch. [`AppendError::Unknown`] is a real answer: stored or
    /// not, ask again with the same batch.
    fn append(&self, batch: Batch) -> Answer<'_, Result<Appended, AppendError>>;

    /// Everything above `after`, of all channels, in order, once.
    fn follow(&self, after: Position) -> Box<dyn Follow>;

    /// The channel's record, coherent: never older than an append that was acknowledged anywhere. `None` if it never
    /// existed or was forgotten.
    fn channel(&self, channel: &ChannelName) -> Answer<'_, Result<Option<ChannelHead>, StoreError>>;

    /// The records of all channels of a namespace, and the namespace's `forgotten_to`.
    fn namespace(&self, namespace: &str) -> Answer<'_, Result<NamespaceHead, StoreError>>;

    /// Kept events of one channel in `(after, up_to]`, oldest first, at most `limit`, at least one if there is one.
    ///
    /// Never claims what it did not prove: [`Page::complete_to`] is below `up_to` when there is more, or when more
    /// could not be excluded. [`Page::trimmed_to`] is read after the events.
    fn page(
        &self,
        channel: &ChannelName,
        after: Position,
        up_to: Position,
        limit: PageLimit,
    ) -> Answer<'_, Result<Page, StoreError>>;

    /// Kept events of one channel below `before`, newest first. Never moves a cursor.
    fn before(
        &self,
        channel: &ChannelName,
        before: Position,
        limit: PageLimit,
    ) -> Answer<'_, Result<Page, StoreError>>;

    /// Kept events of all channels of `scope` in `(after, up_to]`, by position. As [`Store::page`], but without
    /// `trimmed_to`, and it may end before it has found anything, so that it is bounded also where little is wanted:
    /// [`Page::complete_to`] is above `after` if there is anything to read. It carries no marks: what another node has
    /// removed must have been told by [`Store::follow`] before a range leaves it out.
    fn range(
        &self,
        scope: Scope,
        after: Position,
        up_to: Position,
        limit: PageLimit,
    ) -> Answer<'_, Result<Page, StoreError>>;

    /// Removes the channel's events at or below `to`, which is the position of one of its events. Raises the record's
    /// `trimmed_to` before it removes anything; the record stays, also when no event is left.
    fn trim(&self, channel: &ChannelName, to: Position) -> Answer<'_, Result<(), StoreError>>;

    /// Removes the channel with its record and raises the namespace's `forgotten_to` to at least the record's last
    /// position, first. Answers the mark.
    fn forget(&self, channel: &ChannelName) -> Answer<'_, Result<Position, StoreError>>;

    /// What is remembered under each of `keys`, in their order, coherent as [`Store::channel`].
    fn recall(&self, keys: Vec<MemoKey>) -> Answer<'_, Result<Vec<Option<Remembered>>, StoreError>>;

    /// How much of one kind is remembered in a namespace. Asked after [`Store::recall`] has answered `None`, it tells
    /// whether that may be because the memo was let go of.
    fn memos_held(&self, kind: MemoKind, namespace: &str) -> MemosHeld;

    /// The last position given so far, if this store is alone: a cursor above it cannot be honest. `None` when another
    /// node may be ahead.
    fn given(&self) -> Option<Position>;

    /// The store's own figures: cheap, never waits for the disk.
    fn figures(&self) -> StoreFigures {
        StoreFigures::default()
    }
}

/// What follows a position in a store, as it comes.
pub trait Follow: Send {
    /// Waits for the next news. Cancelling the future loses nothing.
    fn next(&mut self) -> Answer<'_, Followed>;
}

/// One answer of [`Follow::next`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Followed {
    /// Changes in order; afterwards everything up to `head` has been told.
    News {
        /// What happened.
        changes: Vec<Change>,
        /// The new committed head, never falling.
        head: Position,
    },
    /// Nothing can be heard at the moment: the head is old, not wrong.
    Stalled,
    /// The log began a new life; follow again after opening anew.
    Epoch,
    /// The place followed from is no longer held; open anew.
    Behind,
}

/// One change of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// An event was appended.
    Event(Stored),
    /// A channel's events at or below `to` are gone; the first one kept has number `first_seq`.
    Trimmed {
        /// The channel.
        channel: ChannelName,
        /// Its new `trimmed_to`.
        to: Position,
        /// Its new `first_seq`.
        first_seq: u64,
    },
    /// A channel has no record any more.
    Forgotten {
        /// The channel.
        channel: ChannelName,
        /// The namespace's new `forgotten_to`.
        mark: Position,
    },
}

/// What [`Store::open`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opened {
    /// The life of the log.
    pub epoch: Epoch,
    /// The head at which the epoch began; 0 for a fresh log.
    pub base: Position,
    /// The committed head.
    pub head: Position,
    /// What an acknowledgement of this store means.
    pub level: Level,
    /// Time of the last event, milliseconds since 1970, so that `time` never falls; 0 for a fresh log.
    pub last_time: u64,
}

/// What an acknowledgement means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// In the memory of one process.
    Memory,
    /// On the disk of one machine: the sync that covers it began after its write and has ended.
    Synced,
    /// On the disks of a majority.
    Replicated,
}

/// Entries that are stored together or not at all, at consecutive places of the order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Random; the same when the batch is sent again.
    pub id: u128,
    /// At most [`crate::limits::APPEND_EVENTS_MAX`].
    pub entries: Vec<Entry>,
    /// Stored with the entries or not at all, at most one for each key. A duplicate writes none.
    pub memos: Vec<Memo>,
}

impl Batch {
    /// Entries that nothing is remembered with.
    pub fn new(id: u128, entries: Vec<Entry>) -> Self {
        Self { id, entries, memos: Vec::new() }
    }
}

/// One event to append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its channel.
    pub channel: ChannelName,
    /// Where the core wants it in the channel, and the guard that this is still right.
    pub place: Place,
    /// The stored record, see [`crate::record`].
    pub body: Bytes,
    /// `false` for a signal: it gets its place and is told by `follow`, no page returns it.
    pub kept: bool,
}

/// Where an entry belongs in its channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Directly behind the stored record, which must say exactly `seq - 1` and `prev` (0 and 0 without a record).
    After {
        /// The number of this event.
        seq: u64,
        /// The position of the event before.
        prev: Position,
    },
    /// The first event of a channel that may be forgotten: its `seq` is its position. No record may exist, and the
    /// namespace's `forgotten_to` must be exactly `prev`.
    First {
        /// The mark that stands in for the event before.
        prev: Position,
    },
    /// Directly behind an earlier entry of the same batch and channel, given by its index.
    Behind(u32),
}

/// The answer to an append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// One per entry, in order.
    pub placed: Vec<Placed>,
    /// What the acknowledgement means.
    pub level: Level,
}

/// The place that an entry was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// In the log.
    pub position: Position,
    /// In the channel.
    pub seq: u64,
}

/// Why an append was not answered with a fresh success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AppendError {
    /// A guard did not hold; nothing was stored. Read the channels again.
    Conflict,
    /// What the store has of these channels of the batch cannot be read; nothing was stored. At least one.
    Unreadable(BTreeSet<ChannelName>),
    /// This batch was stored before, at these places.
    Duplicate(Appended),
    /// Stored or not: send the same batch again.
    Unknown,
    /// Not now; nothing was stored.
    Unavailable,
    /// No room; nothing was stored.
    Full,
    /// The store refuses writes for good, see [`StoreError::Failed`].
    Failed,
}

/// Why a store could not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Not now; ask again.
    #[error("the store does not answer at the moment")]
    Unavailable,
    /// The store is broken until it is opened anew, with what an operator should know.
    #[error("the store has failed: {0}")]
    Failed(String),
    /// The system refused to read or write, with what it said. What is stored may be whole.
    #[error("the system refuses: {0}")]
    System(String),
}

/// An event as a store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its place in the log.
    pub position: Position,
    /// Its channel.
    pub channel: ChannelName,
    /// Its number in the channel.
    pub seq: u64,
    /// The position of the channel's event before.
    pub prev: Position,
    /// The record.
    pub body: Bytes,
    /// Whether pages return it; `false` for signals.
    pub kept: bool,
}

/// A channel's record. It outlives the channel's events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ChannelHead {
    /// Number of the last event.
    pub seq: u64,
    /// Position of the last event.
    pub position: Position,
    /// Everything at or below is gone; 0 if nothing was trimmed.
    pub trimmed_to: Position,
    /// Number of the first event still kept, or of the next one if none is.
    pub first_seq: u64,
    /// Bytes of the records of the events still kept.
    pub bytes: u64,
}

impl ChannelHead {
    /// How many events are still kept.
    pub fn events(&self) -> u64 {
        (self.seq + 1).saturating_sub(self.first_seq)
    }
}

/// Whose events [`Store::range`] reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Those of the whole log.
    All,
    /// Those of one namespace.
    Namespace(Box<str>),
    /// Those of the channels under one prefix.
    Prefix(Prefix),
}

impl Scope {
    /// Whether the events of `channel` are in it.
    pub fn has(&self, channel: &ChannelName) -> bool {
        match self {
            Self::All => true,
            Self::Namespace(namespace) => channel.namespace() == &**namespace,
            Self::Prefix(prefix) => prefix.matches(channel),
        }
    }
}

/// What [`Store::namespace`] answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamespaceHead {
    /// All records, in any order.
    pub channels: Vec<(ChannelName, ChannelHead)>,
    /// The greatest last position of a channel that was forgotten; 0 if none was.
    pub forgotten_to: Position,
}

/// The most that a page may hold. A page holds at least one event if there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageLimit {
    /// Events.
    pub events: usize,
    /// Bytes of records.
    pub bytes: usize,
}

/// Part of a log or of a channel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// What was found, in the order that the call promises.
    pub events: Vec<Stored>,
    /// Everything up to here has been read (`page`, `range`), or down to here, exclusive (`before`).
    pub complete_to: Position,
    /// The channel's mark, read after the events.
    pub trimmed_to: Position,
    /// The channel's first number still kept, read with the mark.
    pub first_seq: u64,
}
