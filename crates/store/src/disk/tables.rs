//! The tables of a log in the engine below, and reading them as they were at one moment.

use std::{
    ops::Bound,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use bytes::Bytes;
use fjall::{
    AbstractTree, Database, Guard, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch, PersistMode, Readable,
    Snapshot,
};
use sosik_core::{
    cursor::Position,
    name::ChannelName,
    store::{MemoKind, StoreError, Stored},
};

use super::{
    commits::{COMMIT, COMMITS_HELD_MAX, Commits, TABLES},
    engine_error::unreadable,
    journal,
    layout::{TAIL, event_key, mark_key, order_key, position_of, record_key},
    value::{EventValue, OrderValue, Record, Tail, Value},
    write_error::WriteError,
};

/// The six tables. All are written by one batch per commit.
pub(super) struct Tables {
    path: PathBuf,
    database: Database,
    pub(super) commits: Commits,
    pub(super) events: Keyspace,
    pub(super) order: Keyspace,
    pub(super) channels: Keyspace,
    pub(super) meta: Keyspace,
    producers: Keyspace,
    keys: Keyspace,
}

impl Tables {
    /// Opens or creates them in `directory`, and replays what the journal holds.
    pub(super) fn open(directory: &Path) -> Result<Self, fjall::Error> {
        Self::open_holding(directory, COMMITS_HELD_MAX)
    }

    /// As [`Tables::open`], with the numbers of so many commits.
    pub(super) fn open_holding(directory: &Path, commits: u64) -> Result<Self, fjall::Error> {
        let database = Database::builder(directory)
            .worker_threads(WORKER_THREADS)
            .cache_size(CACHE_BYTES)
            .max_cached_files(Some(FILES_OPEN_MAX))
            .max_journaling_size(JOURNAL_BYTES_MAX)
            .manual_journal_persist(true)
            .open()?;
        let table = |name| {
            database.keyspace(name, || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES_MAX))
        };
        let (events, order) = (table("events")?, table("order")?);
        let (channels, meta) = (table("channels")?, table("meta")?);
        let (producers, keys) = (table("producers")?, table("keys")?);
        let all = named([&events, &order, &channels, &meta, &producers, &keys]);
        let commits = Commits::read(all, commits)?;
        let path = directory.into();
        Ok(Self { path, events, order, channels, meta, producers, keys, commits, database })
    }

    /// Where memos of a kind lie.
    pub(super) fn memos(&self, kind: MemoKind) -> &Keyspace {
        match kind {
            MemoKind::Producer => &self.producers,
            MemoKind::Key => &self.keys,
        }
    }

    /// The tables and their names.
    pub(super) fn all(&self) -> [(&'static str, &Keyspace); TABLES] {
        named([&self.events, &self.order, &self.channels, &self.meta, &self.producers, &self.keys])
    }

    /// An error if the engine below takes no writes any more.
    pub(super) fn alive(&self) -> Result<(), fjall::Error> {
        self.database.persist(PersistMode::Buffer)
    }

    pub(super) fn batch(&self) -> OwnedWriteBatch {
        self.database.batch()
    }

    /// Waits until what was written lately is out of memory so far that the engine will not make the next commit wait:
    /// in there it would wait for ever, if the thread that does that work has ended by a failure.
    pub(super) fn settle(&self) -> Result<(), WriteError> {
        while self.all().into_iter().any(|(_, table)| is_behind(table)) {
            // Asks whether the engine still works: all is written already.
            self.database.persist(PersistMode::Buffer).map_err(|_| WriteError::Refused)?;
            thread::sleep(SETTLING_LOOKS_EACH);
        }
        Ok(())
    }

    /// Writes `batch`, with the end of the log that it makes, and syncs it. The engine below shows it to every snapshot
    /// taken from then on.
    pub(super) fn commit(&self, mut batch: OwnedWriteBatch, tail: Tail) -> Result<(), WriteError> {
        self.commits.stamp(self, &mut batch, tail.commits).map_err(|_| WriteError::Refused)?;
        let end = tail.seal(TAIL);
        batch.insert(&self.meta, TAIL, &*end);
        let done = batch.durability(Some(PersistMode::SyncData)).commit();
        // Told apart now: when the engine goes, it tries to write the rest.
        done.map_err(|error| WriteError::new(error, || journal::ends_with(&self.path, &end)))?;
        self.commits.written(self, tail.commits);
        Ok(())
    }

    /// Syncs what was written without.
    pub(super) fn sync(&self) -> Result<(), WriteError> {
        self.database.persist(PersistMode::SyncAll).map_err(|error| WriteError::new(error, || Ok(true)))
    }

    /// Writes `batch` without a sync, into tables that nobody relies on yet.
    pub(super) fn commit_unsynced(&self, batch: OwnedWriteBatch) -> Result<(), WriteError> {
        let done = batch.durability(Some(PersistMode::Buffer)).commit();
        done.map_err(|error| WriteError::new(error, || Ok(false)))
    }

    /// This moment, to look at the tables as they are now.
    pub(super) fn moment(&self) -> Snapshot {
        self.database.snapshot()
    }

    /// The tables as they are now, synced or not: for the writer.
    pub(super) fn view(&self) -> View<'_> {
        self.view_at(self.moment())
    }

    /// The tables as they were at a moment.
    pub(super) fn view_at(&self, moment: Snapshot) -> View<'_> {
        View { tables: self, snapshot: moment }
    }
}

