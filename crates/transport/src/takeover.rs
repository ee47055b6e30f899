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

use bytes::Bytes;
use http::{HeaderValue, Version, header, response::Parts};
use parking_lot::Mutex;

use crate::connection::Connection;

/// In the extensions of a request: its connection can be taken over. For HTTP/1 requests that want a body.
#[derive(Debug, Clone, Copy)]
pub struct Offer;

/// In the extensions of an answer: who writes it, head included. Its body is empty.
#[derive(Clone)]
pub struct Takeover {
    run: Arc<Mutex<Option<Run>>>,
    gives_back: bool,
}

/// What becomes of the connection: `Some` when the client's next request may follow.
pub type Served = Pin<Box<dyn Future<Output = Option<Connection>> + Send>>;

type Run = Box<dyn FnOnce(Connection, Head) -> Served + Send>;

impl Takeover {
    /// `run` may give the connection back, for the client's next request.
    pub(crate) fn new<F>(run: impl FnOnce(Connection, Head) -> F + Send + 'static) -> Self
    where
        F: Future<Output = Option<Connection>> + Send + 'static,
    {
        Self::of(true, run)
    }

    /// `run` serves the connection to its end.
    pub(crate) fn for_good<F>(run: impl FnOnce(Connection, Head) -> F + Send + 'static) -> Self
    where
        F: Future<Output = Option<Connection>> + Send + 'static,
    {
        Self::of(false, run)
    }

    fn of<F>(gives_back: bool, run: impl FnOnce(Connection, Head) -> F + Send + 'static) -> Self
    where
        F: Future<Output = Option<Connection>> + Send + 'static,
    {
        let run: Run = Box::new(move |connection, head| Box::pin(run(connection, head)));
        Self { run: Arc::new(Mutex::new(Some(run))), gives_back }
    }

    /// Whether HTTP may go on when it is over.
    pub fn gives_back(&self) -> bool {
        self.gives_back
    }

    /// Answers over `connection`, whose request was of `version`, with the head that the server has finished but for its
    /// `Date`: `date` says that when the head is written. `None` if somebody did so before.
    pub fn run(
        &self,
        connection: Connection,
        head: &Parts,
        version: Version,
        date: fn() -> HeaderValue,
    ) -> Option<Served> {
        let run = self.run.lock().take()?;
        Some(run(connection, Head::of(head, version, date)))
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
    bytes: Bytes,
    date: fn() -> HeaderValue,
    /// Whether the client understands chunks (RFC 9112 section 7.1).
    pub(crate) chunks: bool,
}

impl Head {
    fn of(parts: &Parts, version: Version, date: fn() -> HeaderValue) -> Self {
        let mut line = String::with_capacity(HEAD_BYTES);
        let reason = parts.status.canonical_reason().unwrap_or_default();
        // Writing to a String cannot fail.
        let _ = write!(line, "{version:?} {} {reason}\r\n", parts.status.as_u16());
        let mut bytes = line.into_bytes();
        for (name, value) in &parts.headers {
            push(&mut bytes, name.as_str(), value.as_bytes());
        }
        Self { bytes: bytes.into(), date, chunks: version >= Version::HTTP_11 }
    }

    /// The same, with the bytes of the `last` head that waited if they are equal: they hardly ever differ, and many wait.
    pub(crate) fn waiting(mut self, last: &Mutex<Bytes>) -> Self {
        let mut last = last.lock();
        if *last != self.bytes {
            *last = self.bytes;
        }
        self.bytes = last.clone();
        self
    }

    /// The head of another answer to the same request: what `parts` has replaces what this has.
    pub(crate) fn instead(self, parts: &Parts) -> Self {
        let version = if self.chunks { Version::HTTP_11 } else { Version::HTTP_10 };
        let Self { bytes, date, chunks } = Self::of(parts, version, self.date);
        let mut bytes = Vec::from(bytes);
        for line in self.bytes.split_inclusive(|&byte| byte == b'\n').skip(1) {
            let name =
                line.split(|&byte| byte == b':').next().and_then(|name| std::str::from_utf8(name).ok());
            if name.is_some_and(|name| !parts.headers.contains_key(name) && !OF_AN_ANSWER.contains(&name)) {
                bytes.extend_from_slice(line);
            }
        }
        Self { bytes: bytes.into(), date, chunks }
    }

    /// All of it, for a body of `length` bytes; `persists` when another request may follow.
    pub(crate) fn of_length(self, length: usize, persists: bool) -> Vec<u8> {
        let (http_11, mut bytes) = (self.chunks, self.dated());
        push(&mut bytes, header::CONTENT_LENGTH.as_str(), length.to_string().as_bytes());
        match (http_11, persists) {
            (true, true) => {}
            (false, true) => push(&mut bytes, header::CONNECTION.as_str(), b"keep-alive"),
            (_, false) => push(&mut bytes, header::CONNECTION.as_str(), b"close"),
        }
        bytes.extend_from_slice(b"\r\n");
        bytes
    }

    /// All of it, with `last` as its last header.
    pub(crate) fn ending(self, last: &str) -> Vec<u8> {
        let mut bytes = self.dated();
        bytes.extend_from_slice(last.as_bytes());
        bytes.extend_from_slice(b"\r\n\r\n");
        bytes
    }

    /// All of it.
    pub(crate) fn end(self) -> Vec<u8> {
        let mut bytes = self.dated();
        bytes.extend_from_slice(b"\r\n");
        bytes
    }

    fn dated(self) -> Vec<u8> {
        let date = (self.date)();
        let mut bytes = Vec::with_capacity(self.bytes.len() + LAST_BYTES);
        bytes.extend_from_slice(&self.bytes);
        push(&mut bytes, header::DATE.as_str(), date.as_bytes());
        bytes
    }
}

fn push(bytes: &mut Vec<u8>, name: &str, value: &[u8]) {
    for part in [name.as_bytes(), b": ", value, b"\r\n"] {
        bytes.extend_from_slice(part);
    }
}

/// Headers that are not a refusal's.
const OF_AN_ANSWER: [&str; 2] = ["x-accel-buffering", "preference-applied"];
const HEAD_BYTES: usize = 512;
/// Room for the headers that come last.
const LAST_BYTES: usize = 128;
