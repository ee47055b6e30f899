//! The publishing thread: to a server over one connection, requests behind each other without waiting for answers, or to the
//! floor by its own records. At a fixed rate the marker has the moment at which the event *should* have been sent, so that
//! an end that holds the sender up is charged for it.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    thread,
    time::Duration,
};

use memchr::memmem;

use super::{
    Marker,
    answers::Answer,
    asker::{event, post},
    carrier::{CHANNEL_PREFIX, channel_name},
    clock,
    progress::Progress,
};
use crate::Failed;

/// How fast.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pace {
    /// `events` in all, `per_s` a second, whatever the readers do.
    Fixed { per_s: f64, events: u64 },
    /// For `lasting`, the next one as soon as fewer than `in_flight` publishes wait to be delivered to everybody.
    Window { in_flight: u64, lasting: Duration },
}

/// What was published.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Published {
    /// Each channel has had as many events.
    pub(crate) per_channel: u64,
    /// How late the sender itself was at the most.
    pub(crate) late: Duration,
}

/// One sender.
#[derive(Debug)]
pub(crate) struct Publisher {
    socket: TcpStream,
    /// A whole request; `None` writes bare markers.
    request: Option<Request>,
    unanswered: usize,
    held: Vec<u8>,
}

#[derive(Debug)]
struct Request {
    bytes: Vec<u8>,
    channel_at: usize,
    marker_at: usize,
}

impl Publisher {
    /// Publishes to a server over HTTP.
    pub(crate) fn to_server(http: SocketAddr) -> Result<Self, Failed> {
        let marker = Marker { run: 0, channel: 0, seq: 0, sent_ns: 0 };
        let bytes = post(&event(&channel_name(0), &marker.data()));
        let at = |wanted: &[u8]| memmem::find(&bytes, wanted).ok_or("the request has no place for it");
        let (channel_at, marker_at) = (at(CHANNEL_PREFIX.as_bytes())? + CHANNEL_PREFIX.len(), at(b"@r")?);
        Ok(Self { request: Some(Request { bytes, channel_at, marker_at }), ..Self::to_floor(http)? })
    }

    /// Writes markers, which the floor sends on.
    pub(crate) fn to_floor(records: SocketAddr) -> Result<Self, Failed> {
        let socket = TcpStream::connect(records)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { socket, request: None, unanswered: 0, held: Vec::new() })
    }

    /// Where the records go.
    pub(crate) fn socket(&mut self) -> &mut impl Write {
        &mut self.socket
    }

    /// Publishes the events of `run` to `channels` in turn, each of which has `readers`. Ends with a whole turn, and when all
    /// of them were accepted.
    pub(crate) fn run(
        &mut self,
        run: u32,
        (channels, readers): (u32, u64),
        pace: Pace,
        progress: &Progress,
    ) -> Result<Published, Failed> {
        let (began, before) = (clock::ns(), progress.delivered());
        let (mut events, mut late) = (0, 0);
        let channels = u64::from(channels);
        loop {
            let now = clock::ns();
            let turn_is_whole = events % channels == 0;
            let sent_ns = match pace {
                Pace::Fixed { per_s, events: most } => {
                    if events >= most && turn_is_whole {
                        break;
                    }
                    let due = began + (events as f64 * 1e9 / per_s) as u64;
                    thread::sleep(Duration::from_nanos(due.saturating_sub(now)));
                    late = late.max(clock::ns().saturating_sub(due));
                    due
                }
                Pace::Window { in_flight, lasting } => {
                    if u128::from(now - began) >= lasting.as_nanos() && turn_is_whole {
                        break;
                    }
                    let settled = (events + 1).saturating_sub(in_flight);
                    progress.wait(before + settled * readers, PATIENCE)?;
                    clock::ns()
                }
            };
            let channel = (events % channels) as u32;
            self.send(&Marker { run, channel, seq: events / channels + 1, sent_ns })?;
            events += 1;
        }
        self.drain(0)?;
        Ok(Published { per_channel: events / channels, late: Duration::from_nanos(late) })
    }

    fn send(&mut self, marker: &Marker) -> Result<(), Failed> {
        let mut text = [0; Marker::LEN];
        marker.write(&mut text);
        let Some(request) = &mut self.request else {
            return Ok(self.socket.write_all(&text)?);
        };
        let Request { bytes, channel_at, marker_at } = request;
        // The number of the channel stands in the marker too, in the same width.
        bytes[*channel_at..*channel_at + CHANNEL_DIGITS].copy_from_slice(&text[7..7 + CHANNEL_DIGITS]);
        bytes[*marker_at..*marker_at + Marker::LEN].copy_from_slice(&text);
        self.socket.write_all(bytes)?;
        self.unanswered += 1;
        self.drain(UNANSWERED_MOST)
    }

    /// Reads answers until at most `left` are to come. Every publish must be accepted.
    fn drain(&mut self, left: usize) -> Result<(), Failed> {
        let mut chunk = [0; 16 * 1024];
        while self.unanswered > left {
            match self.socket.read(&mut chunk)? {
                0 => return Err("the server cut the publisher off".into()),
                count => self.held.extend_from_slice(&chunk[..count]),
            }
            let mut used = 0;
            while let Some(answer) = Answer::of(&self.held[used..]) {
                if answer.status != 200 {
                    return Err(format!(
                        "a publish was refused: {}",
                        String::from_utf8_lossy(&self.held[used..])
                    )
                    .into());
                }
                used += answer.body.end;
                self.unanswered = self.unanswered.saturating_sub(1);
            }
            self.held.drain(..used);
        }
        Ok(())
    }
}

/// Requests behind each other on the connection; a server that takes longer holds the sender up.
const UNANSWERED_MOST: usize = 64;
const CHANNEL_DIGITS: usize = 6;
/// How long nothing may come before the run is an error.
const PATIENCE: Duration = Duration::from_secs(10);
