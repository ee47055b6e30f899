//! A directory that goes with its owner.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

/// A directory of its own below the system's temporary one. Dropping it removes it.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// An empty directory.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new() -> io::Result<Self> {
        let path =
            env::temp_dir().join(format!("sosik-test-{}-{:016x}", std::process::id(), fastrand::u64(..)));
        fs::create_dir(&path)?;
        Ok(Self { path })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}
