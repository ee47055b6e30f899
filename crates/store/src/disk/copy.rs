//! Rows of a log on their way from one directory into another, each held against its checksum.

use std::{
    io,
    path::{Path, PathBuf},
};

use fjall::{Guard, UserKey, UserValue};
use sosik_core::store::StoreError;

use super::{
    OpenError,
    engine_error::system,
    layout::REMOVAL,
    space::Space,
    tables::{Tables, View},
    value,
    write_error::{WriteError, is_no_room},
};

/// How far a backup or a restore has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Copied {
    /// Rows of all tables.
    pub rows: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
}

/// Why a backup or a restore has failed. The text says what to do next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CopyError {
    /// One of the two directories could not be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// There is something in the directory to write to.
    #[error("{0} is not empty; choose an empty or a new directory")]
    NotEmpty(PathBuf),
    /// The copy would lie in the directory of the log, and be lost with it.
    #[error("{0} lies in the data directory, and would be lost with it; choose a directory beside it")]
    Inside(PathBuf),
    /// What was to be restored is not a backup.
    #[error("{0} is not a backup; name the directory that `sosik backup` has written")]
    NotABackup(PathBuf),
    /// What was to be restored is a backup that has not come to its end.
    #[error("{0} holds a backup that was not finished; take another one")]
    Unfinished(PathBuf),
    /// There is no room for the copy.
    #[error("there is not enough room for {0}; make room, or choose a directory on another disk")]
    NoRoom(PathBuf),
    /// A row is not what was written. The copy is not finished.
    #[error(
        "{0} is damaged; `sosik verify` says what else is, `sosik verify --repair` keeps what can be read"
    )]
    Damaged(String),
    /// The backup is not what was written.
    #[error("the backup in {0} is damaged: {1}; restore another one")]
    DamagedBackup(PathBuf, String),
    /// The log that was read could not be read on.
    #[error("the copy was interrupted: {0}; try again")]
    Interrupted(String),
    /// The copy could not be written.
    #[error("{path} cannot be written: {why}")]
    Write {
        /// The directory.
        path: PathBuf,
        /// What the system or the engine below said.
        why: String,
    },
}

/// A row of any table.
pub(super) type Row = (UserKey, UserValue);

/// The directory that is written to.
pub(super) struct Target<'a> {
    path: &'a Path,
    tables: Tables,
    copied: Copied,
}

impl<'a> Target<'a> {
    /// `tables` is a directory of the engine below, in `path`.
    pub(super) fn new(path: &'a Path, tables: &Path) -> Result<Self, CopyError> {
        let tables =
            Tables::open(tables).map_err(|error| failed(path, is_no_room(&error), error.to_string()))?;
        Ok(Self { path, tables, copied: Copied::default() })
    }

    /// Copies all tables. `read` answers the rows of one of them behind a key, in parts; `told` hears of each part.
    pub(super) fn fill(
        &mut self,
        mut read: impl FnMut(usize, Option<&[u8]>) -> Result<Vec<Row>, CopyError>,
        mut told: impl FnMut(Copied),
    ) -> Result<Copied, CopyError> {
        for (at, (_, table)) in self.tables.all().into_iter().enumerate() {
            let mut last: Option<UserKey> = None;
            loop {
                let rows = read(at, last.as_deref())?;
                let Some((key, _)) = rows.last() else { break };
                last = Some(key.clone());
                let mut writes = self.tables.batch();
                for (key, value) in rows {
                    self.copied.rows += 1;
                    self.copied.bytes += (key.len() + value.len()) as u64;
                    writes.insert(table, key, value);
                }
                let written = self.tables.settle().and_then(|()| self.tables.commit_unsynced(writes));
                written.map_err(|error| self.failed(&error))?;
                told(self.copied);
            }
        }
        Ok(self.copied)
    }

    pub(super) fn tables(&self) -> &Tables {
        &self.tables
    }

    /// Syncs and closes it.
    pub(super) fn finish(self) -> Result<(), CopyError> {
        self.tables.sync().map_err(|error| self.failed(&error))
    }

    pub(super) fn failed(&self, error: &WriteError) -> CopyError {
        let no_room = match error {
            WriteError::NoRoom(_) => true,
            WriteError::Refused => Space::new(self.path.into(), 0).is_short(),
            WriteError::Final(error) => is_no_room(error),
        };
        failed(self.path, no_room, error.to_string())
    }
}

/// At most [`ROWS_AT_ONCE`] rows of a table behind the key `after`.
pub(super) fn part(view: &View<'_>, table: usize, after: Option<&[u8]>) -> Result<Vec<Row>, CopyError> {
    let (name, table) = view.tables.all()[table];
    let mut rows = Vec::new();
    let mut bytes = 0;
    for row in view.rows_after(table, after) {
        let (key, value) = read(name, row)?;
        bytes += key.len() + value.len();
        rows.push((key, value));
        if rows.len() >= ROWS_AT_ONCE || bytes >= BYTES_AT_ONCE {
            break;
        }
    }
    Ok(rows)
}

fn read(table: &str, row: Guard) -> Result<Row, CopyError> {
    let (key, value) = row.into_inner().map_err(|error| match system(&error) {
        Some(said) => CopyError::Interrupted(format!("the table {table} cannot be read: {said}")),
        None => CopyError::Damaged(format!("the table {table}")),
    })?;
    // A removal is all in its key.
    let is_removal = table == "meta" && key.first() == Some(&REMOVAL) && value.is_empty();
    if !is_removal && !value::is_whole(&key, &value) {
        return Err(CopyError::Damaged(format!("the row {:?} of {table}", String::from_utf8_lossy(&key))));
    }
    Ok((key, value))
}

/// What a log that cannot be read on means for the copy of it.
pub(super) fn interrupted(error: &StoreError) -> CopyError {
    CopyError::Interrupted(error.to_string())
}

fn failed(path: &Path, no_room: bool, why: String) -> CopyError {
    if no_room { CopyError::NoRoom(path.into()) } else { CopyError::Write { path: path.into(), why } }
}

impl From<io::Error> for CopyError {
    fn from(error: io::Error) -> Self {
        Self::Interrupted(error.to_string())
    }
}

/// Rows that are held in memory at once.
const ROWS_AT_ONCE: usize = 1_000;
/// Bytes of rows that are held in memory at once, beside the last one: 1 MiB.
const BYTES_AT_ONCE: usize = 1024 * 1024;