/// The tables as they were at one moment.
pub(super) struct View<'a> {
    pub(super) tables: &'a Tables,
    snapshot: Snapshot,
}

impl View<'_> {
    /// The record of `channel`; one that is damaged is made anew from its events, if these prove it.
    pub(super) fn record(&self, channel: &ChannelName) -> Result<Option<Record>, StoreError> {
        let stored = self.stored_record(channel);
        stored.or_else(|error| self.proven(channel).map(Some).ok_or_else(|| repairable(error)))
    }

    /// The record of `channel` as it is stored.
    pub(super) fn stored_record(&self, channel: &ChannelName) -> Result<Option<Record>, StoreError> {
        self.value(&self.tables.channels, &record_key(channel), || format!("the record of {channel}"))
    }

    /// The namespace's `forgotten_to`.
    pub(super) fn mark(&self, namespace: &str) -> Result<Position, StoreError> {
        let what = || format!("the mark of namespace {namespace}");
        Ok(self.value(&self.tables.channels, &mark_key(namespace), what)?.unwrap_or_default())
    }

    pub(super) fn value<V: Value>(
        &self,
        table: &Keyspace,
        key: &[u8],
        what: impl Fn() -> String,
    ) -> Result<Option<V>, StoreError> {
        let found = self.bytes(table, key, &what)?;
        found.map(|value| V::unseal(key, &value).map_err(|_| damaged(what()))).transpose()
    }

    pub(super) fn bytes(
        &self,
        table: &Keyspace,
        key: &[u8],
        what: impl Fn() -> String,
    ) -> Result<Option<fjall::Slice>, StoreError> {
        self.snapshot.get(table, key).map_err(|error| unreadable(what(), error))
    }

    /// The rows of `table` between two keys, in order and from both ends.
    pub(super) fn rows(
        &self,
        table: &Keyspace,
        from: Bound<Vec<u8>>,
        to: Bound<Vec<u8>>,
    ) -> impl DoubleEndedIterator<Item = Guard> + use<> {
        self.snapshot.range::<Vec<u8>, _>(table, (from, to))
    }

    /// All rows of the log in `table`.
    pub(super) fn all_rows(&self, table: &Keyspace) -> impl DoubleEndedIterator<Item = Guard> + use<> {
        self.snapshot.range::<&[u8], _>(table, ..COMMIT.as_slice())
    }

    /// The rows of the log in `table` behind the key `after`, or all of them.
    pub(super) fn rows_after(
        &self,
        table: &Keyspace,
        after: Option<&[u8]>,
    ) -> impl Iterator<Item = Guard> + use<> {
        let from = after.map_or(Bound::Unbounded, |after| Bound::Excluded(after.to_vec()));
        self.rows(table, from, Bound::Excluded(COMMIT.to_vec()))
    }

    pub(super) fn rows_with(&self, table: &Keyspace, prefix: &[u8]) -> impl Iterator<Item = Guard> + use<> {
        self.snapshot.prefix(table, prefix)
    }

    /// The event of `channel` at `position`. One that is damaged or missing is answered without a body, which no reader
    /// takes for a record: it becomes a gap in its place.
    pub(super) fn event(
        &self,
        channel: &ChannelName,
        position: Position,
        seq: Option<u64>,
    ) -> Result<Stored, StoreError> {
        let key = event_key(channel, position);
        let what = || format!("the event of {channel} at position {}", position.number());
        let found =
            self.snapshot.get(&self.tables.events, &key).map_err(|error| unreadable(what(), error))?;
        self.stored(channel, position, found.as_deref().unwrap_or_default(), seq)
    }

    /// As [`View::event`], of a value read already.
    pub(super) fn stored(
        &self,
        channel: &ChannelName,
        position: Position,
        value: &[u8],
        seq: Option<u64>,
    ) -> Result<Stored, StoreError> {
        let whole = EventValue::unseal(&event_key(channel, position), value);
        let (seq, prev, body) = match whole {
            Ok(EventValue { seq, prev, body, .. }) => (seq, prev, body),
            Err(_) => {
                let seq = seq.map_or_else(|| self.seq_at(channel, position), Ok)?;
                (seq, self.place_before(channel, position)?, Bytes::new())
            }
        };
        Ok(Stored { position, channel: channel.clone(), seq, prev, body, kept: true })
    }

    /// The number of an event by the other row that tells it.
    fn seq_at(&self, channel: &ChannelName, position: Position) -> Result<u64, StoreError> {
        let what = || format!("the event of {channel} at position {}", position.number());
        let row: Option<OrderValue> =
            self.value(&self.tables.order, &order_key(position), what).unwrap_or_default();
        match row.filter(|row| row.channel == *channel) {
            Some(row) => Ok(row.seq),
            None => self.seq_in(channel, position)?.ok_or_else(|| damaged(what())),
        }
    }

    /// The position of the channel's event before `position`, or the mark that stands for it.
    fn place_before(&self, channel: &ChannelName, position: Position) -> Result<Position, StoreError> {
        let floor = self.record(channel)?.unwrap_or_default().floor();
        let (from, to) = (event_key(channel, floor), event_key(channel, position));
        let before = self.rows(&self.tables.events, Bound::Excluded(from), Bound::Excluded(to)).next_back();
        let before =
            before.map(|row| row.key().map_err(|error| unreadable(format!("events of {channel}"), error)));
        Ok(before.transpose()?.and_then(|key| position_of(&key)).unwrap_or(floor))
    }

    /// The number of the channel's first event above `after`, and the bytes of the records from there on, of `bytes`
    /// that there ever were.
    pub(super) fn kept_above(
        &self,
        channel: &ChannelName,
        after: Position,
        bytes: u64,
    ) -> Result<Option<(u64, u64)>, StoreError> {
        let (from, to) = (event_key(channel, after), event_key(channel, Position::END));
        let (mut first_seq, mut damaged_bytes) = (None, 0);
        for row in self.rows(&self.tables.events, Bound::Excluded(from), Bound::Included(to)) {
            let (key, value) =
                row.into_inner().map_err(|error| unreadable(format!("events of {channel}"), error))?;
            let position = position_of(&key).ok_or_else(|| damaged(format!("a key of {channel}")))?;
            let seq = match first_seq {
                Some(seq) => seq,
                None => *first_seq.insert(self.stored(channel, position, &value, None)?.seq),
            };
            if let Ok(whole) = EventValue::unseal(&key, &value) {
                return Ok(Some((seq, (bytes + damaged_bytes).saturating_sub(whole.before))));
            }
            // What lies before the next whole one is as long as it looks.
            damaged_bytes += EventValue::bytes_in(&value);
        }
        Ok(first_seq.map(|seq| (seq, damaged_bytes)))
    }
}

