//! The engine that keeps a log on the disk of one machine. What it acknowledges was synced before.

mod backup;
mod check;
mod commits;
mod copy;
mod directory;
mod engine_error;
mod follower;
mod journal;
mod layout;
mod lineage;
mod manifest;
mod memos;
mod open;
mod options;
mod read;
mod readers;
mod rebuild;
mod reclaim;
mod records;
mod recovery;
mod removal;
mod repair;
mod report;
mod scrub;
mod shelf;
mod space;
mod stage;
mod state;
mod tables;
mod tally;
mod threads;
mod toc;
mod value;
mod verify;
mod witness;
mod write_error;
mod writer;

use std::{
    fmt,
    iter::repeat_n,
    path::Path,
    sync::{
        Arc, OnceLock,
        mpsc::{self, Receiver, SyncSender, TrySendError},
    },
};

use parking_lot::{Mutex, RwLock};
use sosik_core::{
    cursor::Position,
    figures::StoreFigures,
    name::ChannelName,
    store::{
        Answer, AppendError, Appended, Batch, ChannelHead, Follow, Level, MemoKey, MemoKind, MemosHeld,
        NamespaceHead, Opened, Page, PageLimit, Remembered, Scope, Store, StoreError,
    },
};
use tokio::sync::{oneshot, watch};

pub use self::{
    backup::{Kept, restore},
    commits::COMMITS_HELD_MAX,
    copy::{Copied, CopyError},
    directory::{OpenError, is_log},
    options::{DiskOptions, RESERVE_BYTES},
    repair::{RepairError, repair},
    report::{Damage, DamageKind, PLACES_NAMED_MAX, Renewed, Repaired, Report},
    scrub::{SCRUB_BYTES_PER_S, SCRUB_PAUSE},
    verify::verify,
};
use self::{
    directory::{Directory, refused},
    follower::Follower,
    open::{Found, Ready},
    readers::Readers,
    records::Records,
    shelf::Shelf,
    space::Space,
    state::State,
    tally::Tally,
    threads::{Role, Thread},
    value::Identity,
    writer::{Job, Writer},
};
use crate::held::Batches;
pub use crate::held::{
    BATCHES_HELD_MAX, FORGOTTEN_HELD_MAX, NEWS_CHANGES_MAX, SIGNALS_HELD_BYTES_MAX, SIGNALS_HELD_MAX,
    TRIMMED_HELD_MAX,
};

/// A log in a directory.
///
/// One thread writes: what waits while a sync runs goes into the next commit together, with one sync. Nothing is
/// acknowledged, told or read before that has ended. A sync that fails is final, and so is a write that fails for any reason
/// but room: everything that would write is refused until the log is opened anew, reads go on and end at the last head
/// that was synced.
///
/// Appends leave [`DiskOptions::reserve_bytes`] of the disk free: beyond it they are answered [`AppendError::Full`], while
/// trims go on, and taken again when there is room. Where something else fills the disk to its end in the middle of a
/// write, that append is answered [`AppendError::Unknown`], and the log goes on by itself once there is room again.
///
/// Every read of the tables runs on one of a few threads of its own, because a cold one waits for the disk; followers
/// that keep up are served from memory. An event whose checksum fails, or that is missing where the order names one, is
/// answered without a body: it becomes a gap. Any other damage is [`StoreError::Failed`], and a follower's
/// [`sosik_core::store::Followed::Stalled`]; nothing is passed over.
///
/// A signal takes its place and its number in the tables; itself it is held in memory alone, as in
/// [`crate::Memory`]. A follower that begins below removals of an earlier run is answered
/// [`sosik_core::store::Followed::Behind`]: they are told by the records.
#[derive(Clone)]
pub struct Disk {
    handle: Arc<Handle>,
}

impl Disk {
    /// Opens the log in `path`, or makes one there if the directory is missing or empty; then its epoch is
    /// [`DiskOptions::fresh`].
    ///
    /// Blocks until what the last run left is replayed. Errors: [`OpenError`].
    pub fn open(path: &Path, options: DiskOptions) -> Result<Self, OpenError> {
        let ready = open::open(path, options.fresh)?;
        let handle = Handle::start(ready, options);
        handle.map(|handle| Self { handle: Arc::new(handle) }).map_err(|source| refused(path, source))
    }

    /// Why opening it began a new epoch; `None` if it did not. To be told loudly.
    pub fn renewed(&self) -> Option<&Renewed> {
        self.handle.renewed.as_ref()
    }

    /// Reads all of it once, at full speed, while it goes on. Takes as long as reading its files.
    pub async fn verify(&self) -> Result<Report, StoreError> {
        verify::on_a_thread(self.handle.clone()).await
    }

