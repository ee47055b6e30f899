//! Why a write did not come to its end, and whether there is a way back.

use std::{
    fmt,
    io::{self, ErrorKind},
};

/// A commit has failed, and the engine below takes no other.
#[derive(Debug)]
pub(super) enum WriteError {
    /// A write found no room on the disk. Nothing that was synced before is touched: what follows the last whole commit
    /// in the journal is cut off when the engine is opened anew.
    NoRoom(fjall::Error),
    /// The engine below refuses, because something that it did by itself has failed. It does not say what.
    Refused,
    /// A sync has failed. What it covered may be lost although a later one would succeed, so there is no way back.
    Sync(fjall::Error),
    /// A write has failed for another reason than room.
    Write(fjall::Error),
}

impl WriteError {
    /// Of handing bytes to the system.
    pub(super) fn of_a_write(error: fjall::Error) -> Self {
        match error {
            fjall::Error::Poisoned => Self::Refused,
            error if is_no_room(&error) => Self::NoRoom(error),
            error => Self::Write(error),
        }
    }

    /// Of a sync, whatever the system says of the reason: also one that finds no room has given up what it was to write.
    pub(super) fn of_a_sync(error: fjall::Error) -> Self {
        match error {
            fjall::Error::Poisoned => Self::Refused,
            error => Self::Sync(error),
        }
    }
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRoom(error) => write!(f, "a write found no room on the disk: {error}"),
            Self::Refused => f.write_str("the engine has failed in the background"),
            Self::Sync(error) => write!(f, "a sync has failed: {error}"),
            Self::Write(error) => write!(f, "a write has failed: {error}"),
        }
    }
}

/// Whether the system said that there is no room: on the disk, in a quota, or under a limit to the size of files.
pub(super) fn is_no_room(error: &fjall::Error) -> bool {
    match error {
        fjall::Error::Io(error) | fjall::Error::Storage(fjall::LsmError::Io(error)) => says_no_room(error),
        _ => false,
    }
}

/// As [`is_no_room`], of the system's own error.
pub(super) fn says_no_room(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
}