/// Whether flushing and merging lag behind: one step before the engine makes a commit wait for them.
fn is_behind(table: &Keyspace) -> bool {
    table.tree.sealed_memtable_count() >= SEALED_MAX || table.tree.l0_run_count() >= RUNS_MAX
}

/// The tables, in the order of [`NAMES`], with their names.
fn named(tables: [&Keyspace; TABLES]) -> [(&'static str, &Keyspace); TABLES] {
    std::array::from_fn(|index| (NAMES[index], tables[index]))
}

/// As `error`, with the way out.
fn repairable(error: StoreError) -> StoreError {
    match error {
        StoreError::Failed(why) => {
            StoreError::Failed(format!("{why}; stop the server and run `sosik verify --repair`"))
        }
        error => error,
    }
}

/// A checksum does not match.
pub(super) fn damaged(what: String) -> StoreError {
    StoreError::Failed(format!("{what} is damaged: its checksum does not match"))
}

const NAMES: [&str; TABLES] = ["events", "order", "channels", "meta", "producers", "keys"];
/// Tables in memory that wait to be written out, of one table: the engine stops commits at 4.
const SEALED_MAX: usize = 3;
/// Parts on the disk that wait to be merged, of one table: the engine slows commits down from 20 on and stops them at 30.
const RUNS_MAX: usize = 20;
const SETTLING_LOOKS_EACH: Duration = Duration::from_millis(1);
/// Threads that flush and compact.
const WORKER_THREADS: usize = 2;
/// Files of tables that are held open; the server leaves as many descriptors for them.
const FILES_OPEN_MAX: usize = 256;
/// Blocks read lately: 32 MiB.
const CACHE_BYTES: u64 = 32 * 1024 * 1024;
/// Most bytes of journals on the disk, and so the most that a start replays: 128 MiB.
const JOURNAL_BYTES_MAX: u64 = 128 * 1024 * 1024;
/// Most bytes of one table in memory before they are written out: 32 MiB. Larger ones make the engine stall longer.
const MEMTABLE_BYTES_MAX: u64 = 32 * 1024 * 1024;
