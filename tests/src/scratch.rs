//! Places on the disk that go with their owner.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::Command,
};

/// A directory of its own below the system's temporary one. Dropping it removes it.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    mounted: bool,
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
        Ok(Self { path, mounted: false })
    }

    /// An empty file system of so many bytes, in memory: what is written beyond them is refused. Needs the right to
    /// mount, which root has.
    ///
    /// # Errors
    /// When it cannot be mounted; the message is the one of `mount`.
    pub fn of_bytes(bytes: u64) -> io::Result<Self> {
        let mut this = Self::new()?;
        let ran = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={bytes},mode=0700"), "sosik-test"])
            .arg(&this.path)
            .output()?;
        if !ran.status.success() {
            let said = String::from_utf8_lossy(&ran.stderr).into_owned();
            return Err(io::Error::other(format!("a small disk needs `mount -t tmpfs`, as root: {said}")));
        }
        this.mounted = true;
        Ok(this)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.mounted {
            // Lazily: whoever still has a file open there keeps it, and the name is free.
            let _ = Command::new("umount").arg("--lazy").arg(&self.path).status();
        }
        let _ = fs::remove_dir_all(&self.path);
    }
}
