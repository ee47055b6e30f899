//! Taking a connection over from the HTTP server: an answer that lasts needs none of its buffers.
//!
//! The server parses the request and asks the router, as for every other. When the answer carries a [`Takeover`], and
//! nothing of an earlier answer is left to write, the server drops its side of HTTP and hands the connection over with the
//! head of the answer. Some give it back: the client's next request is the server's again.

use std::{
    fmt::{self, Write},
    future::Future,
    pin::Pin,
    sync::Arc,
};

use http::{Version, response::Parts};
use parking_lot::Mutex;

use crate::connection::Connection;

/// In the extensions of a request: its connection can be taken over. For HTTP/1 requests that want a body.
#[derive(Debug, Clone, Copy)]
pub struct Offer;

/// In the extensions of an answer: who writes it, head included. Its body is empty.
#[derive(Clone)]
pub struct Takeover(Arc<Mutex<Option<Run>>>);

/// What becomes of the connection: `Some` when the client's next request may follow.
pub type Served = Pin<Box<dyn Future<Output = Option<Connection>> + Send>>;

type Run = Box<dyn FnOnce(Connection, Head) -> Served + Send>;

impl Takeover {
    pub(crate) fn new<F>(run: impl FnOnce(Connection, Head) -> F + Send + 'static) -> Self
    where
        F: Future<Output = Option<Connection>> + Send + 'static,
    {
        Self(Arc::new(Mutex::new(Some(Box::new(move |connection, head| Box::pin(run(connection, head)))))))
    }

    /// Answers over `connection`, whose request was of `version`, with the head that the server has finished. `None` if
    /// somebody did so before.
    pub fn run(&self, connection: Connection, head: &Parts, version: Version) -> Option<Served> {
        let run = self.0.lock().take()?;
        Some(run(connection, Head::of(head, version)))
    }
}

impl fmt::Debug for Takeover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Takeover")
    }
}

/// The head of an answer as bytes, but for its last headers and its end (RFC 9112 sections 4 and 5).
#[derive(Debug)]
pub(crate) struct Head {
    bytes: Vec<u8>,
    /// Whether the client understands chunks (RFC 9112 section 7.1).
    pub(crate) chunks: bool,
}

impl Head {
    fn of(parts: &Parts, version: Version) -> Self {
        let mut line = String::with_capacity(HEAD_BYTES);
        let reason = parts.status.canonical_reason().unwrap_or_default();
        // Writing to a String cannot fail.
        let _ = write!(line, "{version:?} {} {reason}\r\n", parts.status.as_u16());
        let mut bytes = line.into_bytes();
        for (name, value) in &parts.headers {
            bytes.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
        }
        Self { bytes, chunks: version >= Version::HTTP_11 }
    }

    /// All of it, with `last` as its last header.
    pub(crate) fn ending(mut self, last: &str) -> Vec<u8> {
        self.bytes.extend_from_slice(last.as_bytes());
        self.bytes.extend_from_slice(b"\r\n\r\n");
        self.bytes
    }

    /// All of it.
    pub(crate) fn end(mut self) -> Vec<u8> {
        self.bytes.extend_from_slice(b"\r\n");
        self.bytes
    }
}

const HEAD_BYTES: usize = 512;
