//! The six transports, one file each, all of one shape: [`Carrier`]. What two of them share has its own file.

mod endless;
mod frames;
mod long_poll;
mod one_shot;
mod poll;
mod sse;
mod stream;
mod tcp;
mod two_way;
mod websocket;

use std::{future::Future, sync::Arc, time::Duration};

use sosik_wire::{Advice, Down, Up};

pub(crate) use self::{
    long_poll::LongPoll, one_shot::read_page, poll::Poll, sse::Sse, stream::Stream, tcp::Tcp,
    two_way::SUBSCRIBE_ID, websocket::WebSocket,
};
use crate::{backoff::Return, error::Error, start::Ask, target::Target};

/// One connection, or one row of requests, that carries frames.
pub(crate) trait Carrier: Sized + Send {
    /// Asks for a set from a place on. Returns when the server has accepted the request.
    fn open(to: Arc<Target>, ask: Ask) -> impl Future<Output = Result<Self, Error>> + Send;

    /// Waits until something came. Dropped while it waits, it has lost nothing.
    fn more(&mut self) -> impl Future<Output = Result<(), Error>> + Send;

    /// The next of what came, `None` until there is more.
    fn next(&mut self) -> Result<Option<News>, Error>;

    /// Sends a frame, where frames go up the same way.
    fn send(&mut self, _: &Up) -> impl Future<Output = Result<(), Error>> + Send {
        async { Err(Error::Option("this transport carries nothing up".to_owned())) }
    }

    /// Says farewell where that is a custom, and closes.
    fn close(self) -> impl Future<Output = ()> + Send {
        async { drop(self) }
    }

    /// How long `more` may take before silence is suspicious, when the server promised a sign of life each `heartbeat`.
    fn patience(&self, heartbeat: Duration) -> Duration {
        heartbeat
    }

    /// Takes the server's hints about its own timers.
    fn advise(&mut self, _: &Advice) {}

    /// When to come back after an end without a goodbye, if the server said so.
    fn back(&self) -> Option<Return> {
        None
    }
}

/// What a carrier brings.
#[derive(Debug)]
pub(crate) enum News {
    /// A frame.
    Frame(Down),
    /// The reader's place, told beside the frames: everything up to it has been brought, and there is no more for now.
    CaughtUp(String),
}
