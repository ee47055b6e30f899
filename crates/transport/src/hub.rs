//! What every transport shares: the node, the wait lists, the clock, the settings and the figures.

use std::sync::{
    Arc, OnceLock,
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
    /// Over how long clients are told to spread their return when the server goes down, milliseconds, when there are few of
    /// them. Default 5,000.
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

#[derive(Debug, Clone, Copy)]
struct Drain {
    from_ms: u64,
    window_ms: u64,
    spread_ms: u64,
}

/// Who is asking. The server puts it into the extensions of each HTTP request and hands it to [`crate::tcp::open`].
#[derive(Debug, Clone)]
pub struct Caller {
    /// What the caller may do.
    pub grant: Arc<Grant>,
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
    short: AtomicBool,
    /// When the drain began on the steady clock, and how long its goodbyes take; `None` while it has not.
    drain: OnceLock<Drain>,
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
            short: AtomicBool::new(false),
            drain: OnceLock::new(),
        })
    }

    /// From now on, or no longer: the process has too little memory, and new readers are refused with `overloaded`. Polls are
    /// answered, and long-polls at once: they hold nothing. Who reads goes on, and so do publishes.
    pub fn run_short(&self, is_short: bool) {
        self.short.store(is_short, Ordering::Relaxed);
    }

    /// What [`Hub::run_short`] said last.
    pub fn is_short(&self) -> bool {
        self.short.load(Ordering::Relaxed)
    }

    /// Says goodbye to every connection at once: held answers are given, streams end with `drain`.
    pub fn drain(&self) {
        self.drain_over(0, self.settings.drain_spread_ms);
    }

    /// The same, the goodbyes spread over `window_ms`; clients are told to spread their return over `spread_ms`. Of no effect
    /// when a drain has begun.
    pub fn drain_over(&self, window_ms: u64, spread_ms: u64) {
        let from_ms = self.clock.steady_ms();
        let _ = self.drain.set(Drain { from_ms, window_ms, spread_ms });
        self.sweep.wake_all();
    }

    /// Whether [`Hub::drain`] was called.
    pub fn is_draining(&self) -> bool {
        self.drain.get().is_some()
    }

    /// When a connection whose place in the window is `turn` hears its goodbye, on the steady clock; never while the server
    /// stays.
    pub(crate) fn leaves_at(&self, turn: u16) -> u64 {
        self.drain
            .get()
            .map_or(u64::MAX, |drain| drain.from_ms + drain.window_ms * u64::from(turn) / u64::from(u16::MAX))
    }

    /// Over how long clients are told to spread their return.
    pub(crate) fn spread_ms(&self) -> u64 {
        self.drain.get().map_or(self.settings.drain_spread_ms, |drain| drain.spread_ms)
    }
}
