//! The fault proxy: a TCP proxy in front of one address, whose faults are switched while it runs.
//!
//! It forwards bytes and understands as little of them as it can: what is not HTTP/1 passes every fault that
//! speaks of HTTP untouched. Bytes are never lost or put in another order unless a fault says so, and a side
//! that does not read holds the other one up: every buffer has a limit.
//!
//! One file per fault, of one shape: its settings, then its `Fault`. A new one is a file, a
//! field of [`FaultPlan`] and a line in `line.rs`.

mod buffer;
mod connection;
mod cut;
mod delay;
mod fault;
mod faults;
mod line;
mod rechunk;
mod strip_upgrade;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

pub use buffer::{BUFFER_BYTES_MAX, Buffer};
pub use cut::{Cut, CutKind};
pub use delay::Delay;
pub use fault::Direction;
pub use faults::{FaultCounts, FaultPlan, Faults};
pub use line::{QUEUE_BYTES_MAX, READ_BYTES};
pub use rechunk::Rechunk;

/// Most connections at a time: 1,024. Further ones wait in the listener's backlog.
pub const CONNECTIONS_MAX: usize = 1_024;

/// A running proxy; dropping it closes the listener and every connection.
///
/// One connection holds at most, per direction, [`READ_BYTES`] + [`QUEUE_BYTES_MAX`], and
/// [`BUFFER_BYTES_MAX`] more while [`Buffer`] is on.
#[derive(Debug)]
pub struct FaultProxy {
    addr: SocketAddr,
    faults: Faults,
    _accepting: JoinSet<()>,
}

impl FaultProxy {
    /// Listens on a free port of 127.0.0.1 and forwards to `upstream`, with no fault switched on. The same
    /// `seed` draws the same numbers for the same connection (counted as they are accepted), direction and
    /// fault; switching one fault does not change what another draws.
    ///
    /// # Errors
    /// What binding the listener gives.
    pub async fn start(upstream: SocketAddr, seed: u64) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let addr = listener.local_addr()?;
        let faults = Faults::new(upstream, seed);
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, faults.clone()));
        Ok(Self { addr, faults, _accepting: accepting })
    }

    /// Where clients connect.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The switches and the counters.
    pub fn faults(&self) -> Faults {
        self.faults.clone()
    }
}

async fn accept(listener: TcpListener, faults: Faults) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
        let Ok((client, _)) = listener.accept().await else {
            // A peer that left while it waited, or no descriptor free: neither is the proxy's end.
            tokio::task::yield_now().await;
            continue;
        };
        let connection = faults.admit();
        connections.spawn(async move {
            connection.run(client).await;
            drop(place);
        });
    }
}
