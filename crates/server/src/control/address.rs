//! Where the control socket is, also below a path that is too long for a socket's address.

use std::{
    fs::File,
    io,
    os::fd::AsRawFd,
    path::{Path, PathBuf},
};

/// A path to bind or to connect to. Valid as long as this lives.
#[derive(Debug)]
pub(super) struct Address {
    path: PathBuf,
    _directory: Option<File>,
}

impl Address {
    /// The socket in `data`.
    ///
    /// Errors: a long path where the system has no other name for a directory that is open.
    pub(super) fn of(data: &Path) -> io::Result<Self> {
        let path = data.join(NAME);
        if path.as_os_str().len() <= PATH_BYTES_MAX {
            return Ok(Self { path, _directory: None });
        }
        // A directory that is open has a short name: unix(7) bounds the address, not the path behind it.
        let directory = File::open(data)?;
        let open = Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string());
        if !open.exists() {
            let why = format!(
                "its path is longer than {PATH_BYTES_MAX} bytes, and there is no /proc to shorten it"
            );
            return Err(io::Error::new(io::ErrorKind::InvalidFilename, why));
        }
        Ok(Self { path: open.join(NAME), _directory: Some(directory) })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// The name of the socket.
pub(super) const NAME: &str = "control";
/// Longest path of a socket that every system takes: Linux has room for 107 bytes, others for 103 (unix(7)).
const PATH_BYTES_MAX: usize = 103;
