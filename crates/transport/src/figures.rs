//! Counters of what the transports did; the server shows them as metrics.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use sosik_core::GapReason;
use sosik_wire::TransportName as Transport;

/// Counters since the start, and what is open now. Never labelled by channel or user.
#[derive(Debug, Default)]
pub struct Figures {
    transports: [TransportFigures; Transport::ALL.len()],
    gaps: [AtomicU64; 3],
    /// Holes that clients reported when they read again: each is a fault of ours or of a proxy.
    pub holes: AtomicU64,
    /// Events that publishers were told are stored.
    pub publishes: AtomicU64,
    /// Answers of poll and long-poll that were made; the others were given one that was there.
    pub answers: AtomicU64,
    /// Frames and requests that were refused.
    pub refused: AtomicU64,
}

/// Counters of one transport.
#[derive(Debug, Default)]
pub struct TransportFigures {
    /// Connections, or held requests, that are open now.
    pub open: AtomicU64,
    /// Connections or requests since the start.
    pub opened: AtomicU64,
    /// Events written.
    pub deliveries: AtomicU64,
}

impl Figures {
    /// The counters of one transport.
    pub fn of(&self, transport: Transport) -> &TransportFigures {
        &self.transports[transport as usize]
    }

    /// Gaps told so far for one reason.
    pub fn gaps(&self, reason: GapReason) -> u64 {
        self.gaps[reason as usize].load(Ordering::Relaxed)
    }

    pub(crate) fn answers_made(&self) {
        self.answers.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn gap(&self, reason: GapReason) {
        self.gaps[reason as usize].fetch_add(1, Ordering::Relaxed);
    }
}

/// Counts as open from its making to its drop.
#[derive(Debug)]
pub(crate) struct Open {
    figures: Arc<Figures>,
    transport: Transport,
}

impl Open {
    pub(crate) fn new(figures: &Arc<Figures>, transport: Transport) -> Self {
        let own = figures.of(transport);
        own.open.fetch_add(1, Ordering::Relaxed);
        own.opened.fetch_add(1, Ordering::Relaxed);
        Self { figures: figures.clone(), transport }
    }

    pub(crate) fn delivered(&self, events: u64) {
        if events > 0 {
            self.figures.of(self.transport).deliveries.fetch_add(events, Ordering::Relaxed);
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.figures.of(self.transport).open.fetch_sub(1, Ordering::Relaxed);
    }
}
