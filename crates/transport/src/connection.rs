//! The bytes of one connection, whatever they travel over.

use std::{
    fmt,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{
    pump::{Peer, Wrote},
    stand_in::TcpStream,
};

/// A connection that a transport has to itself.
pub struct Connection {
    io: Io,
    /// What was read before it came here: the next bytes of the client. Boxed, since there hardly ever are any.
    unread: Option<Box<Bytes>>,
}

enum Io {
    /// A socket, which anybody may write to without waiting.
    Socket(TcpStream),
    /// Something that only its own task can write to: a pipe in memory, and whatever has a state between its bytes and
    /// the socket's.
    Task(Box<dyn Duplex>),
}

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Duplex for S {}

impl Connection {
    /// A socket. Sweepers write to it in place.
    pub fn of_socket(socket: TcpStream) -> Self {
        Self { io: Io::Socket(socket), unread: None }
    }

    /// Anything else. Sweepers wake its task instead.
    pub fn of_task(io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        Self { io: Io::Task(Box::new(io)), unread: None }
    }

    /// The same with bytes of the client that were read already.
    #[must_use]
    pub fn with_unread(mut self, bytes: Bytes) -> Self {
        if !bytes.is_empty() {
            self.unread = Some(Box::new(match self.unread {
                Some(later) => Bytes::from([&bytes[..], &later[..]].concat()),
                None => bytes,
            }));
        }
        self
    }

    /// Whether bytes of the client lie here, so that what comes first when it is read says nothing of the peer.
    pub(crate) fn has_unread(&self) -> bool {
        self.unread.is_some()
    }

    /// A peer that is written to from any thread, if there is one.
    pub(crate) fn in_place(&self) -> Option<InPlace<'_>> {
        match &self.io {
            Io::Socket(socket) => Some(InPlace(socket)),
            Io::Task(_) => None,
        }
    }
}

/// A socket written to by somebody who is not its task.
pub(crate) struct InPlace<'a>(&'a TcpStream);

impl Peer for InPlace<'_> {
    fn write(&mut self, slices: &[IoSlice<'_>]) -> Wrote {
        let wrote = match slices {
            [only] => self.0.try_write(only),
            several => self.0.try_write_vectored(several),
        };
        match wrote {
            Ok(count) if count > 0 => Wrote::Bytes(count),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Wrote::Blocked,
            Ok(_) | Err(_) => Wrote::Closed,
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(unread) = &mut self.unread {
            let count = unread.len().min(buf.remaining());
            buf.put_slice(&unread[..count]);
            unread.advance(count);
            if unread.is_empty() {
                self.unread = None;
            }
            return Poll::Ready(Ok(()));
        }
        match &mut self.io {
            Io::Socket(socket) => Pin::new(socket).poll_read(cx, buf),
            Io::Task(io) => Pin::new(io).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.io {
            Io::Socket(socket) => Pin::new(socket).poll_write(cx, bytes),
            Io::Task(io) => Pin::new(io).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.io {
            Io::Socket(socket) => Pin::new(socket).poll_write_vectored(cx, slices),
            Io::Task(io) => Pin::new(io).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.io {
            Io::Socket(socket) => socket.is_write_vectored(),
            Io::Task(io) => io.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Socket(socket) => Pin::new(socket).poll_flush(cx),
            Io::Task(io) => Pin::new(io).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Socket(socket) => Pin::new(socket).poll_shutdown(cx),
            Io::Task(io) => Pin::new(io).poll_shutdown(cx),
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if matches!(self.io, Io::Socket(_)) { "socket" } else { "task" };
        f.debug_struct("Connection").field("io", &kind).finish_non_exhaustive()
    }
}
