//! Many readers of one channel over one transport, with as little work for each as possible: events are recognised by
//! their `"seq":` and counted.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::server::{CHANNEL, Failed, Server};

/// The transports, as bytes to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carrier {
    Poll,
    LongPoll,
    Stream,
    Sse,
    WebSocket,
    Tcp,
}

impl Carrier {
    pub(crate) const ALL: [Self; 6] =
        [Self::Tcp, Self::WebSocket, Self::Stream, Self::Sse, Self::LongPoll, Self::Poll];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Poll => "poll",
            Self::LongPoll => "long_poll",
            Self::Stream => "stream",
            Self::Sse => "sse",
            Self::WebSocket => "websocket",
            Self::Tcp => "tcp",
        }
    }

    /// A poll keeps its connection only as an HTTP client likes; there is no idle reader to weigh.
    pub(crate) fn holds_connection(self) -> bool {
        self != Self::Poll
    }

    fn address(self, server: &Server) -> SocketAddr {
        if self == Self::Tcp { server.tcp } else { server.http }
    }

    /// What opens the reader behind `cursor`.
    fn request(self, cursor: &str) -> Vec<u8> {
        let get = |path: &str| {
            format!(
                "GET {path}?channel={CHANNEL}&after={cursor}&wait=50 HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bench\r\n\r\n"
            )
        };
        let frames = [
            "{\"type\":\"hello\",\"protocol\":1}".to_owned(),
            format!(
                "{{\"type\":\"subscribe\",\"id\":1,\"channels\":[\"{CHANNEL}\"],\"after\":\"{cursor}\"}}"
            ),
        ];
        match self {
            Self::Poll => get("/v1/poll").into_bytes(),
            Self::LongPoll => get("/v1/long-poll").into_bytes(),
            Self::Stream => get("/v1/stream").into_bytes(),
            Self::Sse => get("/v1/sse").into_bytes(),
            Self::Tcp => frames.map(|frame| frame + "\n").concat().into_bytes(),
            Self::WebSocket => {
                let handshake = "GET /v1/websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
                let mut bytes = handshake.as_bytes().to_vec();
                // Masked with zeros (RFC 6455 section 5.3): the key may be any, and this is a benchmark.
                for frame in frames {
                    bytes.extend([0x81, 0x80 | 126, 0, frame.len() as u8, 0, 0, 0, 0]);
                    bytes.extend(frame.as_bytes());
                }
                bytes
            }
        }
    }
}

/// What one reader saw.
#[derive(Debug, Default)]
struct Seen {
    last: AtomicU64,
    events: AtomicU64,
    repeated: AtomicU64,
    skipped: AtomicU64,
}

/// The sum over all readers.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) deliveries: u64,
    pub(crate) lost: u64,
    pub(crate) repeated: u64,
    pub(crate) reordered: u64,
}

/// Readers that run until dropped.
pub(crate) struct Crowd {
    seen: Vec<Arc<Seen>>,
    _tasks: JoinSet<()>,
}

impl Crowd {
    /// Opens `count` readers, in groups so that the listener's queue is not the figure.
    pub(crate) async fn open(carrier: Carrier, server: &Server, count: usize) -> Result<Self, Failed> {
        let (mut seen, mut tasks) = (Vec::new(), JoinSet::new());
        for i in 0..count {
            let mut socket = TcpStream::connect(carrier.address(server)).await?;
            socket.set_nodelay(true)?;
            let own = Arc::new(Seen::default());
            seen.push(own.clone());
            if carrier.holds_connection() {
                socket.write_all(&carrier.request("now")).await?;
            }
            tasks.spawn(async move {
                // A reader whose connection ends has lost what follows, and the tally says so.
                let _ = read(carrier, &mut socket, &own).await;
            });
            if i % 128 == 127 {
                sleep(Duration::from_millis(20)).await;
            }
        }
        Ok(Self { seen, _tasks: tasks })
    }

    /// Waits until everybody has seen `events`, or until the patience ends.
    pub(crate) async fn settle(&mut self, events: u64, patience: Duration) {
        let until = Instant::now() + patience;
        while Instant::now() < until
            && self.seen.iter().any(|seen| seen.events.load(Ordering::Relaxed) < events)
        {
            sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) fn tally(&self, events: u64) -> Tally {
        let mut tally = Tally::default();
        for seen in &self.seen {
            let own = seen.events.load(Ordering::Relaxed);
            tally.deliveries += own;
            tally.lost += events.saturating_sub(own);
            tally.repeated += seen.repeated.load(Ordering::Relaxed);
            tally.reordered += seen.skipped.load(Ordering::Relaxed);
        }
        tally
    }
}

async fn read(carrier: Carrier, socket: &mut TcpStream, seen: &Seen) -> Result<(), Failed> {
    let mut held = Vec::new();
    let mut chunk = vec![0; 16 * 1024];
    let mut cursor = "now".to_owned();
    if carrier == Carrier::Poll {
        socket.write_all(&carrier.request(&cursor)).await?;
    }
    loop {
        let count = socket.read(&mut chunk).await?;
        if count == 0 {
            return Ok(());
        }
        held.extend_from_slice(&chunk[..count]);
        if matches!(carrier, Carrier::Poll | Carrier::LongPoll) {
            // One answer per request: the place to go on stands behind its frames.
            let Some(end) = find(&held, b"\"more\":") else { continue };
            let text = String::from_utf8_lossy(&held[..end]).into_owned();
            let at = text.rfind("\"cursor\":\"").ok_or("an answer without a cursor")? + 10;
            cursor = text[at..].split('"').next().unwrap_or("now").to_owned();
            count_events(&held, seen);
            held.clear();
            if carrier == Carrier::Poll {
                sleep(Duration::from_secs(1)).await;
            }
            socket.write_all(&carrier.request(&cursor)).await?;
        } else {
            let used = count_events(&held, seen);
            held.drain(..used);
        }
    }
}

/// Counts the events in `bytes`; answers how much need not be looked at again.
fn count_events(bytes: &[u8], seen: &Seen) -> usize {
    let mut at = 0;
    while let Some(found) = find(&bytes[at..], b"\"seq\":") {
        let start = at + found + 6;
        let digits = bytes[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if start + digits == bytes.len() {
            return at + found;
        }
        let seq =
            bytes[start..start + digits].iter().fold(0, |seq, digit| seq * 10 + u64::from(digit - b'0'));
        match seen.last.swap(seq, Ordering::Relaxed) {
            last if seq <= last => _ = seen.repeated.fetch_add(1, Ordering::Relaxed),
            last => {
                seen.events.fetch_add(1, Ordering::Relaxed);
                seen.skipped.fetch_add(u64::from(last > 0 && seq > last + 1), Ordering::Relaxed);
            }
        }
        at = start + digits;
    }
    at.max(bytes.len().saturating_sub(5))
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
