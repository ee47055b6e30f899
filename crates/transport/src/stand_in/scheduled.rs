//! What stands in under the scheduler: a lock of its own, and a pipe in memory that is as much of a socket as is needed.
#![allow(unreachable_pub, reason = "they stand where public types do")]

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

pub use shuttle::sync::MutexGuard;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// As `parking_lot`'s, which knows no poison.
#[derive(Debug, Default)]
pub struct Mutex<T>(shuttle::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub fn new(inner: T) -> Self {
        Self(shuttle::sync::Mutex::new(inner))
    }

    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().expect("nobody has panicked under it")
    }
}

/// The server's end of a pipe that holds a few bytes. Whoever finds it full is woken if it was polled, and not if it was
/// only tried: as with a socket.
#[derive(Debug, Clone)]
pub struct TcpStream(Arc<Mutex<Pipe>>);

#[derive(Debug)]
struct Pipe {
    holds: usize,
    bytes: VecDeque<u8>,
    writer: Option<Waker>,
    reader: Option<Waker>,
}

impl TcpStream {
    pub fn holding(holds: usize) -> Self {
        let bytes = VecDeque::new();
        Self(Arc::new(Mutex::new(Pipe { holds, bytes, writer: None, reader: None })))
    }

    /// The client's side: up to `most` bytes, at least one.
    pub fn poll_take(&self, cx: &Context<'_>, most: usize) -> Poll<Vec<u8>> {
        let (taken, writer) = {
            let mut pipe = self.0.lock();
            if pipe.bytes.is_empty() {
                pipe.reader = Some(cx.waker().clone());
                return Poll::Pending;
            }
            let count = most.min(pipe.bytes.len());
            (pipe.bytes.drain(..count).collect(), pipe.writer.take())
        };
        writer.into_iter().for_each(Waker::wake);
        Poll::Ready(taken)
    }

    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.try_write_vectored(&[IoSlice::new(bytes)])
    }

    pub fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.write(None, slices)
    }

    fn write(&self, task: Option<&Waker>, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let (count, reader) = {
            let mut pipe = self.0.lock();
            let room = pipe.holds - pipe.bytes.len();
            if room == 0 {
                if let Some(task) = task {
                    pipe.writer = Some(task.clone());
                }
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let before = pipe.bytes.len();
            pipe.bytes.extend(slices.iter().flat_map(|slice| slice.iter()).take(room));
            (pipe.bytes.len() - before, pipe.reader.take())
        };
        reader.into_iter().for_each(Waker::wake);
        Ok(count)
    }
}

impl AsyncRead for TcpStream {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl AsyncWrite for TcpStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.write(Some(cx.waker()), slices) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
            wrote => Poll::Ready(wrote),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
