//! What an operator does with a data directory: through the control socket of the server that has it open, or, when no
//! server does, by opening it.
//!
//! Every call names the directory. A server that is asked does the work itself; nothing here reads its files meanwhile.

use std::{
    io,
    path::{Path, PathBuf},
};

use serde::{Serialize, de::DeserializeOwned};
use sosik_core::Epoch;
use sosik_store::{
    Disk,
    disk::{self, CopyError, DiskOptions, OpenError, RepairError},
};
use sosik_wire::{Code, Problem};

pub use crate::control::words::{Copied, Cut, Found, Mended, Removed, Status, Verified};
use crate::control::{
    Asked, ask,
    words::{Backup, Named, Nothing, Trim},
};

/// Why it could not be done. The text says what to do next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OperateError {
    /// The directory, or the log in it, cannot be used.
    #[error("{0}")]
    Data(#[from] OpenError),
    /// There is no copy.
    #[error("{0}")]
    Copy(CopyError),
    /// There is nothing to repair, and nothing was changed.
    #[error("{0}")]
    Whole(RepairError),
    /// A path that cannot be used.
    #[error("{0:?} cannot be used as a path; it must be UTF-8 and not empty")]
    Path(PathBuf),
    /// There is no log in the directory.
    #[error("there is no log of Sosik in {0}; name the directory of a server with --data")]
    Missing(PathBuf),
    /// Only a running server can do it, and none has the directory open.
    #[error(
        "no server runs on {0}; name the directory of one that does with --data, or start one with `sosik serve --data {0}`"
    )]
    NotRunning(PathBuf),
    /// It cannot be done while a server has the directory open.
    #[error("a server runs on {data}: {why}")]
    Running {
        /// The directory.
        data: PathBuf,
        /// Why not, and what to do.
        why: &'static str,
    },
    /// The server refused it.
    #[error("{}", .0.detail)]
    Refused(Problem),
    /// The server cannot use a directory that was named; nothing was done.
    #[error("{0}")]
    Unusable(String),
    /// The control socket could not be reached: nothing was done.
    #[error("cannot reach the server on {data}: {error}; nothing was done; {}", unreached(.error))]
    Unreached {
        /// The directory.
        data: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The server was asked, and its answer did not come or cannot be read: whether it was done is not known.
    #[error("the server on {data} was asked and has not answered: {error}; {}, so whether it was done is not known", lost(.error))]
    Lost {
        /// The directory.
        data: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The system gave no random bits.
    #[error("the system gives no random bits: {0}")]
    Random(#[from] getrandom::Error),
}

/// What to do when there is no way to the control socket.
fn unreached(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "run this as the user who runs the server",
        io::ErrorKind::InvalidFilename => "name it by a shorter path",
        _ => "try again, it may be going down or have too many commands under way",
    }
}

/// Why an answer may be missing.
fn lost(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::InvalidData => "use the program of the server's own version; it may have done it",
        _ => "it may have gone down meanwhile, or have too many commands under way",
    }
}

impl From<CopyError> for OperateError {
    fn from(error: CopyError) -> Self {
        match error {
            CopyError::Open(error) => Self::Data(error),
            error => Self::Copy(error),
        }
    }
}

impl From<RepairError> for OperateError {
    fn from(error: RepairError) -> Self {
        match error {
            RepairError::Open(error) => Self::Data(error),
            error => Self::Whole(error),
        }
    }
}

impl OperateError {
    /// Whether a directory is not one that can be used as it is: trying again is no use.
    pub fn is_of_a_directory(&self) -> bool {
        use CopyError::{DamagedBackup, Inside, NotABackup, NotEmpty, Unfinished};
        matches!(
            self,
            Self::Data(_)
                | Self::Missing(_)
                | Self::Unusable(_)
                | Self::Copy(NotEmpty(_) | Inside(_) | NotABackup(_) | Unfinished(_) | DamagedBackup(..))
        )
    }
}

/// How the server on `data` is. Errors: [`OperateError::NotRunning`] without one.
pub async fn status(data: &Path) -> Result<Status, OperateError> {
    match ask(data, "/status", None::<&Nothing>).await? {
        Asked::Answer(status) => Ok(status),
        Asked::Nobody => Err(OperateError::NotRunning(data.into())),
    }
}

