//! One reader with its peer: looks when woken, writes what it finds, keeps time.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use sosik_core::{Cursor, Error, Joined, Reader};
use sosik_wire::{Down, Goodbye, GoodbyeFrame, TransportName as Transport};

use crate::{
    figures::Open,
    form::{Form, Pieces},
    hub::Hub,
    pump::{Outbox, Peer, Pumped, Tally, pump},
    sweep::Seat,
};

/// A reader, its place in the wait lists, and what is promised to its peer.
pub(crate) struct Feed {
    pub(crate) hub: Arc<Hub>,
    pub(crate) outbox: Outbox,
    form: Form,
    open: Open,
    seat: Seat,
    reading: Reading,
    generation: u64,
    beat_at: u64,
    blocked_since: Option<u64>,
    /// Another deadline of the owner, on the steady clock.
    pub(crate) due: u64,
}

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

/// Why a feed's turn ended.
pub(crate) enum Turn {
    /// A subscribe is answered, or must be refused.
    Subscribed { id: Option<u64>, channels: Vec<String>, token: u64, outcome: Result<Joined, Error> },
    /// The backlog of a subscribe is done.
    Joined(u64, Option<Cursor>),
    /// The feed ends with this goodbye.
    Over(GoodbyeFrame),
    /// The peer is gone.
    Closed,
}

impl Feed {
    pub(crate) fn new(hub: &Arc<Hub>, transport: Transport, form: Form) -> Self {
        let mut feed = Self {
            hub: hub.clone(),
            outbox: Outbox::default(),
            form,
            open: Open::new(&hub.figures, transport),
            seat: hub.sweep.sit(),
            reading: Reading::Nothing,
            generation: u64::MAX,
            beat_at: 0,
            blocked_since: None,
            due: u64::MAX,
        };
        feed.beat();
        feed
    }

    /// The same with a reader.
    pub(crate) fn of(hub: &Arc<Hub>, transport: Transport, form: Form, reader: Reader) -> Self {
        let mut feed = Self::new(hub, transport, form);
        feed.reading = Reading::Here(reader);
        feed
    }

    /// Promises a frame to the peer.
    pub(crate) fn push(&mut self, frame: &Down) {
        let pieces = self.form.frame(frame);
        self.outbox.push(pieces);
    }

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

    /// Takes the reader out for something that has to wait; [`Feed::send_away`] must follow.
    pub(crate) fn take_reader(&mut self) -> Option<Reader> {
        match std::mem::replace(&mut self.reading, Reading::Nothing) {
            Reading::Here(reader) => Some(reader),
            Reading::Nothing | Reading::Away(_) => None,
        }
    }

    pub(crate) fn send_away(&mut self, job: impl Future<Output = (Option<Reader>, Answer)> + Send + 'static) {
        self.reading = Reading::Away(Box::pin(job));
    }

    /// Looks and writes as far as it goes. `Pending` means that `cx` will be woken: by the herald, by the peer, by the
    /// reader coming back, or when something is due.
    pub(crate) fn turn(&mut self, cx: &mut Context<'_>, peer: &mut impl Peer) -> Poll<Turn> {
        self.seat.register(cx);
        if self.hub.is_draining() {
            let settings = &self.hub.settings;
            return Poll::Ready(Turn::Over(Goodbye::Drain.frame_after(0, settings.drain_spread_ms)));
        }
        if let Poll::Ready(turn) = self.come_back(cx) {
            return Poll::Ready(turn);
        }
        let steady = self.hub.clock.steady_ms();
        if steady >= self.beat_at && self.outbox.is_empty() {
            self.outbox.push(self.form.heartbeat());
            self.beat_at = steady + self.hub.settings.heartbeat_ms;
        }
        let mut tally = Tally::default();
        let pumped = self.pump(peer, &mut tally);
        self.count(&tally, steady);
        match pumped {
            Pumped::Idle => {}
            Pumped::Blocked => _ = self.blocked_since.get_or_insert(steady),
            Pumped::Closed => return Poll::Ready(Turn::Closed),
            Pumped::Over(error) => return Poll::Ready(Turn::Over(Goodbye::from(&error).frame())),
            Pumped::Joined(token, cursor) => return Poll::Ready(Turn::Joined(token, cursor)),
            Pumped::Again => cx.waker().wake_by_ref(),
            Pumped::Below => {
                self.fetch();
                cx.waker().wake_by_ref();
            }
        }
        self.seat.due(self.next_due(steady));
        Poll::Pending
    }

    /// Whether the peer has taken no byte for longer than allowed.
    pub(crate) fn is_stalled(&self) -> bool {
        let steady = self.hub.clock.steady_ms();
        self.blocked_since.is_some_and(|since| steady >= since + self.hub.settings.stall_ms)
    }

    fn pump(&mut self, peer: &mut impl Peer, tally: &mut Tally) -> Pumped {
        match &mut self.reading {
            Reading::Here(reader) => {
                if self.generation != reader.generation() {
                    self.generation = reader.generation();
                    self.seat.follow(reader.watches());
                }
                pump(reader, &mut self.outbox, &self.form, peer, self.hub.clock.wall_ms(), tally)
            }
            Reading::Nothing | Reading::Away(_) => self.outbox.flush(peer, tally).unwrap_or(Pumped::Idle),
        }
    }

    fn come_back(&mut self, cx: &mut Context<'_>) -> Poll<Turn> {
        let Reading::Away(job) = &mut self.reading else { return Poll::Pending };
        let Poll::Ready((reader, answer)) = job.as_mut().poll(cx) else { return Poll::Pending };
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

    fn count(&mut self, tally: &Tally, steady: u64) {
        if tally.bytes > 0 {
            self.blocked_since = None;
            self.beat_at = steady + self.heartbeat_ms();
        }
        self.open.delivered(tally.events);
        tally.gaps.iter().for_each(|reason| self.hub.figures.gap(*reason));
    }

    fn beat(&mut self) {
        self.beat_at = self.hub.clock.steady_ms() + self.heartbeat_ms();
    }

    /// Up to a tenth less than announced, so that cohorts drift apart.
    fn heartbeat_ms(&self) -> u64 {
        let most = self.hub.settings.heartbeat_ms;
        most - fastrand::u64(0..=most / 10)
    }

    fn next_due(&self, steady: u64) -> u64 {
        let stall = self.blocked_since.map(|since| since + self.hub.settings.stall_ms);
        let reader = match &self.reading {
            Reading::Here(reader) => {
                reader.due().map(|wall| steady + wall.saturating_sub(self.hub.clock.wall_ms()))
            }
            Reading::Nothing | Reading::Away(_) => None,
        };
        // While blocked a heartbeat cannot be written, and the stall decides.
        let beat = stall.unwrap_or(self.beat_at);
        beat.min(self.due).min(reader.unwrap_or(u64::MAX))
    }
}

/// The reader is not here at the moment; it will be.
#[derive(Debug)]
pub(crate) struct Away;
