//! What an error of the engine below means: that the system refused, or that what was read is not what was written.

use std::{fmt, io};

use fjall::{Error, JournalRecoveryError, LsmError};
use sosik_core::store::StoreError;

/// What the system said, if it is the one who refused.
pub(super) fn system(error: &Error) -> Option<&io::Error> {
    match error {
        Error::Io(error) | Error::Storage(LsmError::Io(error)) if is_of_the_system(error) => Some(error),
        _ => None,
    }
}

/// The engine also says `Io` of bytes that end too early or make no sense to it, and of a file that is gone or too short
/// for where it seeks to: all of that is damage.
fn is_of_the_system(error: &io::Error) -> bool {
    let of_damage = [io::ErrorKind::NotFound, io::ErrorKind::InvalidInput];
    error.raw_os_error().is_some() && !of_damage.contains(&error.kind())
}

/// An error of the engine for people: its own text is for who writes it.
pub(super) struct Said<'a>(pub(super) &'a Error);

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Error::Io(error) | Error::Storage(LsmError::Io(error)) => write!(f, "{error}"),
            Error::JournalRecovery(JournalRecoveryError::InvalidFileName) => {
                f.write_str("a journal (*.jnl) has a name that none of them has")
            }
            Error::JournalRecovery(_) => f.write_str(
                "a write in one of its journals (*.jnl) is not what was written: its checksum or its length does not fit",
            ),
            Error::Storage(LsmError::ChecksumMismatch { .. }) => f.write_str("a checksum does not match"),
            Error::Storage(LsmError::Unrecoverable) | Error::Unrecoverable => {
                f.write_str("a file that its lists name is missing, or what a journal holds does not fit its tables")
            }
            Error::Storage(LsmError::InvalidVersion(_)) | Error::InvalidVersion(_) => {
                f.write_str("a file that says its version is missing, or says one that this program does not know")
            }
            Error::Decompress(_) | Error::Storage(LsmError::Decompress(_)) => {
                f.write_str("a part of a file cannot be unpacked")
            }
            Error::Storage(LsmError::InvalidHeader(_) | LsmError::InvalidTag(_) | LsmError::InvalidTrailer)
            | Error::Storage(LsmError::Utf8(_))
            | Error::InvalidTag(_)
            | Error::InvalidTrailer => f.write_str("a part of a file does not begin or end as what was written does"),
            Error::Poisoned => f.write_str("a write failed before, and it takes none since"),
            Error::Locked => f.write_str("another process has its tables open"),
            Error::KeyspaceDeleted => f.write_str("one of its tables was taken away"),
            // Variants that later versions add.
            error => write!(f, "{error}"),
        }
    }
}

/// The engine below could not read `what`.
pub(super) fn unreadable(what: String, error: Error) -> StoreError {
    let why = format!("{what} cannot be read: {}", Said(&error));
    if system(&error).is_some() { StoreError::System(why) } else { StoreError::Failed(why) }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Mutants: every `Io` taken for the system's; none -> both fail.
    #[test]
    fn a_disk_that_refuses_is_told_from_bytes_that_make_no_sense() {
        let refused = || io::Error::from_raw_os_error(5);
        let cut = || io::Error::from(io::ErrorKind::UnexpectedEof);
        for (error, is_system) in [
            (Error::Io(refused()), true),
            (Error::Storage(LsmError::Io(refused())), true),
            (Error::Storage(LsmError::Io(cut())), false),
            (Error::Io(io::Error::from_raw_os_error(2)), false),
            (Error::Io(io::Error::from_raw_os_error(22)), false),
            (Error::Poisoned, false),
        ] {
            let told = unreadable("it".into(), error);
            assert_eq!(matches!(told, StoreError::System(_)), is_system, "{told}");
        }
    }
    // Mutant: the engine's own text for the errors of journals -> `FjallError: JournalRecovery(ChecksumMismatch)`.
    #[test]
    fn damage_is_told_in_words_and_not_in_names_of_the_engine() {
        for error in [
            Error::JournalRecovery(JournalRecoveryError::ChecksumMismatch),
            Error::JournalRecovery(JournalRecoveryError::InsufficientLength),
            Error::JournalRecovery(JournalRecoveryError::InvalidFileName),
            Error::InvalidVersion(None),
            Error::InvalidTrailer,
            Error::InvalidTag(("ValueType", 9)),
            Error::Unrecoverable,
            Error::Poisoned,
            Error::Locked,
            Error::KeyspaceDeleted,
            Error::Storage(LsmError::Unrecoverable),
            Error::Storage(LsmError::InvalidHeader("Block")),
            Error::Storage(LsmError::InvalidVersion(9)),
        ] {
            let told = Said(&error).to_string();
            assert!(told.contains(' ') && told.chars().all(|c| !c.is_uppercase()), "{told}");
        }
    }
}
