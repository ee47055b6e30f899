//! The directory of a log: whose it is, which format, and that one process has it.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use super::CopyError;

/// Why a log could not be opened. The text says what to do next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process has it open, or this one already.
    #[error("{0} is in use by another process; stop that one, or choose another directory")]
    InUse(PathBuf),
    /// There is something else in the directory.
    #[error("{0} holds files that are not a log of Sosik; choose an empty or a new directory")]
    Foreign(PathBuf),
    /// It was written by another version of Sosik.
    #[error(
        "{path} holds a log of format {found}, this version reads format {FORMAT}; use the version that wrote it"
    )]
    Format {
        /// The directory.
        path: PathBuf,
        /// What its marker says.
        found: String,
    },
    /// It holds a backup, finished or not: a log is made of it, it is none.
    #[error("{0} holds a backup; `sosik restore` makes a log of it in another directory")]
    Backup(PathBuf),
    /// Nothing can be written there.
    #[error("{0} cannot be written; give this user the right to, or mount it writable")]
    ReadOnly(PathBuf),
    /// The disk or the file system refused.
    #[error("{path} cannot be opened: {source}")]
    Io {
        /// The directory, or the file in it.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Rows of the log are not what was written.
    #[error(
        "{path} is damaged: {why}; `sosik verify` says what else is, `sosik verify --repair` keeps what can be read, \
         `sosik restore` takes a backup instead"
    )]
    Damaged {
        /// The directory.
        path: PathBuf,
        /// What was found.
        why: String,
    },
    /// The files below cannot be read as tables, and nothing is kept of them by a repair.
    #[error(
        "{path} is damaged so that none of it can be read: {why}. The disk has not kept what was written to it, or \
         something else wrote there; look at the disk (dmesg, SMART) first. `sosik restore` makes the log anew from a \
         backup, in another directory; `sosik verify --repair` cannot help, because it keeps what can be read; keep \
         these files if there is no backup"
    )]
    Unreadable {
        /// The directory of the tables.
        path: PathBuf,
        /// What the engine below said.
        why: String,
    },
}

/// Whether `path` holds a log, of whatever version. Changes nothing.
///
/// Errors: [`OpenError::Foreign`] for other files, [`OpenError::Io`].
pub fn is_log(path: &Path) -> Result<bool, OpenError> {
    marker(path).map(|marker| marker.is_some())
}

/// A directory that is ours, locked as long as this lives.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    /// Whether a log lies in it: nothing has been acknowledged by one that was never finished.
    pub(super) is_new: bool,
    _lock: Lock,
}

/// The file that is locked, and let go of when this is dropped.
#[derive(Debug)]
struct Lock(File);

impl Drop for Lock {
    /// Closing it is not enough: a child that this process starts at the same moment has a copy of it until it is another
    /// program, and the lock would live as long.
    fn drop(&mut self) {
        // An error leaves what closing does.
        let _ = self.0.unlock();
    }
}

impl Directory {
    /// Makes the directory if it is missing, and locks it.
    pub(super) fn open(path: &Path) -> Result<Self, OpenError> {
        let (own, marker) = Self::lock(path)?;
        let is_new = match marker.as_deref() {
            Some(BEGUN) | None => true,
            Some(FINISHED) => false,
            Some(other) if other.starts_with(BACKUP_OF_ANY_FORMAT) => {
                return Err(OpenError::Backup(path.into()));
            }
            Some(other) => return Err(of_another_format(path, other)),
        };
        if is_new {
            own.begin(BEGUN)?;
        }
        Ok(Self { is_new, ..own })
    }

    /// A directory for a backup: nothing may be there but what a backup has left that did not come to its end.
    pub(super) fn begin_backup(path: &Path) -> Result<Self, CopyError> {
        Self::begin_in_nothing(path, BACKUP_BEGUN)
    }

    /// As [`Directory::begin_backup`], for a log that is made of one.
    pub(super) fn begin_restored(path: &Path) -> Result<Self, CopyError> {
        Self::begin_in_nothing(path, BEGUN)
    }

    fn begin_in_nothing(path: &Path, begun: &str) -> Result<Self, CopyError> {
        match Self::lock(path) {
            Ok((own, marker)) if marker.as_deref().is_none_or(|marker| marker == begun) => {
                own.begin(begun)?;
                Ok(own)
            }
            Ok(_) | Err(OpenError::Foreign(_)) => Err(CopyError::NotEmpty(path.into())),
            Err(error) => Err(error.into()),
        }
    }

