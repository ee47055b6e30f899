//! A disk that can be filled: a file system of some megabytes, mounted for one test alone.

use std::{
    io,
    path::{Path, PathBuf},
    process::Stdio,
};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::timeout,
};

use crate::{process::PATIENCE, scratch::Scratch};

/// A tmpfs in a mount namespace of its own, held open by a process. It goes with that process, and so when this is
/// dropped and also when the test is killed.
#[derive(Debug)]
pub struct SmallDisk {
    holder: Child,
    at: Scratch,
}

impl SmallDisk {
    /// An empty one of so many MiB.
    ///
    /// # Errors
    /// When the machine lets nobody mount a file system of his own; the message is the one of `unshare` or `mount`.
    pub async fn of_mib(mib: u64) -> io::Result<Self> {
        let at = Scratch::new()?;
        let mut holder = Command::new("unshare");
        holder.args(["-rm", "sh", "-c", HOLDS]).arg(at.path()).arg(format!("size={mib}m"));
        holder.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut holder = holder.spawn()?;
        let output = holder.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let line = timeout(PATIENCE, BufReader::new(output).lines().next_line()).await??;
        if line.as_deref() == Some("mounted") {
            return Ok(Self { holder, at });
        }
        let said = holder.wait_with_output().await?.stderr;
        let said = String::from_utf8_lossy(&said).into_owned();
        Err(io::Error::other(format!(
            "a small disk needs the right to mount a tmpfs (`unshare -rm`): {said}"
        )))
    }

    /// What a program is started through to see it: it takes the place of this, with the same process.
    ///
    /// # Panics
    /// When its holder has ended.
    #[must_use]
    pub fn through(&self) -> Vec<String> {
        let target = self.pid();
        ["nsenter", "--preserve-credentials", "--user", "--mount", "--target", &target]
            .map(str::to_owned)
            .to_vec()
    }

    /// Where it is for a program that sees it.
    #[must_use]
    pub fn inside(&self) -> &Path {
        self.at.path()
    }

    /// Bytes that are free.
    ///
    /// # Errors
    /// When the system does not say.
    pub async fn free(&self) -> io::Result<u64> {
        let ran = Command::new("stat").args(["-f", "-c", "%a %S"]).arg(self.outside()).output().await?;
        let said = String::from_utf8_lossy(&ran.stdout).into_owned();
        let numbers: Vec<u64> = said.split_whitespace().filter_map(|number| number.parse().ok()).collect();
        match numbers[..] {
            [blocks, bytes] => Ok(blocks * bytes),
            _ => Err(io::Error::other(format!("stat said {said:?}"))),
        }
    }

    /// Takes all but so many bytes away. What is written meanwhile comes off that.
    ///
    /// # Errors
    /// When that much is not free, or cannot be taken.
    pub async fn leave(&self, bytes: u64) -> io::Result<()> {
        let ballast = self.ballast();
        let mut said = String::new();
        for _ in 0..TRIES {
            let held = ballast.metadata().map_or(0, |file| file.len());
            let wanted = (held + self.free().await?).checked_sub(bytes).ok_or(io::ErrorKind::StorageFull)?;
            let mut taking = Command::new("fallocate");
            let ran = taking.arg("--length").arg(wanted.to_string()).arg(&ballast).output().await?;
            if ran.status.success() {
                return Ok(());
            }
            said = String::from_utf8_lossy(&ran.stderr).into_owned();
        }
        Err(io::Error::other(said))
    }

    /// Gives back all that [`SmallDisk::leave`] took.
    ///
    /// # Errors
    /// When the file cannot be removed.
    pub fn give_back(&self) -> io::Result<()> {
        std::fs::remove_file(self.ballast())
    }

    fn ballast(&self) -> PathBuf {
        self.outside().join("ballast")
    }

    /// Where it is for this process, which does not see it.
    fn outside(&self) -> PathBuf {
        let at = self.at.path();
        Path::new("/proc").join(self.pid()).join("root").join(at.strip_prefix("/").unwrap_or(at))
    }

    fn pid(&self) -> String {
        self.holder.id().expect("its holder is running").to_string()
    }
}

/// Between asking what is free and taking it, somebody may write.
const TRIES: usize = 20;
/// Mounts it over the directory it is given, says so, and holds it for longer than any test runs.
const HOLDS: &str = r#"mount -t tmpfs -o "$1,mode=0700" sosik-test "$0" && echo mounted && exec sleep 3600"#;
