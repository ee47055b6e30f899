//! What a following gives to the application.

use std::time::Duration;

use sosik_wire::{CaughtUp, EventFrame, GapFrame, TransportName};

use crate::error::Error;

/// What [`crate::Following::next`] gives.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Delivery {
    /// An event.
    Event(EventFrame),
    /// Events that are gone, in their place in the order; only with [`crate::GapPolicy::Tell`].
    Gap(GapFrame),
    /// The events that there were when a connection was opened have been delivered: from here on they are live.
    CaughtUp(CaughtUp),
    /// The following goes on over this transport: the first connection, one after an interruption, or a change.
    Connected(TransportName),
    /// The connection was lost; another attempt follows by itself.
    Interrupted(Interruption),
    /// A change that was asked for did not come about; the following goes on as before.
    NotChanged(Interruption),
}

/// A connection that failed.
#[derive(Debug, Clone)]
pub struct Interruption {
    /// Over which transport.
    pub transport: TransportName,
    /// Why.
    pub error: Error,
    /// When the next attempt begins; zero for a change that did not come about.
    pub again_in: Duration,
}

impl PartialEq for Interruption {
    fn eq(&self, other: &Self) -> bool {
        (self.transport, self.again_in, self.error.to_string())
            == (other.transport, other.again_in, other.error.to_string())
    }
}

/// What happened to a following so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Events delivered.
    pub events: u64,
    /// Events dropped because they had been delivered; some belong to every change of transport.
    pub repeats: u64,
    /// Gaps told.
    pub gaps: u64,
    /// Holes: events that were missing between two others without a word. Each is a fault of the server or of something
    /// between, and was re-read.
    pub holes: u64,
    /// Holes that were still there after the re-read; told as gaps.
    pub holes_left: u64,
    /// Connections lost.
    pub interruptions: u64,
}
