//! Where a feed stands: all of it that its task and the sweepers share, under one lock.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use sosik_core::{Cursor, Error, Joined, Reader};
use sosik_wire::{Down, Goodbye, TransportName as Transport};

use super::Turn;
use crate::{
    clock::Now,
    connection::Connection,
    figures::Open,
    form::{Form, Pieces},
    hub::Hub,
    pump::{Outbox, Peer, Pumped, ROUNDS_MAX, SWEPT_ROUNDS_MAX, Socket, Tally, pump},
};

/// A reader's place, its connection, and what is promised there.
pub(crate) struct Place {
    pub(crate) connection: Option<Connection>,
    pub(crate) outbox: Outbox,
    form: Form,
    open: Open,
    reading: Reading,
    /// The task has nothing to do: whoever has news may look.
    parked: bool,
    waker: Option<Waker>,
    /// What a sweep found that only the task can answer.
    joined: Option<Box<(u64, Option<Cursor>)>>,
    beat_at: u64,
    blocked_since: Option<u64>,
    /// Another deadline of the owner, on the steady clock.
    pub(crate) due: u64,
    /// Its place among the goodbyes of a drain.
    turn: u16,
}

#[allow(
    clippy::large_enum_variant,
    reason = "nearly every feed has its reader here, and a box would be one more"
)]
enum Reading {
    /// Nothing is followed yet.
    Nothing,
    Here(Reader),
    /// With the store, or being opened; comes back with the answer to whoever asked.
    Away(Pin<Box<dyn Future<Output = (Option<Reader>, Answer)> + Send>>),
}

/// What a reader comes back with.
pub(crate) enum Answer {
    /// It fetched a page.
    Fetched(Result<(), Error>),
    /// It was opened, or joined channels, for the frame with this id.
    Subscribed { id: Option<u64>, channels: Vec<String>, token: u64, outcome: Result<Joined, Error> },
}

/// The reader is not here at the moment; it will be.
#[derive(Debug)]
pub(crate) struct Away;

impl Place {
    pub(super) fn new(hub: &Hub, transport: Transport, form: Form, connection: Option<Connection>) -> Self {
        Self {
            connection,
            outbox: Outbox::default(),
            form,
            open: Open::new(&hub.figures, transport),
            reading: Reading::Nothing,
            parked: false,
            waker: None,
            joined: None,
            beat_at: hub.clock.steady_ms() + heartbeat_ms(hub),
            blocked_since: None,
            due: u64::MAX,
            turn: fastrand::u16(..),
        }
    }

    /// Follows with this reader.
    pub(crate) fn read(&mut self, reader: Reader) {
        self.reading = Reading::Here(reader);
    }

    /// Promises a frame to the peer.
    pub(crate) fn push(&mut self, frame: &Down) {
        let pieces = self.form.frame(frame);
        self.outbox.push(pieces);
    }

    /// Promises bytes of the transport's own.
    pub(crate) fn push_pieces(&mut self, pieces: Pieces) {
        self.outbox.push(pieces);
    }

    /// The reader, unless it is away; `Ok(None)` when nothing was followed yet.
    pub(crate) fn reader(&mut self) -> Result<Option<&mut Reader>, Away> {
        match &mut self.reading {
            Reading::Nothing => Ok(None),
            Reading::Here(reader) => Ok(Some(reader)),
            Reading::Away(_) => Err(Away),
        }
    }

    /// Takes the reader out for something that has to wait; [`Place::send_away`] must follow.
    pub(crate) fn take_reader(&mut self) -> Option<Reader> {
        match std::mem::replace(&mut self.reading, Reading::Nothing) {
            Reading::Here(reader) => Some(reader),
            Reading::Nothing | Reading::Away(_) => None,
        }
    }

    pub(crate) fn send_away(&mut self, job: impl Future<Output = (Option<Reader>, Answer)> + Send + 'static) {
        self.reading = Reading::Away(Box::pin(job));
    }

    /// Whether the peer has taken no byte for longer than allowed.
    pub(crate) fn is_stalled(&self, hub: &Hub) -> bool {
        let steady = hub.clock.steady_ms();
        self.blocked_since.is_some_and(|since| steady >= since + hub.settings.stall_ms)
    }

    /// The task's turn, to its own connection.
    pub(super) fn turn(&mut self, hub: &Hub, now: Now, waker: &Waker) -> Poll<Turn> {
        let Some(mut io) = self.connection.take() else { return Poll::Ready(Turn::Closed) };
        let mut peer = Socket { io: &mut io, cx: &mut Context::from_waker(waker) };
        let turned = self.turn_to(hub, now, waker, &mut peer);
        self.connection = Some(io);
        turned
    }

    /// The task's turn, to `peer`.
    pub(super) fn turn_to(&mut self, hub: &Hub, now: Now, waker: &Waker, peer: &mut impl Peer) -> Poll<Turn> {
        self.parked = false;
        if !self.waker.as_ref().is_some_and(|own| own.will_wake(waker)) {
            self.waker = Some(waker.clone());
        }
        if let Some(joined) = self.joined.take() {
            return Poll::Ready(Turn::Joined(joined.0, joined.1));
        }
        if self.leaves(hub, now) {
            return Poll::Ready(Turn::Over(Goodbye::Drain.frame_after(0, hub.spread_ms())));
        }
        if let Poll::Ready(turn) = self.come_back(waker) {
            return Poll::Ready(turn);
        }
        match self.pump(hub, now, ROUNDS_MAX, peer) {
            Pumped::Idle => self.parked = true,
            Pumped::Blocked => {}
            Pumped::Closed => return Poll::Ready(Turn::Closed),
            Pumped::Over(error) => return Poll::Ready(Turn::Over(Goodbye::from(&error).frame())),
            Pumped::Joined(token, cursor) => return Poll::Ready(Turn::Joined(token, cursor)),
            Pumped::Again => waker.wake_by_ref(),
            Pumped::Below => {
                self.fetch();
                waker.wake_by_ref();
            }
        }
        Poll::Pending
    }

