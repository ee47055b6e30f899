//! How long a request's head may take: a silent or dripping peer holds no connection (slowloris).
//!
//! hyper's own `header_read_timeout` runs from the end of the last answer to the end of the next head, so it cannot
//! tell an idle connection from a slow head. It is set to the idle limit; the two tighter ones are kept here, where the
//! first byte of a head is seen.

use std::{
    future::Future,
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep},
};

/// A connection whose reads fail with `TimedOut` when a head is too slow. A timer exists only while the first byte, or
/// the rest of a head, is waited for.
#[derive(Debug)]
pub(crate) struct HeadClock<S> {
    stream: S,
    exchange: Exchange,
    seen: u32,
    head: Duration,
    /// When the head that is being read must be complete, or the first byte of the connection here.
    due: Option<Instant>,
    begun: bool,
    timer: Option<Pin<Box<Sleep>>>,
}

impl<S> HeadClock<S> {
    pub(crate) fn new(stream: S, exchange: Exchange, first_byte: Duration, head: Duration) -> Self {
        let due = Some(Instant::now() + first_byte);
        Self { stream, exchange, seen: 0, head, due, begun: false, timer: None }
    }

    /// The connection alone.
    pub(crate) fn into_inner(self) -> S {
        self.stream
    }

    /// Takes note of what a read answered; says whether the peer has been too slow.
    fn is_late(&mut self, cx: &mut Context<'_>, waits: bool, bytes: usize) -> bool {
        let now = self.exchange.number();
        if now != self.seen {
            (self.seen, self.due, self.begun, self.timer) = (now, None, false, None);
        }
        if Exchange::is_busy(now) {
            return false;
        }
        if bytes > 0 && !self.begun {
            (self.due, self.begun, self.timer) = (Some(Instant::now() + self.head), true, None);
        }
        let Some(due) = self.due.filter(|_| waits) else { return false };
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
        timer.as_mut().poll(cx).is_ready()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for HeadClock<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if self.is_late(cx, read.is_pending(), buf.filled().len() - before) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for HeadClock<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.exchange.wrote();
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.exchange.wrote();
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        if flushed.is_ready() {
            self.exchange.flushed();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Which exchange a connection is at: even while a head is waited for, odd from a head to the end of its answer. Shared
/// by the connection, the service and the answer's body.
#[derive(Debug, Clone, Default)]
pub(crate) struct Exchange(Arc<State>);

#[derive(Debug, Default)]
struct State {
    number: AtomicU32,
    unflushed: AtomicBool,
}

impl Exchange {
    /// A head is complete. Answers the number that [`Exchange::end`] takes.
    pub(crate) fn begin(&self) -> u32 {
        let busy = self.number().wrapping_add(1) | 1;
        self.0.number.store(busy, Ordering::Release);
        busy
    }

    /// The answer to exchange `busy` is over; of no effect once a later one has begun.
    pub(crate) fn end(&self, busy: u32) {
        let _ =
            self.0.number.compare_exchange(busy, busy.wrapping_add(1), Ordering::AcqRel, Ordering::Relaxed);
    }

    /// Whether every byte that was to be written is written: hyper flushes when it has no more, and not before.
    pub(crate) fn is_flushed(&self) -> bool {
        !self.0.unflushed.load(Ordering::Acquire)
    }

    fn wrote(&self) {
        self.0.unflushed.store(true, Ordering::Release);
    }

    fn flushed(&self) {
        self.0.unflushed.store(false, Ordering::Release);
    }

    /// Whether the first answer of the connection is over.
    pub(crate) fn is_past_the_first(&self) -> bool {
        self.number() > 1
    }

    fn number(&self) -> u32 {
        self.0.number.load(Ordering::Acquire)
    }

    fn is_busy(number: u32) -> bool {
        number % 2 == 1
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    use super::*;

    const FIRST: Duration = Duration::from_secs(10);
    const HEAD: Duration = Duration::from_secs(5);
    const SECOND: Duration = Duration::from_secs(1);

    fn clocked() -> (HeadClock<DuplexStream>, DuplexStream, Exchange) {
        let (near, far) = tokio::io::duplex(64);
        let exchange = Exchange::default();
        (HeadClock::new(near, exchange.clone(), FIRST, HEAD), far, exchange)
    }

    /// Reads one byte at a time until an error, an hour at most; answers how many came and how long it took.
    async fn read_all(clock: &mut HeadClock<DuplexStream>) -> (usize, Duration) {
        let start = Instant::now();
        let mut count = 0;
        while let Ok(Ok(_)) = tokio::time::timeout(3_600 * SECOND, clock.read_u8()).await {
            count += 1;
        }
        (count, start.elapsed())
    }

    // Mutant: `due` not set in `new` -> a silent connection waits for the idle limit; here for ever.
    #[tokio::test(start_paused = true)]
    async fn a_silent_connection_ends_after_the_first_byte_limit() {
        let (mut clock, _far, _) = clocked();
        let (count, took) = read_all(&mut clock).await;
        assert_eq!((count, took.as_secs()), (0, FIRST.as_secs()));
    }

    // Mutant: `!self.begun` left out, so that each byte gives new time -> the drip is never late.
    #[tokio::test(start_paused = true)]
    async fn a_dripping_head_ends_after_the_head_limit() {
        let (mut clock, mut far, _) = clocked();
        let drip = async move {
            for _ in 0..100 {
                if far.write_u8(b'x').await.is_err() {
                    return;
                }
                tokio::time::sleep(SECOND).await;
            }
        };
        let ((count, took), ()) = tokio::join!(
            async {
                let read = read_all(&mut clock).await;
                drop(clock);
                read
            },
            drip
        );
        assert_eq!((count, took.as_secs()), (5, HEAD.as_secs()));
    }

    // Mutants: the reset on a new number left out -> the body is cut; `end` that ignores its number -> an old answer
    // ends a new exchange.
    #[tokio::test(start_paused = true)]
    async fn bodies_and_idle_times_are_not_heads() {
        let (mut clock, mut far, exchange) = clocked();
        far.write_u8(b'h').await.unwrap();
        clock.read_u8().await.unwrap();
        let busy = exchange.begin();
        let waited = tokio::time::timeout(10 * HEAD, clock.read_u8()).await;
        assert!(waited.is_err(), "while a request is answered nothing is late: {waited:?}");
        exchange.end(busy);
        let waited = tokio::time::timeout(10 * HEAD, clock.read_u8()).await;
        assert!(waited.is_err(), "between requests the idle limit alone counts: {waited:?}");
        let later = exchange.begin();
        exchange.end(busy);
        assert!(Exchange::is_busy(exchange.number()));
        exchange.end(later);
        far.write_u8(b'h').await.unwrap();
        let (count, took) = read_all(&mut clock).await;
        assert_eq!((count, took.as_secs()), (1, HEAD.as_secs()));
    }
}
