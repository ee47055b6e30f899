//! The life of the process: runs until it is told to stop, or until a part breaks.

use std::io;

use tokio::signal::unix::{SignalKind, signal};

use crate::{error::ServeError, running::Running};

/// Waits for SIGTERM or SIGINT, then stops `running`. A second signal ends the wait with [`ServeError::Interrupted`].
pub(crate) async fn run_until_told(mut running: Running) -> Result<(), ServeError> {
    let mut told = Told::listen()?;
    tokio::select! {
        broken = running.broken() => return Err(broken),
        name = told.next() => tracing::info!("{name}: saying goodbye to all connections"),
    }
    tokio::select! {
        cut = running.stop() => {
            if cut > 0 {
                tracing::warn!(cut, "connections took too long to end and were cut");
            }
            Ok(())
        }
        _ = told.next() => Err(ServeError::Interrupted),
    }
}

/// The signals that end a process politely.
struct Told {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Told {
    fn listen() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
