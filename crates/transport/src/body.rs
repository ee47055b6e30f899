//! A response body that polls the pump: the streaming transports over HTTP.

use std::{
    convert::Infallible,
    io::IoSlice,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use http_body::Frame;
use sosik_wire::Down;

use crate::{
    feed::{Feed, Turn},
    pump::{Peer, Tally, Wrote},
};

/// A feed as the body of an answer. hyper asks for the next piece when the socket can take it.
pub(crate) struct FeedBody {
    feed: Feed,
    ended: bool,
}

impl FeedBody {
    pub(crate) fn new(feed: Feed) -> Self {
        Self { feed, ended: false }
    }
}

impl http_body::Body for FeedBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let mut slot = Slot::default();
        if let Poll::Ready(turn) = self.feed.turn_to(cx, &mut slot) {
            self.ended = true;
            if let Turn::Over(goodbye) = turn {
                self.feed.push(&Down::Goodbye(goodbye));
                slot.most = usize::MAX;
                self.feed.place().outbox.flush(&mut slot, &mut Tally::default());
            }
        }
        match (slot.bytes.is_empty(), self.ended) {
            (false, _) => Poll::Ready(Some(Ok(Frame::data(slot.bytes.freeze())))),
            (true, true) => Poll::Ready(None),
            (true, false) => Poll::Pending,
        }
    }
}

/// Bytes on their way to hyper: one bounded piece per poll.
struct Slot {
    bytes: BytesMut,
    most: usize,
}

impl Default for Slot {
    fn default() -> Self {
        Self { bytes: BytesMut::new(), most: PIECE_BYTES_MAX }
    }
}

impl Peer for Slot {
    fn write(&mut self, slices: &[IoSlice<'_>]) -> Wrote {
        let before = self.bytes.len();
        for slice in slices {
            if self.bytes.len() >= self.most {
                break;
            }
            self.bytes.extend_from_slice(slice);
        }
        match self.bytes.len() - before {
            0 => Wrote::Blocked,
            count => Wrote::Bytes(count),
        }
    }
}

/// A piece of a body ends with the frame that reaches this size.
const PIECE_BYTES_MAX: usize = 64 * 1024;
