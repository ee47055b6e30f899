//! What an operator may choose about a log on disk.

use std::time::Duration;

use sosik_core::cursor::Epoch;

use super::SCRUB_PAUSE;

/// How a log is opened.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct DiskOptions {
    /// The epoch to begin, where one is begun; must be random.
    pub fresh: Epoch,
    /// Bytes of the file system that appends leave free, by default [`RESERVE_BYTES`]. Trimming may use them, and so may
    /// the engine to write out its tables and to merge them. With less than the default a busy log that comes near the
    /// end of its disk may have to stop until there is room again; what it acknowledged is safe with any value.
    pub reserve_bytes: u64,
    /// How long the scrub rests before each of its passes over the whole log, by default [`SCRUB_PAUSE`]. It reads
    /// [`super::SCRUB_BYTES_PER_S`].
    pub scrub_pause: Duration,
}

impl DiskOptions {
    /// The defaults.
    pub fn new(fresh: Epoch) -> Self {
        Self { fresh, reserve_bytes: RESERVE_BYTES, scrub_pause: SCRUB_PAUSE }
    }
}

/// Default of [`DiskOptions::reserve_bytes`]: 256 MiB, which is two journals and the tables written out of memory
/// while they lie beside them.
pub const RESERVE_BYTES: u64 = 256 * 1024 * 1024;
