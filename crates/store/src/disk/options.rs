//! What an operator may choose about a log on disk.

use sosik_core::cursor::Epoch;

/// How a log is opened.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct DiskOptions {
    /// The epoch to begin, where one is begun; must be random.
    pub fresh: Epoch,
}

impl DiskOptions {
    /// The defaults.
    pub fn new(fresh: Epoch) -> Self {
        Self { fresh }
    }
}
