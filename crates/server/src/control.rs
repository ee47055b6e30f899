//! The control socket: what an operator asks of a running server, as HTTP over a Unix socket in the data directory.
//!
//! It is there while the server has the log open, for the user who runs it alone (mode 0600). Nothing of it can be reached
//! over a network. `curl --unix-socket sosik-data/control http://localhost/status` is a way to ask, as the commands of
//! `sosik` do.

mod address;
mod ask;
mod routes;
pub(crate) mod words;

use std::{
    fs::{self, Permissions},
    future::pending,
    io,
    os::unix::fs::{FileTypeExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use hyper::server::conn::http1;
use hyper_util::{rt::TokioIo, rt::TokioTimer, service::TowerToHyperService};
use tokio::{
    net::{UnixListener, UnixSocket, UnixStream},
    sync::Semaphore,
    task::JoinSet,
};

use self::address::Address;
pub(crate) use self::{
    ask::{Asked, ask},
    routes::Operated,
};

/// The socket of a running server. Dropping it removes the file; the listener lives in its task.
#[derive(Debug)]
pub(crate) struct Control {
    path: PathBuf,
}

impl Control {
    /// Listens in `data`, whose log this process has open: a socket that is there was left by a server that is gone.
    /// Returns what must be run as a task.
    ///
    /// Errors: the path does not fit into an address, or the file system has no sockets.
    pub(crate) fn open(
        data: &Path,
        operated: Operated,
    ) -> io::Result<(Self, impl Future<Output = ()> + use<>)> {
        let address = Address::of(data)?;
        remove(address.path())?;
        let socket = UnixSocket::new_stream()?;
        socket.bind(address.path())?;
        // Before it listens: nobody else has a moment to connect in.
        fs::set_permissions(address.path(), Permissions::from_mode(0o600))?;
        let listener = socket.listen(BACKLOG)?;
        Ok((Self { path: data.join(address::NAME) }, run(listener, operated)))
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.path) {
            tracing::warn!(%error, "the control socket is left behind");
        }
    }
}

/// Removes a socket; anything else of that name is not ours.
fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(file) if file.file_type().is_socket() => fs::remove_file(path),
        Ok(_) => Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "there is a file of that name which is no socket",
        )),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

async fn run(listener: UnixListener, operated: Operated) {
    let router = routes::router(operated);
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut http1 = http1::Builder::new();
    http1.timer(TokioTimer::new()).header_read_timeout(HEAD);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                // Beyond the limit it is closed without a word: who has that many commands under way is the operator.
                Ok((stream, _)) => if let Ok(slot) = slots.clone().try_acquire_owned() {
                    let serving = serve(http1.clone(), router.clone(), stream);
                    connections.spawn(async move {
                        serving.await;
                        drop(slot);
                    });
                },
                Err(error) => {
                    tracing::error!(%error, "cannot accept operators; the control socket is of no use until a restart");
                    return pending().await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(http1: http1::Builder, router: axum::Router, stream: UnixStream) {
    let service = TowerToHyperService::new(router);
    if let Err(error) = http1.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "control connection");
    }
}

/// Connections at a time; further ones are closed.
pub(crate) const CONNECTIONS_MAX: usize = 8;
/// Connections that wait to be accepted.
const BACKLOG: u32 = 16;
/// How long a request's head may take.
const HEAD: Duration = Duration::from_secs(10);
