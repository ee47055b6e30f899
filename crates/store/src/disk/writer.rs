//! The one thread that writes: what waits while a sync runs goes together into the next commit, with one sync.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        atomic::Ordering::Relaxed,
        mpsc::{Receiver, RecvTimeoutError, TryRecvError},
    },
    time::Duration,
};

use fjall::Snapshot;
use sosik_core::{
    cursor::Position,
    name::ChannelName,
    store::{AppendError, Appended, Batch, Level, StoreError},
};
use tokio::sync::oneshot;

use super::{
    GROUP_BYTES_MAX, GROUP_EVENTS_MAX,
    memos::Windows,
    records::Records,
    recovery::{Recovered, Stuck},
    removal::Removals,
    shelf::Shelf,
    stage::{Stage, StageError, Staged},
    tally::clock,
    value::Tail,
    write_error::WriteError,
};
use crate::held::Batches;

/// Something to write. Who has gone before the answer is not asked for one; it is written all the same.
pub(super) enum Job {
    Append(Batch, oneshot::Sender<Result<Appended, AppendError>>),
    Trim(ChannelName, Position, oneshot::Sender<Result<(), StoreError>>),
    Forget(ChannelName, oneshot::Sender<Result<Position, StoreError>>),
}

/// The writing side of a log.
pub(super) struct Writer {
    pub(super) tail: Tail,
    pub(super) batches: Batches,
    pub(super) removals: Removals,
    pub(super) windows: Windows,
    pub(super) records: Records,
    /// Set while the engine below takes no writes and there may be a way back.
    pub(super) stuck: Option<Stuck>,
}

impl Writer {
    /// Writes until nobody can ask any more. A panic below is a failure like any other.
    pub(super) fn run(mut self, shelf: &Shelf, jobs: &Receiver<Job>) {
        let mut next = None;
        while let Some(group) = self.group(shelf, jobs, &mut next) {
            let written = catch_unwind(AssertUnwindSafe(|| self.write(shelf, group)));
            // Who waits for an answer that a panic took away is told by its dropped reply to ask again.
            written.unwrap_or_else(|_| panicked(shelf)).into_iter().for_each(Answered::send);
            self.remove_some(shelf);
        }
    }

    /// All jobs of one kind that wait, up to a bound; what is removed needs to see what was appended.
    fn group(&mut self, shelf: &Shelf, jobs: &Receiver<Job>, next: &mut Option<Job>) -> Option<Vec<Job>> {
        let first = match next.take() {
            Some(job) => job,
            None => self.wait(shelf, jobs)?,
        };
        let appends = matches!(first, Job::Append(..));
        let (mut events, mut bytes) = first.size();
        let mut group = vec![first];
        while events < GROUP_EVENTS_MAX && bytes < GROUP_BYTES_MAX {
            let Ok(job) = jobs.try_recv() else { break };
            if matches!(job, Job::Append(..)) != appends {
                *next = Some(job);
                break;
            }
            let size = job.size();
            (events, bytes) = (events + size.0, bytes + size.1);
            group.push(job);
        }
        Some(group)
    }

    /// Waits for a job, and meanwhile takes away what is marked as gone and looks after the engine.
    fn wait(&mut self, shelf: &Shelf, jobs: &Receiver<Job>) -> Option<Job> {
        loop {
            match jobs.try_recv() {
                Ok(job) => return Some(job),
                Err(TryRecvError::Disconnected) => return None,
                Err(TryRecvError::Empty) if self.remove_some(shelf) => {}
                Err(TryRecvError::Empty) => match jobs.recv_timeout(TENDED_EACH) {
                    Ok(job) => return Some(job),
                    Err(RecvTimeoutError::Disconnected) => return None,
                    Err(RecvTimeoutError::Timeout) => self.tend(shelf),
                },
            }
        }
    }

    /// What is due while nobody asks for anything.
    fn tend(&mut self, shelf: &Shelf) {
        let tended = catch_unwind(AssertUnwindSafe(|| {
            if self.is_able(shelf)
                && let Some(tables) = &*shelf.engine.read()
            {
                // A moment held for long would keep on the disk what only it needs.
                shelf.state.lock().moment = tables.moment();
            }
            shelf.tally.disk_bytes.store(shelf.space.used(), Relaxed);
        }));
        tended.unwrap_or_else(|_| panicked(shelf));
    }

