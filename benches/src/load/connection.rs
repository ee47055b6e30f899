//! One reading connection: what it holds of half an event, and what it counts.

use std::{
    io::{self, Read, Write},
    net::SocketAddr,
};

use memchr::memmem;
use mio::net::TcpStream;
use socket2::{Domain, Protocol, Socket, Type};

use super::{
    Carrier, Marker,
    answers::{self, Answer, Place},
    seen::Seen,
};

/// A reader.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) socket: TcpStream,
    carrier: Carrier,
    pub(super) channel: u32,
    /// What is still to be written.
    request: Vec<u8>,
    held: Vec<u8>,
    pub(super) place: Place,
    began: bool,
    pub(super) ready: bool,
    pub(super) ended: bool,
    pub(super) seen: Seen,
}

/// What one reading brought.
#[derive(Debug, Default)]
pub(super) struct Brought {
    pub(super) bytes: u64,
    pub(super) reads: u64,
    pub(super) answers: u64,
    /// When the next request may be sent, milliseconds.
    pub(super) again_ms: Option<u64>,
}

impl Connection {
    /// Begins to connect, the `number`th from one of many addresses: one has too few ports for several runs behind each other.
    pub(super) fn open(
        carrier: Carrier,
        to: SocketAddr,
        (number, channel): (usize, u32),
        after: &str,
        receive_buffer: Option<usize>,
    ) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        if let Some(bytes) = receive_buffer {
            socket.set_recv_buffer_size(bytes)?;
            // With the 64 KiB segments of loopback the sender's buffer begins with megabytes.
            socket.set_tcp_mss(SMALL_SEGMENT)?;
        }
        let from = [127, 0, 0, 2 + (number % SOURCES) as u8];
        socket.bind(&SocketAddr::from((from, 0)).into())?;
        // Under way, as a rule; whether it failed is told by the first write.
        let _ = socket.connect(&to.into());
        Ok(Self {
            socket: TcpStream::from_std(socket.into()),
            carrier,
            channel,
            request: carrier.opening(channel, after),
            held: Vec::new(),
            place: Place { cursor: after.to_owned(), etag: None },
            began: false,
            ready: false,
            ended: false,
            seen: Seen::default(),
        })
    }

    /// Writes what is to be written; `true` once there is nothing.
    pub(super) fn write(&mut self) -> bool {
        while !self.request.is_empty() {
            match self.socket.write(&self.request) {
                Ok(count) => _ = self.request.drain(..count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(_) => {
                    self.ended = true;
                    return true;
                }
            }
        }
        true
    }

    /// Asks for what follows.
    pub(super) fn ask_again(&mut self) {
        self.request = self.carrier.again(self.channel, &self.place);
        self.write();
    }

    /// Reads what is there and gives every marker to `take`. `closed` says that the end is there too.
    pub(super) fn read(
        &mut self,
        chunk: &mut [u8],
        closed: bool,
        take: &mut impl FnMut(&mut Seen, u32, Marker),
    ) -> Brought {
        let mut brought = Brought::default();
        while !self.ended {
            let count = match self.socket.read(&mut chunk[HELD_MOST..]) {
                Ok(0) => {
                    self.ended = true;
                    break;
                }
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => {
                    self.ended = true;
                    break;
                }
            };
            brought.bytes += count as u64;
            brought.reads += 1;
            if self.carrier.asks_again() {
                self.held.extend_from_slice(&chunk[HELD_MOST..HELD_MOST + count]);
                self.take_answers(&mut brought, take);
            } else {
                let from = HELD_MOST - self.held.len();
                chunk[from..HELD_MOST].copy_from_slice(&self.held);
                let bytes = &chunk[from..HELD_MOST + count];
                if !self.began {
                    self.began = true;
                    self.ended = is_refusal(bytes);
                }
                self.take_all(bytes, take);
            }
            // A short read has emptied the socket (epoll(7)): another one would only be told so. But the end comes with no
            // event of its own.
            if !closed && count < chunk.len() - HELD_MOST {
                break;
            }
        }
        brought
    }

    /// Takes the markers of a stream, and keeps what may be the beginning of one.
    fn take_all(&mut self, bytes: &[u8], take: &mut impl FnMut(&mut Seen, u32, Marker)) {
        let (mut at, mut keep) = (0, bytes.len());
        while let Some(found) = memchr::memchr(b'@', &bytes[at..]) {
            let start = at + found;
            if bytes.len() - start < Marker::LEN {
                keep = start;
                break;
            }
            at = match Marker::parse(&bytes[start..start + Marker::LEN]) {
                Some(marker) => {
                    take(&mut self.seen, self.channel, marker);
                    start + Marker::LEN
                }
                None => start + 1,
            };
        }
        if !self.ready {
            self.ready = memmem::find(bytes, CAUGHT_UP).is_some();
            keep = keep.min(bytes.len().saturating_sub(CAUGHT_UP.len() - 1).max(at));
        }
        self.held.clear();
        self.held.extend_from_slice(&bytes[keep..]);
    }

    fn take_answers(&mut self, brought: &mut Brought, take: &mut impl FnMut(&mut Seen, u32, Marker)) {
        while let Some(answer) = Answer::of(&self.held) {
            if !matches!(answer.status, 200 | 304) {
                self.ended = true;
                return;
            }
            let body = &self.held[answer.body.clone()];
            let mut at = 0;
            while let Some((found, marker)) = Marker::find(&body[at..]) {
                take(&mut self.seen, self.channel, marker);
                at += found + Marker::LEN;
            }
            brought.again_ms = Some(answers::number_of(body, "\"rearm_ms\":"));
            brought.answers += 1;
            self.place.follow(&self.held, &answer);
            self.held.drain(..answer.body.end);
            self.ready = true;
        }
    }
}

fn is_refusal(bytes: &[u8]) -> bool {
    bytes.starts_with(b"HTTP/1.1 ") && !matches!(bytes.get(9..12), Some(b"101" | b"200"))
}

/// The most that a stream keeps: less than a marker.
pub(super) const HELD_MOST: usize = 64;
const CAUGHT_UP: &[u8] = b"\"caught_up\"";
const SMALL_SEGMENT: u32 = 536;
/// Addresses from 127.0.0.2 on.
const SOURCES: usize = 32;
