//! A long-poll that is held, on a connection of its own: it writes its answer and gives the connection back.

use std::{
    future::Future,
    io::IoSlice,
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use sosik_core::Error;
use sosik_wire::Refused;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf},
    time::timeout,
};

use crate::{
    close::close,
    connection::Connection,
    held::{Held, Step},
    http::problem,
    sweep::Seat,
    takeover::{Head, Served},
};

/// Waits until there is an answer, or the client has left. What only the end needs is boxed when it comes to that: most
/// of its life it waits, and there are many.
pub(crate) struct Waiting {
    state: State,
    seat: Seat,
    connection: Option<Connection>,
    head: Option<Head>,
    persists: bool,
}

enum State {
    Here(Box<Held>),
    /// Its reader is with the store.
    Away(Fetching),
    /// The rest of its answer is written.
    Ending(Served),
    Over,
}

type Fetching = Pin<Box<dyn Future<Output = (Box<Held>, Result<(), Error>)> + Send>>;

impl Waiting {
    /// `persists` when the client's next request may follow on the connection.
    pub(crate) fn new(held: Held, connection: Connection, head: Head, persists: bool) -> Self {
        let seat = held.sit();
        let head = head.waiting(&held.hub.sweep.groups.last_head);
        let (state, connection, head) = (State::Here(Box::new(held)), Some(connection), Some(head));
        Self { state, seat, connection, head, persists }
    }

    /// Whether the client has closed its side. What it sends meanwhile is its next request, and is kept: then no more is
    /// read, so that it is bounded.
    fn has_left(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(mut connection) = self.connection.take() else { return true };
        let mut scratch = [0; READ_BYTES];
        while !connection.has_unread() {
            let mut buffer = ReadBuf::new(&mut scratch);
            match Pin::new(&mut connection).poll_read(cx, &mut buffer) {
                Poll::Pending => break,
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    connection = connection.with_unread(Bytes::copy_from_slice(buffer.filled()));
                }
                Poll::Ready(_) => return true,
            }
        }
        self.connection = Some(connection);
        false
    }

    /// Writes the answer, at once if the client takes it.
    fn write(&mut self, cx: &mut Context<'_>, head: Head, body: Bytes, draining: bool, stall: Duration) {
        let Some(mut connection) = self.connection.take() else { return self.state = State::Over };
        let persists = self.persists && !draining;
        let head = head.of_length(body.len(), persists);
        let slices = [IoSlice::new(&head), IoSlice::new(&body)];
        let mut wrote = match Pin::new(&mut connection).poll_write_vectored(cx, &slices) {
            Poll::Ready(Ok(count)) => count,
            Poll::Ready(Err(_)) => return self.state = State::Over,
            Poll::Pending => 0,
        };
        let rest = [Bytes::from(head), body].map(|mut part| {
            let count = wrote.min(part.len());
            wrote -= count;
            part.split_off(count)
        });
        let flushed = rest.iter().all(Bytes::is_empty) && Pin::new(&mut connection).poll_flush(cx).is_ready();
        self.state = if flushed && persists {
            self.connection = Some(connection);
            State::Over
        } else {
            State::Ending(Box::pin(end(connection, rest, persists, stall)))
        };
    }
}

impl Future for Waiting {
    type Output = Option<Connection>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Connection>> {
        let this = &mut *self;
        loop {
            match &mut this.state {
                State::Ending(ending) => return ending.as_mut().poll(cx),
                State::Over => return Poll::Ready(this.connection.take()),
                State::Here(_) | State::Away(_) => {}
            }
            if this.has_left(cx) {
                this.state = State::Over;
                continue;
            }
            let (held, step) = match &mut this.state {
                State::Here(held) => {
                    this.seat.register(cx);
                    let step = held.look();
                    (held, step)
                }
                State::Away(job) => {
                    let (held, outcome) = ready!(job.as_mut().poll(cx));
                    this.state = State::Here(held);
                    match (&mut this.state, outcome) {
                        (State::Here(held), Err(error)) => (held, Err(error)),
                        _ => continue,
                    }
                }
                State::Ending(_) | State::Over => continue,
            };
            let hub = held.hub.clone();
            let (draining, stall) = (hub.is_draining(), Duration::from_millis(hub.settings.stall_ms));
            let Some(head) = this.head.take() else { return Poll::Ready(None) };
            match step {
                Ok(Step::Wait(due)) => {
                    this.seat.due(due);
                    this.head = Some(head);
                    return Poll::Pending;
                }
                Ok(Step::Below) => {
                    this.head = Some(head);
                    if let State::Here(mut held) = mem::replace(&mut this.state, State::Over) {
                        this.state = State::Away(Box::pin(async move {
                            let outcome = held.fetch().await;
                            (held, outcome)
                        }));
                    }
                }
                Ok(Step::Answer(made)) => this.write(cx, head, made.body, draining, stall),
                Err(error) => {
                    let (parts, body) = problem(&hub, Refused::by_core(None, &error));
                    this.write(cx, head.instead(&parts), body, draining, stall);
                }
            }
        }
    }
}

/// Writes the rest for as long as the client takes some of it.
async fn end(
    mut connection: Connection,
    rest: [Bytes; 2],
    persists: bool,
    stall: Duration,
) -> Option<Connection> {
    for mut part in rest {
        while !part.is_empty() {
            timeout(stall, connection.write_buf(&mut part)).await.ok()?.ok().filter(|&count| count > 0)?;
        }
    }
    timeout(stall, connection.flush()).await.ok()?.ok()?;
    if persists {
        return Some(connection);
    }
    close(connection).await;
    None
}

/// Bytes read at a time, on the stack; and so, besides what came with the request, the most that is kept.
const READ_BYTES: usize = 1024;
