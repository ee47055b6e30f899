//! What every transport shares: the node, the wait lists, the clock, the settings and the figures.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use sosik_core::{Grant, Node};

use crate::{clock::Clock, figures::Figures, sweep::Sweep};

/// What an operator may set for all transports. The defaults are in [`Settings::default`].
#[derive(Debug, Clone)]
pub struct Settings {
    /// Longest silence of a connection, milliseconds; a tenth less at random. Default 25,000.
    pub heartbeat_ms: u64,
    /// How long a long-poll is held when the request does not say, seconds. Default 25.
    pub wait_s: u64,
    /// Longest a long-poll may be held, seconds. Default 55.
    pub wait_s_max: u64,
    /// Interval that polls are told, milliseconds. Default 5,000.
    pub poll_next_ms: u64,
    /// How long a two-way connection may take to say hello, milliseconds. Default 5,000.
    pub hello_ms: u64,
    /// How long a connection may take no byte that is ready for it, milliseconds. Default 30,000.
    pub stall_ms: u64,
    /// How long a request body may take, milliseconds. Default 30,000.
    pub body_ms: u64,
    /// How long it may take whatever comes of it, milliseconds. Default 10,000.
    pub body_grace_ms: u64,
    /// How many bytes of it must have come for each second after that. Default 1,024.
    pub body_bytes_per_s_min: u64,
    /// Over how long clients are told to spread their return when the server goes down, milliseconds. Default 5,000.
    pub drain_spread_ms: u64,
    /// Whether the TCP transport is offered in welcomes.
    pub tcp: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            heartbeat_ms: 25_000,
            wait_s: 25,
            wait_s_max: 55,
            poll_next_ms: 5_000,
            hello_ms: 5_000,
            stall_ms: 30_000,
            body_ms: 30_000,
            body_grace_ms: 10_000,
            body_bytes_per_s_min: 1_024,
            drain_spread_ms: 5_000,
            tcp: true,
        }
    }
}

/// Who is asking. The server puts it into the extensions of each HTTP request and hands it to [`crate::tcp::serve`].
#[derive(Debug, Clone)]
pub struct Caller {
    /// What the caller may do.
    pub grant: Grant,
}

/// Everything that a transport needs.
#[derive(Debug)]
pub struct Hub {
    /// The core.
    pub node: Arc<Node>,
    /// The wait lists.
    pub sweep: Arc<Sweep>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What the operator set.
    pub settings: Settings,
    /// What happened so far.
    pub figures: Arc<Figures>,
    draining: AtomicBool,
}

impl Hub {
    /// `sweep` must be the herald that `node` was opened with. The server runs [`Sweep::run`] for each of its shards.
    pub fn new(node: Arc<Node>, sweep: Arc<Sweep>, clock: Arc<dyn Clock>, settings: Settings) -> Arc<Self> {
        Arc::new(Self {
            node,
            sweep,
            clock,
            settings,
            figures: Arc::default(),
            draining: AtomicBool::new(false),
        })
    }

    /// Says goodbye to every connection: held answers are given at once, streams end with `drain`.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::SeqCst);
        self.sweep.wake_all();
    }

    /// Whether [`Hub::drain`] was called.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }
}