/// Writes a copy of the log in `data`, as it is at one moment, into `to`, which must be missing or empty. A running server
/// does it and goes on meanwhile.
pub async fn backup(data: &Path, to: &Path) -> Result<Copied, OperateError> {
    let to = absolute(to)?;
    let asked = ask(data, "/backup", Some(&Backup { to: to.clone() })).await;
    match asked.map_err(of_the_target)? {
        Asked::Answer(copied) => Ok(copied),
        Asked::Nobody => {
            let options = DiskOptions::new(Epoch::new(getrandom::u64()?));
            let log = offline(data, move |data| Ok(Disk::open(data, options)?)).await?;
            let kept = log.backup(&to, |_| {}).await?;
            let renewed = log.renewed().map(ToString::to_string);
            // Closing it waits for its threads.
            blocking(move || {
                drop(log);
                Ok(())
            })
            .await?;
            Ok(Copied { renewed, ..Copied::of(&to, &kept) })
        }
    }
}

/// A question for a backup has one thing that can be wrong: the directory that it names. Told as without a server.
fn of_the_target(error: OperateError) -> OperateError {
    match error {
        OperateError::Refused(problem) if problem.code == Code::BadRequest.name() => {
            OperateError::Unusable(problem.detail.into())
        }
        error => error,
    }
}

/// Makes a log in `data`, which must be missing or empty, of the backup in `from`. It begins a new epoch: readers of the log
/// that the backup was taken of are told a gap.
pub async fn restore(from: &Path, data: &Path) -> Result<Copied, OperateError> {
    let (from, to) = (from.to_owned(), absolute(data)?);
    let fresh = Epoch::new(getrandom::u64()?);
    blocking(move || {
        let kept = disk::restore(&from, &to, fresh, |_| {})?;
        Ok(Copied::of(&to, &kept))
    })
    .await
}

/// Reads the whole log in `data` and says what is wrong; changes nothing. A running server goes on meanwhile.
pub async fn verify(data: &Path) -> Result<Verified, OperateError> {
    match ask(data, "/verify", Some(&Nothing {})).await? {
        Asked::Answer(verified) => Ok(verified),
        Asked::Nobody => offline(data, |data| Ok(Verified::from(&disk::verify(data)?))).await,
    }
}

/// Makes the log in `data` whole from what can be read of it; it begins a new epoch. Errors: [`OperateError::Running`]
/// while a server has it open, [`OperateError::Whole`] if nothing is damaged.
pub async fn repair(data: &Path) -> Result<Mended, OperateError> {
    if let Asked::Answer(Status { .. }) = ask(data, "/status", None::<&Nothing>).await? {
        let why = "a repair rewrites what it serves; stop the server, repair, and start it again";
        return Err(OperateError::Running { data: data.into(), why });
    }
    let fresh = Epoch::new(getrandom::u64()?);
    offline(data, move |data| Ok(Mended::from(&disk::repair(data, fresh)?))).await
}

/// Takes the oldest events of a channel away; readers are told a gap in their place. Errors: [`OperateError::NotRunning`]
/// without a server on `data`, as for the next two.
pub async fn trim(data: &Path, channel: &str, cut: Cut) -> Result<Removed, OperateError> {
    running(data, "/trim", &Trim { channel: channel.to_owned(), cut }).await
}

/// Takes all events of a channel away; its next event goes on with the next number.
pub async fn delete(data: &Path, channel: &str) -> Result<Removed, OperateError> {
    running(data, "/delete", &Named { channel: channel.to_owned() }).await
}

/// Removes a channel with its record, so that its name begins anew.
pub async fn forget(data: &Path, channel: &str) -> Result<Removed, OperateError> {
    running(data, "/forget", &Named { channel: channel.to_owned() }).await
}

/// Asks what only a running server does: it alone knows which events its readers still hold.
async fn running<A: DeserializeOwned>(
    data: &Path,
    path: &str,
    question: &impl Serialize,
) -> Result<A, OperateError> {
    match ask(data, path, Some(question)).await? {
        Asked::Answer(answer) => Ok(answer),
        Asked::Nobody => Err(OperateError::NotRunning(data.into())),
    }
}

/// Does `work` on a directory that no server has open, where it may block.
async fn offline<T: Send + 'static>(
    data: &Path,
    work: impl FnOnce(&Path) -> Result<T, OperateError> + Send + 'static,
) -> Result<T, OperateError> {
    let data = data.to_owned();
    blocking(move || {
        if !disk::is_log(&data)? {
            return Err(OperateError::Missing(data));
        }
        work(&data)
    })
    .await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, OperateError> + Send + 'static,
) -> Result<T, OperateError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

/// The server that is asked may stand in another directory.
fn absolute(path: &Path) -> Result<PathBuf, OperateError> {
    // A name that is no text could not be written into the question.
    let is_text = path.to_str().is_some();
    std::path::absolute(path).ok().filter(|_| is_text).ok_or_else(|| OperateError::Path(path.into()))
}