    /// Whether anything can be written; finds the way back if there is one by now.
    fn is_able(&mut self, shelf: &Shelf) -> bool {
        let Some(stuck) = self.stuck.as_mut().filter(|_| shelf.failed.get().is_none()) else {
            return shelf.failed.get().is_none();
        };
        match stuck.recover(shelf, self.tail) {
            Recovered::NotYet => return false,
            Recovered::Failed(why) => drop(shelf.failed.set(why)),
            Recovered::Again(stored) => {
                self.stuck = None;
                let engine = shelf.engine.read();
                if let (Some(tables), Some(staged)) = (&*engine, stored) {
                    self.publish(shelf, tables.moment(), staged);
                }
            }
        }
        shelf.failed.get().is_none()
    }

    /// Takes away some of what is marked as gone, and answers whether there may be more.
    fn remove_some(&mut self, shelf: &Shelf) -> bool {
        if self.removals.is_empty() || self.stuck.is_some() || shelf.failed.get().is_some() {
            return false;
        }
        let removed = catch_unwind(AssertUnwindSafe(|| {
            let engine = shelf.engine.read();
            let Some(tables) = &*engine else { return false };
            let staged = Staged { tail: self.tail.following(), ..Staged::default() };
            match self.removals.step(tables, staged.tail) {
                // Without a commit there is no new end: a number that no commit has would be missing at the next start.
                Ok(false) => {}
                Ok(true) => {
                    self.publish(shelf, tables.moment(), staged);
                    shelf.tally.removed.fetch_add(1, Relaxed);
                }
                Err(error) => self.broken(shelf, &error, Some(staged)),
            }
            true
        }));
        removed.unwrap_or_else(|_| panicked(shelf))
    }

    fn write(&mut self, shelf: &Shelf, group: Vec<Job>) -> Vec<Answered> {
        if !self.is_able(shelf) {
            return group.into_iter().map(|job| self.refused(job, shelf)).collect();
        }
        let engine = shelf.engine.read();
        let Some(tables) = &*engine else {
            return group.into_iter().map(|job| self.refused(job, shelf)).collect();
        };
        let bytes: usize = group.iter().map(|job| job.size().1).sum();
        let room = shelf.space.takes(bytes as u64);
        let mut stage = Stage::new(tables, &self.records, self.tail, shelf.epoch, room);
        let answers: Vec<_> = group.into_iter().map(|job| self.stage(&mut stage, job)).collect();
        let full =
            answers.iter().filter(|answer| matches!(answer, Answered::Append(Err(AppendError::Full), _)));
        shelf.tally.appends_full.fetch_add(full.count() as u64, Relaxed);
        if stage.is_empty() {
            return answers;
        }
        let (writes, staged) = stage.finish(&self.windows);
        let began = clock();
        match tables.settle().and_then(|()| tables.commit(writes, staged.tail)) {
            Ok(()) => {
                shelf.tally.committed(staged.news.events.len(), began.elapsed());
                self.publish(shelf, tables.moment(), staged);
                answers
            }
            Err(error) => {
                self.broken(shelf, &error, Some(staged));
                answers.into_iter().map(|answer| answer.or_failed(shelf)).collect()
            }
        }
    }

    /// Nothing of a commit is visible, remembered or answered before its sync has ended.
    fn publish(&mut self, shelf: &Shelf, moment: Snapshot, staged: Staged) {
        let Staged { tail, news, batches, windows, records } = staged;
        self.tail = tail;
        self.records.extend(records);
        batches.iter().for_each(|(id, placed)| self.batches.push(*id, placed));
        self.removals.extend(&news.removed);
        self.windows.extend(windows.iter().map(|(of, window)| (of.clone(), *window)));
        shelf.state.lock().publish(tail, news, windows, moment);
        shelf.changed.send_replace(());
    }

    /// A write has failed: for good, or until there is room again.
    fn broken(&mut self, shelf: &Shelf, error: &WriteError, staged: Option<Staged>) {
        let has_way_back = match error {
            WriteError::NoRoom(_) => true,
            // What it does in the background is to write tables out and to merge them, from a journal that is synced:
            // nothing acknowledged rests on it alone. If there is hardly any room, that is taken for the reason.
            WriteError::Refused => shelf.space.is_short(),
            WriteError::Final(_) => {
                shelf.tally.syncs_failed.fetch_add(1, Relaxed);
                false
            }
        };
        if has_way_back {
            self.stuck = Some(Stuck::new(staged));
        } else {
            let _ = shelf.failed.set(error.to_string());
        }
    }