    /// Writes what the log is at this moment into `to`, which must be missing or empty, while it goes on; `told` hears how
    /// far it has come. Every row is held against its checksum. A log is made of it by [`restore`].
    ///
    /// Takes as long as reading its files; dropping the future ends it. What it has begun and not finished is no backup, and
    /// is thrown away by the next one. Until it ends, what is trimmed keeps its place on the disk. Errors: [`CopyError`].
    pub async fn backup(
        &self,
        to: &Path,
        told: impl FnMut(Copied) + Send + 'static,
    ) -> Result<Kept, CopyError> {
        backup::on_a_thread(self.handle.clone(), to, told).await
    }

    async fn write<T>(
        &self,
        job: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Job,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        match self.handle.send(job(reply)) {
            Ok(()) => answer.await.unwrap_or_else(|_| Err(self.handle.shelf.failure())),
            Err(TrySendError::Full(_)) => Err(StoreError::Unavailable),
            Err(TrySendError::Disconnected(_)) => Err(self.handle.shelf.failure()),
        }
    }
}

impl Store for Disk {
    fn open(&self) -> Answer<'_, Result<Opened, StoreError>> {
        Box::pin(async {
            let shelf = &self.handle.shelf;
            let state = shelf.state.lock();
            Ok(Opened {
                epoch: shelf.epoch,
                base: shelf.base,
                head: state.tail.head,
                level: Level::Synced,
                last_time: state.tail.last_time,
            })
        })
    }

    /// Bounded: with more than [`WRITES_QUEUED_MAX`] writes waiting it answers [`AppendError::Unavailable`].
    fn append(&self, batch: Batch) -> Answer<'_, Result<Appended, AppendError>> {
        Box::pin(async move {
            let (reply, answer) = oneshot::channel();
            match self.handle.send(Job::Append(batch, reply)) {
                Ok(()) => answer.await.unwrap_or(Err(AppendError::Unknown)),
                Err(TrySendError::Full(_)) => Err(AppendError::Unavailable),
                Err(TrySendError::Disconnected(_)) => Err(AppendError::Failed),
            }
        })
    }

    /// Bounded news: at most [`NEWS_CHANGES_MAX`] changes each. Marks that explain missing events are told before the
    /// events above them.
    fn follow(&self, after: Position) -> Box<dyn Follow> {
        Box::new(Follower::new(self.handle.clone(), after))
    }

    fn channel(&self, channel: &ChannelName) -> Answer<'_, Result<Option<ChannelHead>, StoreError>> {
        let channel = channel.clone();
        self.handle.records.ask(move |seen| seen.view.head(&channel))
    }

    fn namespace(&self, namespace: &str) -> Answer<'_, Result<NamespaceHead, StoreError>> {
        let namespace = namespace.to_owned();
        self.handle.records.ask(move |seen| seen.view.namespace(&namespace))
    }

    fn page(
        &self,
        channel: &ChannelName,
        after: Position,
        up_to: Position,
        limit: PageLimit,
    ) -> Answer<'_, Result<Page, StoreError>> {
        let channel = channel.clone();
        self.handle.pages.ask(move |seen| seen.view.page(&channel, (after, up_to), limit, seen.head))
    }

    fn before(
        &self,
        channel: &ChannelName,
        before: Position,
        limit: PageLimit,
    ) -> Answer<'_, Result<Page, StoreError>> {
        let channel = channel.clone();
        self.handle.pages.ask(move |seen| seen.view.before(&channel, before, limit, seen.head))
    }

    fn range(
        &self,
        scope: Scope,
        after: Position,
        up_to: Position,
        limit: PageLimit,
    ) -> Answer<'_, Result<Page, StoreError>> {
        self.handle.pages.ask(move |seen| seen.view.range(&scope, (after, up_to), limit, seen.head))
    }

    /// The mark is synced when it answers; the events are taken away afterwards, little by little.
    fn trim(&self, channel: &ChannelName, to: Position) -> Answer<'_, Result<(), StoreError>> {
        let channel = channel.clone();
        Box::pin(self.write(move |reply| Job::Trim(channel, to, reply)))
    }

    /// As [`Store::trim`], of the whole channel.
    fn forget(&self, channel: &ChannelName) -> Answer<'_, Result<Position, StoreError>> {
        let channel = channel.clone();
        Box::pin(self.write(move |reply| Job::Forget(channel, reply)))
    }

    fn recall(&self, keys: Vec<MemoKey>) -> Answer<'_, Result<Vec<Option<Remembered>>, StoreError>> {
        self.handle.records.ask(move |seen| keys.iter().map(|key| seen.view.recall(key)).collect())
    }

    fn memos_held(&self, kind: MemoKind, namespace: &str) -> MemosHeld {
        let state = self.handle.shelf.state.lock();
        state.windows.get(&(kind, namespace.into())).map(|window| window.held).unwrap_or_default()
    }

    fn given(&self) -> Option<Position> {
        Some(self.handle.shelf.head())
    }

    fn figures(&self) -> StoreFigures {
        let shelf = &self.handle.shelf;
        let (kept_events, kept_bytes) = shelf.state.lock().tail.kept;
        StoreFigures {
            kept_bytes,
            kept_events,
            free_bytes: shelf.space.free(),
            failed: shelf.failed.get().is_some(),
            ended: shelf.ended.get().copied(),
            ..shelf.tally.figures()
        }
    }
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shelf = &self.handle.shelf;
        write!(f, "disk log {:?} at {}", shelf.epoch, shelf.head().number())
    }
}

