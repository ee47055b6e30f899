//! One reader with its peer: looks when something may follow, writes what it finds, keeps time.
//!
//! A feed is shared between its task and the sweepers. Its task reads from the client, waits for the store and for the
//! socket. While it has nothing to do the feed is *parked*, and whoever sweeps writes to the socket in place: no task is
//! woken for news.

mod place;
#[cfg(test)]
mod schedules;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use sosik_core::{Cursor, Error, Joined};
use sosik_wire::{Down, GoodbyeFrame, TransportName as Transport};

pub(crate) use place::{Answer, Place};

use crate::{
    clock::Now,
    connection::Connection,
    form::Form,
    hub::Hub,
    pump::{Peer, Tally},
    stand_in::{Mutex, MutexGuard},
    sweep::{Listing, Waiter},
};

/// A reader, its place in the wait lists, and what is promised to its peer: the side of its task.
#[derive(Debug)]
pub(crate) struct Feed {
    shared: Arc<Shared>,
    listing: Listing,
    generation: u64,
}

/// What sweepers reach.
#[derive(Debug)]
struct Shared {
    hub: Arc<Hub>,
    due: AtomicU64,
    place: Mutex<Place>,
}

/// Why a feed's turn ended.
#[derive(Debug)]
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
    /// `connection` is what it writes to; without one, what is given to [`Feed::turn`].
    pub(crate) fn new(
        hub: &Arc<Hub>,
        transport: Transport,
        form: Form,
        connection: Option<Connection>,
    ) -> Self {
        let place = Mutex::new(Place::new(hub, transport, form, connection));
        let shared = Arc::new(Shared { hub: hub.clone(), due: AtomicU64::new(u64::MAX), place });
        let listing = hub.sweep.list(shared.clone());
        Self { shared, listing, generation: u64::MAX }
    }

    pub(crate) fn hub(&self) -> &Arc<Hub> {
        &self.shared.hub
    }

    /// Its place, for its task: not to be held while anything else is done.
    pub(crate) fn place(&self) -> MutexGuard<'_, Place> {
        self.shared.place.lock()
    }

    /// Looks and writes as far as it goes, to its connection. `Pending` means that its task will be woken: by the peer, by
    /// the reader coming back, by what only a task can do, or when something is due.
    pub(crate) fn turn(&mut self, cx: &Context<'_>) -> Poll<Turn> {
        self.turn_with(|place, hub, now| place.turn(hub, now, cx.waker()))
    }

    /// As [`Feed::turn`], to `peer`.
    pub(crate) fn turn_to(&mut self, cx: &Context<'_>, peer: &mut impl Peer) -> Poll<Turn> {
        self.turn_with(|place, hub, now| place.turn_to(hub, now, cx.waker(), peer))
    }

    fn turn_with(&mut self, turn: impl FnOnce(&mut Place, &Hub, Now) -> Poll<Turn>) -> Poll<Turn> {
        let Self { shared, listing, generation } = self;
        let mut place = shared.place.lock();
        if let Ok(Some(reader)) = place.reader()
            && *generation != reader.generation()
        {
            *generation = reader.generation();
            listing.follow(reader.watches());
        }
        let now = Now::of(&*shared.hub.clock);
        let turned = turn(&mut place, &shared.hub, now);
        shared.due.store(place.next_due(&shared.hub, now), Ordering::Relaxed);
        turned
    }

    /// Promises a frame to the peer.
    pub(crate) fn push(&self, frame: &Down) {
        self.place().push(frame);
    }

    /// Writes what fits of the last bytes and gives the connection back. A peer that does not take them now learns the
    /// same from the end itself.
    pub(crate) fn finish(&mut self, cx: &mut Context<'_>) -> Option<Connection> {
        let mut place = self.place();
        place.flush(cx, &mut Tally::default());
        place.end()
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        // A sweeper may still hold what is shared, for a moment.
        self.shared.place.lock().end();
    }
}

impl Waiter for Shared {
    fn look(&self, now: Now) {
        let mut place = self.place.lock();
        place.look(&self.hub, now);
        self.due.store(place.next_due(&self.hub, now), Ordering::Relaxed);
    }

    fn wake(&self) {
        self.place.lock().wake();
    }

    fn due(&self) -> u64 {
        self.due.load(Ordering::Relaxed)
    }
}