    /// The answer to a job while nothing can be written.
    fn refused(&self, job: Job, shelf: &Shelf) -> Answered {
        let Some(stuck) = self.stuck.as_ref().filter(|_| shelf.failed.get().is_none()) else {
            return Answered::failed(job, shelf);
        };
        match job {
            Job::Append(batch, reply) => {
                let under_way =
                    stuck.commit.as_ref().is_some_and(|commit| commit.batches.contains_key(&batch.id));
                let answer = if under_way {
                    AppendError::Unknown
                } else {
                    shelf.tally.appends_full.fetch_add(1, Relaxed);
                    AppendError::Full
                };
                Answered::Append(Err(answer), reply)
            }
            Job::Trim(_, _, reply) => Answered::Trim(Err(StoreError::Unavailable), reply),
            Job::Forget(_, reply) => Answered::Forget(Err(StoreError::Unavailable), reply),
        }
    }

    fn stage(&self, stage: &mut Stage<'_>, job: Job) -> Answered {
        match job {
            Job::Append(batch, reply) => {
                let answer = match stage.append(batch, &self.batches) {
                    Ok(placed) => Ok(Appended { placed, level: Level::Synced }),
                    Err(StageError::Duplicate(placed)) => {
                        Err(AppendError::Duplicate(Appended { placed, level: Level::Synced }))
                    }
                    Err(StageError::Conflict) => Err(AppendError::Conflict),
                    Err(StageError::Full) => Err(AppendError::Full),
                    Err(StageError::Unreadable(channels)) => Err(AppendError::Unreadable(channels)),
                };
                Answered::Append(answer, reply)
            }
            Job::Trim(channel, to, reply) => Answered::Trim(stage.trim(&channel, to), reply),
            Job::Forget(channel, reply) => Answered::Forget(stage.forget(&channel), reply),
        }
    }
}

fn panicked<T: Default>(shelf: &Shelf) -> T {
    let _ = shelf.failed.set("its writer has panicked".into());
    T::default()
}

impl Job {
    /// Events and bytes.
    fn size(&self) -> (usize, usize) {
        match self {
            Self::Append(batch, _) => {
                let bodies = batch.entries.iter().map(|entry| entry.body.len());
                let memos = batch.memos.iter().map(|memo| memo.value.len());
                (batch.entries.len(), bodies.chain(memos).sum())
            }
            Self::Trim(..) | Self::Forget(..) => (1, 0),
        }
    }
}

/// A job with its answer, held back until the sync has ended.
enum Answered {
    Append(Result<Appended, AppendError>, oneshot::Sender<Result<Appended, AppendError>>),
    Trim(Result<(), StoreError>, oneshot::Sender<Result<(), StoreError>>),
    Forget(Result<Position, StoreError>, oneshot::Sender<Result<Position, StoreError>>),
}

impl Answered {
    fn failed(job: Job, shelf: &Shelf) -> Self {
        match job {
            Job::Append(_, reply) => Self::Append(Err(AppendError::Failed), reply),
            Job::Trim(_, _, reply) => Self::Trim(Err(shelf.failure()), reply),
            Job::Forget(_, reply) => Self::Forget(Err(shelf.failure()), reply),
        }
    }

    /// Whatever was to be answered rested on what was not written, or not known to be.
    fn or_failed(self, shelf: &Shelf) -> Self {
        let append = if shelf.failed.get().is_some() { AppendError::Failed } else { AppendError::Unknown };
        match self {
            Self::Append(_, reply) => Self::Append(Err(append), reply),
            Self::Trim(_, reply) => Self::Trim(Err(shelf.refusal()), reply),
            Self::Forget(_, reply) => Self::Forget(Err(shelf.refusal()), reply),
        }
    }

    fn send(self) {
        match self {
            Self::Append(answer, reply) => drop(reply.send(answer)),
            Self::Trim(answer, reply) => drop(reply.send(answer)),
            Self::Forget(answer, reply) => drop(reply.send(answer)),
        }
    }
}

/// How often a writer that nobody asks looks after the engine.
const TENDED_EACH: Duration = Duration::from_secs(1);
