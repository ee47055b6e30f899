//! Copies of a log that lives, and logs made of them.

use std::{
    io,
    path::Path,
    sync::{Arc, atomic::Ordering::Relaxed},
    thread,
};

use fjall::Snapshot;
use sosik_core::{
    cursor::{Epoch, Position},
    store::StoreError,
};
use tokio::sync::oneshot;

use super::{
    Copied, CopyError, Handle,
    copy::{Row, Target, interrupted, part},
    directory::{Directory, FORMAT, refused},
    open::{begin, engine, find},
    tables::View,
    value::Identity,
    witness::WitnessFile,
};

/// A backup, or a log made of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Kept {
    /// The epoch of the log.
    pub epoch: Epoch,
    /// The head of the log at the moment that the backup shows.
    pub head: Position,
    /// What was copied.
    pub copied: Copied,
}

/// Writes what a log is at this moment into `to`. `told` says whether somebody still waits for it.
pub(super) fn back_up(
    handle: &Handle,
    to: &Path,
    told: impl FnMut(Copied),
    is_wanted: impl Fn() -> bool,
) -> Result<Kept, CopyError> {
    if lies_in(to, handle.directory.path()) {
        return Err(CopyError::Inside(to.into()));
    }
    let directory = Directory::begin_backup(to)?;
    let moment = Moment::new(handle);
    let mut target = Target::new(to, &directory.tables())?;
    let read = |table, after: Option<&[u8]>| {
        if is_wanted() {
            moment.part(table, after)
        } else {
            Err(CopyError::Interrupted("nobody waits".into()))
        }
    };
    let copied = target.fill(read, told)?;
    target.finish()?;
    directory.finish_backup(copied.rows)?;
    Ok(Kept { epoch: handle.shelf.epoch, head: moment.head, copied })
}

/// Whether what is or will be `path` lies below `directory`, whatever ways lead there.
fn lies_in(path: &Path, directory: &Path) -> bool {
    let there = path.ancestors().find_map(|ancestor| ancestor.canonicalize().ok());
    there.zip(directory.canonicalize().ok()).is_some_and(|(there, directory)| there.starts_with(directory))
}

/// What a log that lives was at one moment.
pub(super) struct Moment<'a> {
    handle: &'a Handle,
    snapshot: Snapshot,
    head: Position,
    /// Which engine the moment is one of.
    reopened: u64,
}

impl<'a> Moment<'a> {
    pub(super) fn new(handle: &'a Handle) -> Self {
        let engine = handle.shelf.engine.read();
        let (snapshot, head) = {
            let state = handle.shelf.state.lock();
            (state.moment.clone(), state.tail.head)
        };
        let reopened = handle.shelf.tally.reopened.load(Relaxed);
        drop(engine);
        Self { handle, snapshot, head, reopened }
    }

    fn part(&self, table: usize, after: Option<&[u8]>) -> Result<Vec<Row>, CopyError> {
        self.look(|view| part(view, table, after))?
    }

    /// The engine is held for one look at a time, so that it can be opened anew if it must.
    pub(super) fn look<T>(&self, look: impl FnOnce(&View<'_>) -> T) -> Result<T, CopyError> {
        let shelf = &self.handle.shelf;
        let engine = shelf.engine.read();
        let tables = engine.as_ref().ok_or_else(|| interrupted(&shelf.refusal()))?;
        if shelf.tally.reopened.load(Relaxed) != self.reopened {
            return Err(CopyError::Interrupted("the disk of the log was full in between".into()));
        }
        Ok(look(&tables.view_at(self.snapshot.clone())))
    }
}

/// Makes a log in `to`, which must be missing or empty, of the backup in `from`. It begins the epoch `fresh`, which must be
/// random: readers of the log that the backup was taken of are told by a gap. Blocks; `told` hears how far it has come.
///
/// What an earlier try has left in `to` is thrown away. Errors: [`CopyError`].
pub fn restore(from: &Path, to: &Path, fresh: Epoch, told: impl FnMut(Copied)) -> Result<Kept, CopyError> {
    let (source, rows) = Directory::open_backup(from)?;
    let tables = engine(&source)?;
    let view = tables.view();
    let directory = Directory::begin_restored(to)?;
    let mut target = Target::new(to, &directory.tables())?;
    let damaged = |what| CopyError::DamagedBackup(from.into(), what);
    let copied =
        target.fill(|table, after| part(&view, table, after), told).map_err(|error| match error {
            CopyError::Damaged(what) => damaged(what),
            error => error,
        })?;
    if copied.rows != rows {
        return Err(damaged(format!("it holds {} of {rows} rows", copied.rows)));
    }
    let damaged = |error: StoreError| damaged(error.to_string());
    let tail = find(target.tables()).map_err(damaged)?.tail;
    let identity = Identity { format: FORMAT, epoch: fresh, base: tail.head };
    let (mut file, _) = WitnessFile::open(to).map_err(|source| refused(to, source))?;
    // One commit that reaches every table: an epoch begins when all tables are written out up to there.
    target.tables().commits.go_on(tail.commits);
    let tail = tail.following();
    let written = target.tables().commit(target.tables().batch(), tail);
    written.map_err(|error| target.failed(&error))?;
    let unwritten = |error: StoreError| CopyError::Write { path: to.into(), why: error.to_string() };
    begin(target.tables(), identity, tail, &mut file).map_err(unwritten)?;
    target.finish()?;
    directory.finish()?;
    Ok(Kept { epoch: fresh, head: tail.head, copied })
}

/// Runs a backup on a thread of its own: it waits for the disk, and for as long as it takes.
pub(super) async fn on_a_thread(
    handle: Arc<Handle>,
    to: &Path,
    told: impl FnMut(Copied) + Send + 'static,
) -> Result<Kept, CopyError> {
    let (reply, answer) = oneshot::channel();
    let path = to.to_owned();
    let work = move || {
        let backed_up = back_up(&handle, &path, told, || !reply.is_closed());
        // Whoever closes the log when it is told finds nobody else at it.
        drop(handle);
        // Who has gone is not told.
        let _ = reply.send(backed_up);
    };
    thread::Builder::new().name("sosik-backup".into()).spawn(work)?;
    answer.await.unwrap_or_else(|_| Err(io::Error::other("the backup has panicked").into()))
}