/// What keeps a log open. The last one to go waits for its threads, so that it can be opened anew at once.
struct Handle {
    shelf: Arc<Shelf>,
    jobs: Option<SyncSender<Job>>,
    /// Reads that live delivery and opening wait for: records and news.
    records: Readers,
    /// Reads of those who catch up; however many wait, they stand in nobody else's way.
    pages: Readers,
    threads: Vec<Thread>,
    /// What goes on beside, until its sender goes.
    beside: Vec<(SyncSender<()>, Thread)>,
    renewed: Option<Renewed>,
    directory: Directory,
}

impl Handle {
    fn start(ready: Ready, options: DiskOptions) -> Result<Self, std::io::Error> {
        let Ready { directory, tables, found, file, renewed } = ready;
        let Found { identity: Identity { epoch, base, .. }, tail, batches: stored, removals, windows } =
            found;
        let mut batches = Batches::default();
        stored.iter().for_each(|batch| batches.push(batch.id, &batch.placed));
        let (changed, _) = watch::channel(());
        let shelf = Arc::new(Shelf {
            epoch,
            base,
            path: directory.tables(),
            state: Mutex::new(State::new(tail, windows.clone(), tables.moment())),
            engine: RwLock::new(Some(tables)),
            space: Space::new(directory.path().into(), options.reserve_bytes),
            tally: Tally::default(),
            changed,
            failed: OnceLock::new(),
            ended: OnceLock::new(),
        });
        let (jobs, waiting) = mpsc::sync_channel(WRITES_QUEUED_MAX);
        let ((records, for_records), (pages, for_pages)) = (Readers::new(), Readers::new());
        let writer = Writer { tail, batches, removals, windows, records: Records::default(), stuck: None };
        let mut handle = Self {
            shelf: shelf.clone(),
            jobs: Some(jobs),
            records,
            pages,
            threads: Vec::new(),
            beside: Vec::new(),
            renewed,
            directory,
        };
        let write = move |shelf: &Shelf| writer.run(shelf, &waiting);
        handle.threads.push(Thread::spawn(&shelf, Role::Write, write)?);
        let reads = [(for_records, RECORD_READERS), (for_pages, PAGE_READERS)];
        for reads in reads.iter().flat_map(|(reads, count)| repeat_n(reads, *count)) {
            let reads = reads.clone();
            let read = move |shelf: &Shelf| readers::run(shelf, &reads);
            handle.threads.push(Thread::spawn(&shelf, Role::Read, read)?);
        }
        let witness = |shelf: &Shelf, ended: &Receiver<()>| witness::keep(shelf, file, ended);
        handle.beside.push(Thread::beside(&shelf, Role::Witness, witness)?);
        handle.beside.push(Thread::beside(&shelf, Role::Reclaim, reclaim::keep)?);
        let pause = options.scrub_pause;
        let scrub = move |shelf: &Shelf, ended: &Receiver<()>| scrub::run(shelf, pause, ended);
        handle.beside.push(Thread::beside(&shelf, Role::Scrub, scrub)?);
        Ok(handle)
    }

    fn send(&self, job: Job) -> Result<(), TrySendError<Job>> {
        match &self.jobs {
            Some(jobs) => jobs.try_send(job),
            None => Err(TrySendError::Disconnected(job)),
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.jobs = None;
        self.records = Readers::new().0;
        self.pages = Readers::new().0;
        for thread in self.threads.drain(..) {
            thread.join();
        }
        // The witness comes last: it vouches for what the writer has written.
        for (ends, thread) in self.beside.drain(..).rev() {
            drop(ends);
            thread.join();
        }
    }
}

/// Writes that wait at most; more are refused. A core has one append and some trims under way.
pub const WRITES_QUEUED_MAX: usize = 1_024;
/// Reads that wait at most; more are answered [`StoreError::Unavailable`]. Costs some words each.
pub const READS_QUEUED_MAX: usize = 4_096;
/// Events of one commit, beyond which the next job waits for the next one.
const GROUP_EVENTS_MAX: usize = 10_000;
/// Bytes of one commit, beyond which the next job waits for the next one: 8 MiB.
const GROUP_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Events taken away at once, between two commits: what a writer waits for at most.
const REMOVED_AT_ONCE_MAX: usize = 1_000;
/// Newest events held for followers.
pub const RECENT_EVENTS_MAX: usize = 8_192;
/// Bytes of the newest events held for followers: 8 MiB.
pub const RECENT_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Threads that read records and news.
const RECORD_READERS: usize = 2;
/// Threads that read pages.
const PAGE_READERS: usize = 4;