    /// A sweeper's look: writes in place what it can, and wakes the task for the rest. A feed that is not parked is about
    /// to look by itself.
    pub(super) fn look(&mut self, hub: &Hub, now: Now) {
        if !self.parked {
            // Only its task can end a peer that takes nothing.
            return if now.steady_ms >= self.next_due(hub, now) {
                self.wake()
            };
        }
        let connection = self.connection.take();
        let in_place = connection.as_ref().and_then(Connection::in_place).filter(|_| !self.leaves(hub, now));
        let pumped = in_place.map(|mut peer| self.pump(hub, now, SWEPT_ROUNDS_MAX, &mut peer));
        self.connection = connection;
        match pumped {
            Some(Pumped::Idle) if now.steady_ms < self.due => {}
            Some(Pumped::Joined(token, cursor)) => {
                self.joined = Some(Box::new((token, cursor)));
                self.wake();
            }
            _ => self.wake(),
        }
    }

    /// Lets the task look.
    pub(super) fn wake(&mut self) {
        self.parked = false;
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }

    /// Whether the server goes down and it is this one's turn.
    pub(crate) fn leaves(&self, hub: &Hub, now: Now) -> bool {
        now.steady_ms >= hub.leaves_at(self.turn)
    }

    /// Writes what was promised.
    pub(super) fn flush(&mut self, cx: &mut Context<'_>, tally: &mut Tally) {
        if let Some(io) = &mut self.connection {
            self.outbox.flush(&mut Socket { io, cx }, tally);
        }
    }

    /// Lets go of everything.
    pub(super) fn end(&mut self) -> Option<Connection> {
        (self.parked, self.waker, self.reading) = (false, None, Reading::Nothing);
        self.connection.take()
    }

    /// When to look even without news, on the steady clock.
    pub(super) fn next_due(&self, hub: &Hub, now: Now) -> u64 {
        let stall = self.blocked_since.map(|since| since + hub.settings.stall_ms);
        let reader = match &self.reading {
            Reading::Here(reader) => reader.due().map(|wall| now.steady_at(wall)),
            Reading::Nothing | Reading::Away(_) => None,
        };
        // While blocked a heartbeat cannot be written, and the stall decides.
        let beat = stall.unwrap_or(self.beat_at);
        beat.min(self.due).min(reader.unwrap_or(u64::MAX)).min(hub.leaves_at(self.turn))
    }

    fn pump(&mut self, hub: &Hub, now: Now, rounds: usize, peer: &mut impl Peer) -> Pumped {
        if now.steady_ms >= self.beat_at && self.outbox.is_empty() {
            self.outbox.push(self.form.heartbeat());
            self.beat_at = now.steady_ms + hub.settings.heartbeat_ms;
        }
        let mut tally = Tally::default();
        let pumped = match &mut self.reading {
            Reading::Here(reader) => {
                pump(reader, &mut self.outbox, &self.form, peer, now.wall_ms, rounds, &mut tally)
            }
            Reading::Nothing | Reading::Away(_) => {
                self.outbox.flush(peer, &mut tally).unwrap_or(Pumped::Idle)
            }
        };
        if tally.bytes > 0 {
            self.blocked_since = None;
            self.beat_at = now.steady_ms + heartbeat_ms(hub);
        }
        if matches!(pumped, Pumped::Blocked) {
            self.blocked_since.get_or_insert(now.steady_ms);
        }
        self.open.delivered(tally.events);
        tally.gaps.iter().for_each(|reason| hub.figures.gap(*reason));
        pumped
    }

    fn come_back(&mut self, waker: &Waker) -> Poll<Turn> {
        let Reading::Away(job) = &mut self.reading else { return Poll::Pending };
        let Poll::Ready((reader, answer)) = job.as_mut().poll(&mut Context::from_waker(waker)) else {
            return Poll::Pending;
        };
        self.reading = reader.map_or(Reading::Nothing, Reading::Here);
        match answer {
            Answer::Fetched(Ok(())) => Poll::Pending,
            Answer::Fetched(Err(error)) => Poll::Ready(Turn::Over(Goodbye::from(&error).frame())),
            Answer::Subscribed { id, channels, token, outcome } => {
                Poll::Ready(Turn::Subscribed { id, channels, token, outcome })
            }
        }
    }

    fn fetch(&mut self) {
        if let Some(mut reader) = self.take_reader() {
            self.send_away(async move {
                let outcome = reader.fetch().await;
                (Some(reader), Answer::Fetched(outcome))
            });
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place")
            .field("form", &self.form)
            .field("parked", &self.parked)
            .finish_non_exhaustive()
    }
}

/// Up to a tenth less than announced, so that cohorts drift apart.
fn heartbeat_ms(hub: &Hub) -> u64 {
    let most = hub.settings.heartbeat_ms;
    most - fastrand::u64(0..=most / 10)
}
