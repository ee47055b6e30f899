//! Why a commit did not come to its end, and whether there is a way back.

use std::{
    fmt,
    io::{self, ErrorKind},
};

/// A commit has failed, and the engine below takes no other.
#[derive(Debug)]
pub(super) enum WriteError {
    /// A write found no room on the disk, before the sync. Nothing that was synced before is touched: what follows the
    /// last whole commit in the journal is cut off when the engine is opened anew.
    NoRoom(fjall::Error),
    /// The engine refuses, because something that it did in the background has failed. It does not say what.
    Refused,
    /// A sync has failed, for whatever reason: what it covered may be lost although a later one would succeed, so there
    /// is no way back. Or a write has, for another reason than room.
    Final(fjall::Error),
}

impl WriteError {
    /// `was_written` looks whether the whole commit is in the journal: then all of it was handed to the system, and what
    /// failed is the sync.
    pub(super) fn new(error: fjall::Error, was_written: impl FnOnce() -> io::Result<bool>) -> Self {
        match error {
            fjall::Error::Poisoned => Self::Refused,
            error if is_no_room(&error) && was_written().is_ok_and(|whole| !whole) => Self::NoRoom(error),
            error => Self::Final(error),
        }
    }
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRoom(error) => write!(f, "a write found no room on the disk: {error}"),
            Self::Refused => f.write_str("the engine has failed in the background"),
            Self::Final(error) => write!(f, "a write or its sync has failed: {error}"),
        }
    }
}

/// Whether the system said that there is no room: on the disk, in a quota, or under a limit to the size of files.
pub(super) fn is_no_room(error: &fjall::Error) -> bool {
    match error {
        fjall::Error::Io(error) | fjall::Error::Storage(fjall::LsmError::Io(error)) => {
            matches!(
                error.kind(),
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge
            )
        }
        _ => false,
    }
}
