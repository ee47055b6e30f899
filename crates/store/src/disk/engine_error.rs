//! What an error of the engine below means: that the system refused, or that what was read is not what was written.

use std::{fmt, io};

use fjall::{Error, LsmError};
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

/// An error of the engine for people.
pub(super) struct Said<'a>(pub(super) &'a Error);

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Error::Io(error) | Error::Storage(LsmError::Io(error)) => write!(f, "{error}"),
            Error::Storage(LsmError::ChecksumMismatch { .. }) => f.write_str("a checksum does not match"),
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
}
