//! The pump: reads what follows a cursor and writes it, without ever waiting.
//!
//! It is synchronous and generic over how frames become bytes and where the bytes go, so that other protocols can be
//! built on it. It stops when nothing follows, when the peer takes no more, or when memory does not have what follows.

use std::{
    collections::VecDeque,
    io::IoSlice,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Buf, Bytes};
use smallvec::SmallVec;
use sosik_core::{Budget, Cursor, Error, Event, GapReason, Look, Page, Reader, What};
use sosik_wire::Down;
use tokio::io::AsyncWrite;

use crate::form::{Form, Pieces};

/// Where bytes go.
pub trait Peer {
    /// Takes as much as it can without waiting.
    fn write(&mut self, slices: &[IoSlice<'_>]) -> Wrote;
}

/// A socket, or one end of a pipe, as a peer: its task is woken when the socket can take more.
#[derive(Debug)]
pub struct Socket<'a, 'b, S> {
    /// Where the bytes go.
    pub io: &'a mut S,
    /// The task.
    pub cx: &'a mut Context<'b>,
}

impl<S: AsyncWrite + Unpin> Peer for Socket<'_, '_, S> {
    fn write(&mut self, slices: &[IoSlice<'_>]) -> Wrote {
        match Pin::new(&mut *self.io).poll_write_vectored(self.cx, slices) {
            Poll::Ready(Ok(0) | Err(_)) => Wrote::Closed,
            Poll::Ready(Ok(count)) => Wrote::Bytes(count),
            Poll::Pending => Wrote::Blocked,
        }
    }
}

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrote {
    /// So many bytes were taken, at least one.
    Bytes(usize),
    /// None now; the peer's task will be woken when it can take more.
    Blocked,
    /// None ever.
    Closed,
}

/// How a protocol shows events and gaps.
pub trait Encode {
    /// An event; see [`Form::event`] for `cursor`.
    fn event(&self, event: &Event, cursor: Option<&Cursor>) -> Pieces;
    /// Any other frame; empty when the protocol has no word for it.
    fn frame(&self, frame: &Down) -> Pieces;
}

impl Encode for Form {
    fn event(&self, event: &Event, cursor: Option<&Cursor>) -> Pieces {
        Form::event(*self, event, cursor)
    }

    fn frame(&self, frame: &Down) -> Pieces {
        Form::frame(*self, frame)
    }
}

/// Why the pump stopped.
#[derive(Debug)]
pub enum Pumped {
    /// Nothing follows.
    Idle,
    /// The peer takes no more.
    Blocked,
    /// The peer is gone.
    Closed,
    /// [`Reader::fetch`] must run first.
    Below,
    /// Enough for one turn; there is more.
    Again,
    /// The backlog of the join with this token is done; the cursor is the reader's.
    Joined(u64, Option<Cursor>),
    /// The reader has ended.
    Over(Error),
}

/// What the pump wrote.
#[derive(Debug, Default)]
pub struct Tally {
    /// Bytes.
    pub bytes: usize,
    /// Events.
    pub events: u64,
    /// Reasons of gaps.
    pub gaps: SmallVec<[GapReason; 2]>,
}

/// Bytes that were promised to the peer: the rest of a half-written frame, answers, heartbeats. Never events that wait:
/// the log is the queue.
#[derive(Debug, Default)]
pub struct Outbox(VecDeque<Bytes>);

impl Outbox {
    /// Adds a whole frame.
    pub fn push(&mut self, pieces: Pieces) {
        self.0.extend(pieces.into_iter().filter(|piece| !piece.is_empty()));
    }

    /// Whether everything was written.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Pieces that wait: bounds what a client can make us answer without reading.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Bytes that wait: the other bound.
    pub fn bytes(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    /// Writes until empty (`None`), blocked or closed.
    pub fn flush(&mut self, peer: &mut impl Peer, tally: &mut Tally) -> Option<Pumped> {
        while !self.0.is_empty() {
            let wrote = {
                let slices: Slices<'_> = self.0.iter().take(64).map(|piece| IoSlice::new(piece)).collect();
                peer.write(&slices)
            };
            match wrote {
                Wrote::Bytes(count) => {
                    tally.bytes += count;
                    drop_front(&mut self.0, count);
                    if self.0.is_empty() {
                        // Its room too: most connections write what nobody promised, and wait.
                        self.0 = VecDeque::new();
                    }
                }
                Wrote::Blocked => return Some(Pumped::Blocked),
                Wrote::Closed => return Some(Pumped::Closed),
            }
        }
        None
    }
}

/// Reads and writes until something stops it, at most `rounds` times.
pub fn pump(
    reader: &mut Reader,
    outbox: &mut Outbox,
    form: &impl Encode,
    peer: &mut impl Peer,
    now: u64,
    rounds: usize,
    tally: &mut Tally,
) -> Pumped {
    let mut page = Page::default();
    for _ in 0..rounds {
        if let Some(stop) = outbox.flush(peer, tally) {
            return stop;
        }
        match reader.look(now, BUDGET, &mut page) {
            Ok(Look::Found) => {}
            Ok(Look::Nothing) => return Pumped::Idle,
            Ok(Look::Below) => return Pumped::Below,
            Err(error) => return Pumped::Over(error),
        }
        if let [item] = &page.items[..]
            && let What::Joined(token) = item.what
        {
            let cursor = item.cursor.clone();
            reader.took(&page, 1);
            return Pumped::Joined(token, cursor);
        }
        if let Some(stop) = write_page(reader, &page, outbox, form, peer, tally) {
            return stop;
        }
    }
    Pumped::Again
}

/// Writes a page in one go. A frame that was begun belongs to the peer: its rest goes into the outbox, with the frames
/// that are tied to it, and the reader goes on behind them.
fn write_page(
    reader: &mut Reader,
    page: &Page,
    outbox: &mut Outbox,
    form: &impl Encode,
    peer: &mut impl Peer,
    tally: &mut Tally,
) -> Option<Pumped> {
    let frames: SmallVec<[Pieces; 1]> = page.items.iter().map(|item| frame_of(form, item)).collect();
    let wrote = {
        let pieces = frames.iter().flatten().filter(|piece| !piece.is_empty());
        let slices: Slices<'_> = pieces.map(|piece| IoSlice::new(piece)).collect();
        if slices.is_empty() { Wrote::Bytes(0) } else { peer.write(&slices) }
    };
    let mut wrote = match wrote {
        Wrote::Bytes(count) => count,
        Wrote::Blocked => return Some(Pumped::Blocked),
        Wrote::Closed => return Some(Pumped::Closed),
    };
    tally.bytes += wrote;
    let (mut taken, mut tied) = (0, false);
    for (item, pieces) in page.items.iter().zip(frames) {
        let length: usize = pieces.iter().map(Bytes::len).sum();
        if wrote == 0 && length > 0 && !tied {
            break;
        }
        (taken, tied) = (taken + 1, item.is_tied_to_next());
        match &item.what {
            What::Event(_) => tally.events += 1,
            What::Gap(gap) => tally.gaps.push(gap.reason),
            What::CaughtUp | What::Joined(_) => {}
        }
        if wrote < length {
            let mut rest: VecDeque<Bytes> = pieces.into_iter().collect();
            drop_front(&mut rest, wrote);
            outbox.0.extend(rest);
        }
        wrote = wrote.saturating_sub(length);
    }
    reader.took(page, taken);
    None
}

fn frame_of(form: &impl Encode, item: &sosik_core::Item) -> Pieces {
    match (&item.what, &item.cursor) {
        (What::Event(event), cursor) => form.event(event, cursor.as_ref()),
        (What::Gap(gap), Some(cursor)) => form.frame(&Down::gap(gap, cursor)),
        (What::CaughtUp, Some(cursor)) => form.frame(&Down::caught_up(cursor)),
        (What::Gap(_) | What::CaughtUp | What::Joined(_), _) => Pieces::new(),
    }
}

fn drop_front(pieces: &mut VecDeque<Bytes>, mut count: usize) {
    while let Some(front) = pieces.front_mut() {
        if count < front.len() {
            front.advance(count);
            return;
        }
        count -= front.len();
        pieces.pop_front();
    }
}

type Slices<'a> = SmallVec<[IoSlice<'a>; 64]>;

/// What goes into one write: 64 frames, 64 KiB.
pub const BUDGET: Budget = Budget { events: 64, bytes: 64 * 1024 };
/// Writes of one turn of a task, so that one reader far behind cannot hold up the others.
pub const ROUNDS_MAX: usize = 16;
/// The same in a sweep, which has all the others to look after; the reader's own task does the rest.
pub const SWEPT_ROUNDS_MAX: usize = 4;
