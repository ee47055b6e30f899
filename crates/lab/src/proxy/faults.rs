//! The switches and counters of a running proxy.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

use super::buffer::Buffer;
use super::connection::Connection;
use super::cut::{Cut, CutKind};
use super::delay::Delay;
use super::rechunk::Rechunk;

/// Which faults are on. The default is none: the proxy forwards and does nothing else.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct FaultPlan {
    /// Cut after a number of bytes. On a running connection the count begins when it is set.
    pub cut: Option<Cut>,
    /// Hold back what clients send.
    pub delay_up: Option<Delay>,
    /// Hold back what the upstream answers.
    pub delay_down: Option<Delay>,
    /// Send in pieces, in both directions.
    pub rechunk: Option<Rechunk>,
    /// Hold what the upstream answers. When it is switched off, what is held goes on.
    pub buffer: Option<Buffer>,
    /// Take the upgrade out of request heads: of the heads that end from now on.
    pub strip_upgrade: bool,
}

/// The switches of a running [`FaultProxy`](super::FaultProxy), and its counters. Clones share them; one that
/// outlives its proxy does nothing.
#[derive(Clone, Debug)]
pub struct Faults {
    shared: Arc<Shared>,
}

/// What a proxy has done so far.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct FaultCounts {
    /// Connections accepted.
    pub connections: u64,
    /// Of these, connections that are still there.
    pub open: u64,
    /// Bytes written to the upstream.
    pub bytes_up: u64,
    /// Bytes written to clients.
    pub bytes_down: u64,
    /// Connections ended by a [`Cut`] or by [`Faults::cut_all`].
    pub cuts: u64,
    /// Connections closed because the upstream could not be reached.
    pub refused: u64,
}

#[derive(Debug)]
struct Shared {
    seed: u64,
    upstream: watch::Sender<SocketAddr>,
    plan: watch::Sender<FaultPlan>,
    cut: watch::Sender<CutKind>,
    counters: Arc<Counters>,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) connections: AtomicU64,
    pub(super) open: AtomicU64,
    pub(super) bytes_up: AtomicU64,
    pub(super) bytes_down: AtomicU64,
    pub(super) cuts: AtomicU64,
    pub(super) refused: AtomicU64,
}

impl Faults {
    pub(super) fn new(upstream: SocketAddr, seed: u64) -> Self {
        Self {
            shared: Arc::new(Shared {
                seed,
                upstream: watch::Sender::new(upstream),
                plan: watch::Sender::new(FaultPlan::default()),
                cut: watch::Sender::new(CutKind::Fin),
                counters: Arc::default(),
            }),
        }
    }

    /// Switches to this plan: for connections accepted from now on wholly, for running ones as each fault says. Bytes that
    /// reach the proxy after this are under it.
    pub fn set(&self, plan: FaultPlan) {
        self.shared.plan.send_replace(plan);
    }

    /// The plan in force.
    pub fn plan(&self) -> FaultPlan {
        self.shared.plan.borrow().clone()
    }

    /// Cuts every connection accepted so far, now. Those still in the listener's backlog are not.
    pub fn cut_all(&self, kind: CutKind) {
        self.shared.cut.send_replace(kind);
    }

    /// Connections accepted from now on go to this address: a server that came back on another port.
    pub fn set_upstream(&self, upstream: SocketAddr) {
        self.shared.upstream.send_replace(upstream);
    }

    /// The counters at this moment.
    pub fn counts(&self) -> FaultCounts {
        let counters = &self.shared.counters;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        FaultCounts {
            connections: read(&counters.connections),
            open: read(&counters.open),
            bytes_up: read(&counters.bytes_up),
            bytes_down: read(&counters.bytes_down),
            cuts: read(&counters.cuts),
            refused: read(&counters.refused),
        }
    }

    /// A connection that was accepted just now: from here on `cut_all` means it too.
    pub(super) fn admit(&self) -> Connection {
        let counters = Arc::clone(&self.shared.counters);
        Connection::new(
            self.shared.seed,
            counters.connections.fetch_add(1, Ordering::Relaxed),
            *self.shared.upstream.borrow(),
            self.shared.plan.subscribe(),
            self.shared.cut.subscribe(),
            counters,
        )
    }
}
