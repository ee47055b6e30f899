//! How much room there is on the file system of a log, and what is kept back of it.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::options::RESERVE_BYTES;

/// The file system that a log lies on.
pub(super) struct Space {
    directory: PathBuf,
    reserve_bytes: u64,
}

impl Space {
    pub(super) fn new(directory: PathBuf, reserve_bytes: u64) -> Self {
        Self { directory, reserve_bytes }
    }

    /// Bytes free for this user; `None` if the system does not say.
    pub(super) fn free(&self) -> Option<u64> {
        let told = rustix::fs::statvfs(&self.directory).ok()?;
        Some(told.f_bavail.saturating_mul(told.f_frsize))
    }

    /// Bytes that the files of the log take up.
    pub(super) fn used(&self) -> u64 {
        used_by(&self.directory)
    }

    /// Whether `bytes` may be added without touching the reserve. Yes if the system does not say: then only a write can
    /// find out.
    pub(super) fn takes(&self, bytes: u64) -> bool {
        self.free().is_none_or(|free| free >= self.reserve_bytes.saturating_add(bytes))
    }

    /// Whether there is so little room that work of the engine below may have failed for it.
    pub(super) fn is_short(&self) -> bool {
        self.free().is_some_and(|free| free < self.reserve_bytes.max(RESERVE_BYTES))
    }

    /// Whether there is so much room that an engine that ran out of it may be opened again.
    pub(super) fn is_roomy(&self) -> bool {
        self.free().is_none_or(|free| free >= self.reserve_bytes / ROOMY_PART)
    }
}

/// What cannot be read counts as nothing: files go while they are counted.
fn used_by(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(about) if about.is_dir() => used_by(&entry.path()),
        Ok(about) => about.blocks() * BLOCK_BYTES,
        Err(_) => 0,
    });
    sizes.sum()
}

/// What `st_blocks` counts in.
const BLOCK_BYTES: u64 = 512;
/// A part of the reserve is enough to open the engine and to take events away; appends wait for the whole.
const ROOMY_PART: u64 = 4;