    /// A backup that has come to its end, and how many rows it has.
    pub(super) fn open_backup(path: &Path) -> Result<(Self, u64), CopyError> {
        if marker(path).is_ok_and(|marker| marker.is_none()) {
            // Nothing is made in a directory that is only read.
            return Err(CopyError::NotABackup(path.into()));
        }
        match Self::lock(path) {
            Ok((own, Some(marker))) if marker == BACKUP => {
                let text = fs::read_to_string(path.join(MARKER)).map_err(|source| refused(path, source))?;
                let rows = text.lines().nth(1).and_then(|rows| rows.parse().ok());
                let rows = rows.ok_or_else(|| CopyError::Unfinished(path.into()))?;
                Ok((Self { is_new: false, ..own }, rows))
            }
            Ok((_, Some(marker))) if marker == BACKUP_BEGUN => Err(CopyError::Unfinished(path.into())),
            Ok((_, Some(marker))) if marker.starts_with(BACKUP_OF_ANY_FORMAT) => {
                Err(of_another_format(path, &marker).into())
            }
            Ok(_) | Err(OpenError::Foreign(_)) => Err(CopyError::NotABackup(path.into())),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes the directory if it is missing, locks it, and answers what its marker says.
    fn lock(path: &Path) -> Result<(Self, Option<String>), OpenError> {
        let at = |source| refused(path, source);
        if !path.try_exists().map_err(at)? {
            DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(at)?;
            sync(
                path.parent()
                    .filter(|parent| !parent.as_os_str().is_empty())
                    .unwrap_or_else(|| Path::new(".")),
            )?;
        }
        if marker(path)?.is_none() && !is_bare(path).map_err(at)? {
            return Err(OpenError::Foreign(path.into()));
        }
        let lock = open_private(&path.join(LOCK), OpenOptions::new().create(true).truncate(false))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::InUse(path.into())),
            Err(TryLockError::Error(source)) => return Err(refused(path, source)),
        }
        let lock = Lock(lock);
        // Read under the lock: before it, another process may have been about to write it.
        Ok((Self { path: path.into(), is_new: true, _lock: lock }, marker(path)?))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the engine keeps its files.
    pub(super) fn tables(&self) -> PathBuf {
        self.path.join(TABLES)
    }

    /// Says that the log is complete and may be acknowledged from.
    pub(super) fn finish(&self) -> Result<(), OpenError> {
        self.mark(FINISHED)
    }

    /// Says that the backup is complete, of so many rows, and may be restored.
    pub(super) fn finish_backup(&self, rows: u64) -> Result<(), OpenError> {
        self.mark(&format!("{BACKUP}\n{rows}"))
    }

    /// Leaves nothing of an earlier try that did not come to its end.
    fn begin(&self, begun: &str) -> Result<(), OpenError> {
        self.mark(begun)?;
        let tables = self.tables();
        let at = |source| refused(&tables, source);
        if tables.try_exists().map_err(at)? {
            fs::remove_dir_all(&tables).map_err(at)?;
        }
        DirBuilder::new().mode(0o700).create(&tables).map_err(at)?;
        sync(&self.path)
    }

    /// Replaces the marker, whole or not at all.
    fn mark(&self, text: &str) -> Result<(), OpenError> {
        let (new, marker) = (self.path.join(MARKER_NEW), self.path.join(MARKER));
        let mut file = open_private(&new, OpenOptions::new().create(true).truncate(true))?;
        let written = writeln!(file, "{text}").and_then(|()| file.sync_all());
        written.and_then(|()| fs::rename(&new, &marker)).map_err(|source| refused(&new, source))?;
        sync(&self.path)
    }
}

fn of_another_format(path: &Path, marker: &str) -> OpenError {
    let found = marker.rsplit(' ').next().unwrap_or_default().to_owned();
    OpenError::Format { path: path.into(), found }
}

/// The first line of the marker; `None` if there is none.
fn marker(path: &Path) -> Result<Option<String>, OpenError> {
    match fs::read(path.join(MARKER)) {
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            let line = text.lines().next().unwrap_or_default();
            let ours = line.starts_with(OURS) || line.starts_with(BACKUP_OF_ANY_FORMAT);
            ours.then(|| Some(line.to_owned())).ok_or_else(|| OpenError::Foreign(path.into()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(refused(path, source)),
    }
}

/// Whether there is nothing but what a first try may have left.
fn is_bare(path: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(path)? {
        let name = entry?.file_name();
        if name != LOCK && name != MARKER_NEW {
            return Ok(false);
        }
    }
    Ok(true)
}

fn open_private(path: &Path, options: &mut OpenOptions) -> Result<File, OpenError> {
    options.read(true).write(true).mode(0o600).open(path).map_err(|source| refused(path, source))
}

fn sync(directory: &Path) -> Result<(), OpenError> {
    File::open(directory).and_then(|file| file.sync_all()).map_err(|source| refused(directory, source))
}

pub(super) fn refused(path: &Path, source: io::Error) -> OpenError {
    match source.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            OpenError::ReadOnly(path.into())
        }
        _ => OpenError::Io { path: path.into(), source },
    }
}

/// The format of the tables and of what lies around them.
pub(super) const FORMAT: u64 = 1;
const OURS: &str = "sosik log";
const BEGUN: &str = "sosik log begun, format 1";
const FINISHED: &str = "sosik log, format 1";
const BACKUP_OF_ANY_FORMAT: &str = "sosik backup";
const BACKUP_BEGUN: &str = "sosik backup begun, format 1";
const BACKUP: &str = "sosik backup, format 1";
const MARKER: &str = "format";
const MARKER_NEW: &str = "format.new";
const LOCK: &str = "lock";
const TABLES: &str = "tables";

#[cfg(test)]
mod tests {
    use super::*;

    // Mutant: the lock only closed -> in use by another process.
    #[test]
    fn a_directory_is_let_go_of_while_a_child_that_begins_has_a_copy_of_its_lock() {
        let scratch = sosik_testkit::Scratch::new();
        let directory = Directory::open(scratch.path()).unwrap();
        let in_the_child = directory._lock.0.try_clone().unwrap();
        assert!(matches!(Directory::open(scratch.path()), Err(OpenError::InUse(_))));
        drop(directory);
        let directory = Directory::open(scratch.path()).unwrap();
        drop(in_the_child);
        assert!(
            matches!(Directory::open(scratch.path()), Err(OpenError::InUse(_))),
            "that copy is not of this lock"
        );
        drop(directory);
    }
}
