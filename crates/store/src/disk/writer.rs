//! The one thread that writes: what waits while a sync runs goes together into the next commit, with one sync.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc::{Receiver, TryRecvError},
};

use sosik_core::{
    cursor::Position,
    name::ChannelName,
    store::{AppendError, Appended, Batch, Level, StoreError},
};
use tokio::sync::oneshot;

use super::{
    GROUP_BYTES_MAX, GROUP_EVENTS_MAX,
    removal::Removals,
    shelf::Shelf,
    stage::{Stage, StageError},
    value::Tail,
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
}

impl Writer {
    /// Writes until nobody can ask any more. A panic below is a failure like any other.
    pub(super) fn run(mut self, shelf: &Shelf, jobs: &Receiver<Job>) {
        let mut next = None;
        while let Some(group) = self.group(shelf, jobs, &mut next) {
            let written = catch_unwind(AssertUnwindSafe(|| self.write(shelf, group)));
            // Who waits for an answer that a panic took away is told by its dropped reply to ask again.
            written.unwrap_or_else(|_| panicked(shelf)).into_iter().for_each(Answered::send);
            let removed = catch_unwind(AssertUnwindSafe(|| self.removals.step(shelf)));
            removed.unwrap_or_else(|_| panicked(shelf));
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

    /// Waits for a job, and meanwhile takes away what is marked as gone.
    fn wait(&mut self, shelf: &Shelf, jobs: &Receiver<Job>) -> Option<Job> {
        loop {
            match jobs.try_recv() {
                Ok(job) => return Some(job),
                Err(TryRecvError::Disconnected) => return None,
                Err(TryRecvError::Empty) if self.removals.step(shelf) => {}
                Err(TryRecvError::Empty) => return jobs.recv().ok(),
            }
        }
    }

    fn write(&mut self, shelf: &Shelf, group: Vec<Job>) -> Vec<Answered> {
        if shelf.failed.get().is_some() {
            return group.into_iter().map(|job| Answered::failed(job, shelf)).collect();
        }
        let mut stage = Stage::new(&shelf.tables, self.tail, shelf.epoch);
        let answers: Vec<_> = group.into_iter().map(|job| self.stage(&mut stage, job)).collect();
        if stage.is_empty() {
            return answers;
        }
        match self.commit(shelf, stage) {
            Ok(()) => answers,
            Err(error) => {
                let _ = shelf.failed.set(format!("a write or its sync has failed: {error}"));
                answers.into_iter().map(|answer| answer.or_failed(shelf)).collect()
            }
        }
    }

    /// Nothing of a commit is visible, remembered or answered before its sync has ended.
    fn commit(&mut self, shelf: &Shelf, stage: Stage<'_>) -> Result<(), fjall::Error> {
        let (writes, tail, news, batches) = stage.finish();
        let marking = (!news.removed.is_empty()).then(|| shelf.marking.write());
        shelf.tables.commit(writes)?;
        self.tail = tail;
        batches.iter().for_each(|(id, placed)| self.batches.push(*id, placed));
        self.removals.extend(&news.removed);
        shelf.state.lock().publish(tail, news);
        drop(marking);
        shelf.changed.send_replace(());
        Ok(())
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
                    Err(StageError::Unreadable) => Err(AppendError::Failed),
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
                (batch.entries.len(), batch.entries.iter().map(|entry| entry.body.len()).sum())
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

    /// Whatever was to be answered rested on what was not written.
    fn or_failed(self, shelf: &Shelf) -> Self {
        match self {
            Self::Append(_, reply) => Self::Append(Err(AppendError::Failed), reply),
            Self::Trim(_, reply) => Self::Trim(Err(shelf.failure()), reply),
            Self::Forget(_, reply) => Self::Forget(Err(shelf.failure()), reply),
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
