//! Directories for logs on disk.

use std::{
    env,
    path::{Path, PathBuf},
};

use sosik_core::cursor::Epoch;
use sosik_store::{
    Disk,
    disk::{DiskOptions, OpenError},
};

/// A directory that goes with its owner.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// A path at which nothing is yet.
    #[allow(clippy::new_without_default, reason = "each is another one")]
    pub fn new() -> Self {
        let name = format!("sosik-disk-{}-{:016x}", std::process::id(), fastrand::u64(..));
        Self(env::temp_dir().join(name))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Opens the log in it; a new one has a random epoch.
    ///
    /// # Panics
    ///
    /// If it cannot be opened.
    pub fn open(&self) -> Disk {
        match self.try_open() {
            Ok(disk) => disk,
            Err(error) => panic!("{error}"),
        }
    }

    /// As [`Scratch::open`].
    pub fn try_open(&self) -> Result<Disk, OpenError> {
        Disk::open(&self.0, DiskOptions::new(Epoch::new(fastrand::u64(..))))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
