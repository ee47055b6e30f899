//! An answer that does not end, on a connection of its own: the streaming transports over HTTP/1.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use sosik_wire::{Down, chunk};
use tokio::io::{AsyncRead, ReadBuf};

use crate::{
    close::Work,
    connection::Connection,
    feed::{Feed, Turn},
    form::{Form, Pieces},
};

/// A feed that is written to its connection until one of them ends.
pub(crate) struct Endless {
    feed: Feed,
    form: Form,
}

impl Endless {
    pub(crate) fn new(feed: Feed, form: Form) -> Self {
        Self { feed, form }
    }
}

impl Work for Endless {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Connection>> {
        let feed = &mut self.feed;
        if has_left(feed, cx) {
            return Poll::Ready(None);
        }
        match feed.turn(cx) {
            Poll::Pending => {
                let stalled = feed.place().is_stalled(feed.hub());
                if stalled { Poll::Ready(None) } else { Poll::Pending }
            }
            Poll::Ready(Turn::Over(goodbye)) => {
                feed.push(&Down::Goodbye(goodbye));
                if self.form.is_chunks() {
                    feed.place().push_pieces(Pieces::from_iter([Bytes::from_static(chunk::LAST)]));
                }
                Poll::Ready(feed.finish(cx))
            }
            Poll::Ready(_) => Poll::Ready(None),
        }
    }
}

/// Whether the client has closed its side: it listens no more. What it sends is thrown away; the answer to a further
/// request would have to wait for the end of this one, which there is none of.
fn has_left(feed: &Feed, cx: &mut Context<'_>) -> bool {
    let mut place = feed.place();
    let Some(connection) = &mut place.connection else { return true };
    let mut scratch = [0; READ_BYTES];
    for _ in 0..READS_MAX {
        let mut buffer = ReadBuf::new(&mut scratch);
        match Pin::new(&mut *connection).poll_read(cx, &mut buffer) {
            Poll::Pending => return false,
            Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {}
            Poll::Ready(_) => return true,
        }
    }
    cx.waker().wake_by_ref();
    false
}

/// Bytes read at a time, on the stack.
const READ_BYTES: usize = 4 * 1024;
/// Reads before others get a turn.
const READS_MAX: usize = 16;
