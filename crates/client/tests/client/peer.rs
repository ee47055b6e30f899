//! A server that does what the test says, one request at a time.

mod frames;
mod request;

use std::{future::Future, net::SocketAddr, time::Duration};

use futures_util::{FutureExt, SinkExt, StreamExt};
use sosik_client::{Client, Delivery, Following, Format, Options, Timers, Transport};
use sosik_wire::{Down, Encoding, OkFrame, Up, Welcome, decode};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async, tungstenite};
use tungstenite::{
    Message,
    handshake::server::{Request, Response},
};

use self::frames::Frames;
pub(crate) use self::{
    frames::{caught_up, event, events, gap, page, text},
    request::{Asked, read_request, refuse, respond},
};

/// Two listeners and nothing else.
pub(crate) struct Peer {
    http: TcpListener,
    tcp: TcpListener,
    format: Format,
}

/// One connection, and what its last request asked.
pub(crate) struct Accepted {
    pub(crate) asked: Asked,
    link: Link,
}

enum Link {
    /// A response without end.
    Body {
        socket: TcpStream,
        encoding: Encoding,
    },
    /// Requests that are answered one by one; whether one waits for its answer.
    Shots {
        socket: TcpStream,
        waits: bool,
    },
    WebSocket {
        socket: Box<WebSocketStream<TcpStream>>,
        binary: bool,
    },
    Tcp {
        socket: TcpStream,
        decoder: Frames,
    },
}

impl Peer {
    pub(crate) async fn start() -> Self {
        Self::speaking(Format::Json).await
    }

    pub(crate) async fn speaking(format: Format) -> Self {
        let bind = || TcpListener::bind("127.0.0.1:0");
        Self { http: bind().await.unwrap(), tcp: bind().await.unwrap(), format }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.http.local_addr().unwrap()
    }

    /// A client of this peer that polls often and otherwise has the timers of every client.
    pub(crate) fn client(&self) -> Client {
        self.client_with(timers())
    }

    pub(crate) fn client_with(&self, timers: Timers) -> Client {
        let http = format!("http://{}", self.address());
        let tcp = Some(self.tcp.local_addr().unwrap());
        Client::new(Options { http, tcp, format: self.format, timers, ..Options::default() }).unwrap()
    }

    /// The next HTTP request on a new connection, whatever it is.
    pub(crate) async fn request(&self) -> (Asked, TcpStream) {
        let (mut socket, _) = within(self.http.accept()).await.unwrap();
        (read_request(&mut socket).await.unwrap(), socket)
    }

    /// The next HTTP connection, before anything of it was read.
    pub(crate) async fn request_unread(&self) -> TcpStream {
        within(self.http.accept()).await.unwrap().0
    }

    /// Whether another HTTP connection waits to be accepted.
    pub(crate) fn is_asked(&self) -> bool {
        self.http.accept().now_or_never().is_some()
    }

    /// The next connection of a following. Two-way ones have said hello and subscribed.
    pub(crate) async fn accept(&self, transport: Transport) -> Accepted {
        match transport {
            Transport::Tcp => self.accept_tcp().await,
            Transport::WebSocket => self.accept_websocket().await,
            Transport::Poll | Transport::LongPoll => {
                let (asked, socket) = self.request().await;
                assert!(asked.line.contains(transport.path().unwrap()), "{asked:?}");
                Accepted { asked, link: Link::Shots { socket, waits: true } }
            }
            Transport::Stream | Transport::Sse => {
                let (asked, socket) = self.request().await;
                assert!(asked.line.contains(transport.path().unwrap()), "{asked:?}");
                let encoding = match (transport, self.format) {
                    (Transport::Sse, _) => Encoding::Sse,
                    (_, Format::Json) => Encoding::JsonLine,
                    (_, Format::Binary) => Encoding::Binary,
                };
                Accepted { asked, link: Link::Body { socket, encoding } }
            }
        }
    }

    /// The same, and the first bytes of the answer say `place`. Polls say it with their first answer.
    pub(crate) async fn greet(&self, transport: Transport, place: &str) -> Accepted {
        let mut accepted = self.accept(transport).await;
        accepted.greet(place, 25_000).await;
        accepted
    }

    async fn accept_tcp(&self) -> Accepted {
        let (socket, _) = within(self.tcp.accept()).await.unwrap();
        let decoder = match self.format {
            Format::Json => Frames::Lines(decode::Lines::new()),
            Format::Binary => Frames::Binary(decode::Binary::new()),
        };
        let mut accepted = Accepted { asked: Asked::default(), link: Link::Tcp { socket, decoder } };
        accepted.take_greeting().await;
        accepted
    }

    async fn accept_websocket(&self) -> Accepted {
        let (socket, _) = within(self.http.accept()).await.unwrap();
        let mut asked = Asked::default();
        #[allow(clippy::result_large_err, reason = "the signature is tungstenite's")]
        let choose = |request: &Request, mut response: Response| {
            asked.line = request.uri().to_string();
            let protocol = request.headers()["sec-websocket-protocol"].clone();
            asked.headers.insert("sec-websocket-protocol".into(), protocol.to_str().unwrap().into());
            response.headers_mut().insert("sec-websocket-protocol", protocol);
            Ok(response)
        };
        let socket = within(accept_hdr_async(socket, choose)).await.unwrap();
        let binary = self.format == Format::Binary;
        let mut accepted = Accepted { asked, link: Link::WebSocket { socket: Box::new(socket), binary } };
        accepted.take_greeting().await;
        accepted
    }
}

impl Accepted {
    async fn take_greeting(&mut self) {
        let Up::Hello(hello) = self.up().await else { panic!("hello comes first") };
        assert!(hello.client.is_some() && hello.protocol == Some(1));
        let Up::Subscribe(subscribe) = self.up().await else { panic!("then a subscribe") };
        assert_eq!(subscribe.id, Some(1));
        self.asked.channels = subscribe.channels;
        (self.asked.after, self.asked.last) = (subscribe.after, subscribe.last);
    }

    /// The first bytes of the answer.
    pub(crate) async fn greet(&mut self, place: &str, heartbeat_ms: u64) {
        let welcome = |cursor| {
            Down::Welcome(Welcome { client: "c".into(), heartbeat_ms, cursor, ..Welcome::default() })
        };
        match &mut self.link {
            Link::Shots { .. } => {}
            Link::Body { socket, encoding } => {
                let (media, first) = match encoding {
                    Encoding::Sse => ("text/event-stream", sosik_wire::SSE_RETRY),
                    Encoding::Binary => ("application/octet-stream", ""),
                    _ => ("application/x-ndjson", ""),
                };
                let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {media}\r\n\r\n{first}");
                socket.write_all(head.as_bytes()).await.unwrap();
                self.send(&[welcome(Some(place.into()))]).await;
            }
            Link::WebSocket { .. } | Link::Tcp { .. } => {
                let channels = Some(self.asked.channels.clone());
                let ok = OkFrame { id: Some(1), channels, cursor: Some(place.into()), ..OkFrame::default() };
                self.send(&[welcome(None), Down::Ok(ok)]).await;
            }
        }
    }

    /// Sends frames; polls send them as the answer to the request that waits, or to the next.
    pub(crate) async fn send(&mut self, frames: &[Down]) {
        match &mut self.link {
            Link::Body { socket, encoding } => {
                for frame in frames {
                    socket.write_all(&encoding.frame(frame)).await.unwrap();
                }
            }
            Link::WebSocket { socket, binary } => {
                for frame in frames {
                    let message = if *binary {
                        Message::binary(Encoding::Binary.frame(frame))
                    } else {
                        Message::text(text(frame))
                    };
                    socket.send(message).await.unwrap();
                }
            }
            Link::Tcp { socket, decoder } => {
                let encoding = match decoder {
                    Frames::Lines(_) => Encoding::JsonLine,
                    Frames::Binary(_) => Encoding::Binary,
                };
                for frame in frames {
                    socket.write_all(&encoding.frame(frame)).await.unwrap();
                }
            }
            Link::Shots { .. } => {
                let cursor = frames.iter().rev().find_map(Down::cursor).map(str::to_owned);
                let cursor = cursor.or_else(|| self.asked.after.clone()).unwrap_or_else(|| "1".into());
                let frames: Vec<_> =
                    frames.iter().filter(|frame| !matches!(frame, Down::CaughtUp(_))).cloned().collect();
                self.answer(&frames, &cursor, false).await;
            }
        }
    }

    /// Answers a poll.
    pub(crate) async fn answer(&mut self, frames: &[Down], cursor: &str, more: bool) {
        self.answer_raw("200 OK", "", &page(frames, cursor, more)).await;
    }

    /// Answers a poll with any status and headers (`name: value\r\n`).
    pub(crate) async fn answer_raw(&mut self, status: &str, headers: &str, body: &str) {
        self.next_request().await;
        let Link::Shots { socket, waits } = &mut self.link else { panic!("not a poll") };
        *waits = false;
        respond(socket, status, headers, body).await;
    }

    /// Waits for the next poll over the same connection.
    pub(crate) async fn next_request(&mut self) {
        let Link::Shots { socket, waits } = &mut self.link else { panic!("not a poll") };
        if !*waits {
            self.asked = read_request(socket).await.expect("a request over the kept connection");
            *waits = true;
        }
    }

    /// Bytes as they are, over whatever there is.
    pub(crate) async fn raw(&mut self, bytes: &[u8]) {
        match &mut self.link {
            Link::Body { socket, .. } | Link::Shots { socket, .. } | Link::Tcp { socket, .. } => {
                socket.write_all(bytes).await.unwrap();
            }
            Link::WebSocket { socket, .. } => socket.get_mut().write_all(bytes).await.unwrap(),
        }
    }

    /// The next frame from the client.
    pub(crate) async fn up(&mut self) -> Up {
        within(async {
            match &mut self.link {
                Link::WebSocket { socket, .. } => loop {
                    match socket.next().await.unwrap().unwrap() {
                        Message::Text(text) => return Up::parse(&text).unwrap(),
                        Message::Binary(bytes) => {
                            let mut decoder = decode::Binary::new();
                            decoder.feed(&bytes);
                            let body = decoder.next_body().unwrap().unwrap();
                            return Up::parse(decode::json_body(&body).unwrap().unwrap()).unwrap();
                        }
                        _ => {}
                    }
                },
                Link::Tcp { socket, decoder } => loop {
                    if let Some(text) = decoder.next() {
                        return Up::parse(&text).unwrap();
                    }
                    let mut bytes = [0; 1024];
                    let count = socket.read(&mut bytes).await.unwrap();
                    assert!(count > 0, "the client closed");
                    decoder.feed(&bytes[..count]);
                },
                _ => panic!("one-way"),
            }
        })
        .await
    }

    /// Waits until the client has closed its side.
    pub(crate) async fn closed(mut self) {
        let mut bytes = [0; 1024];
        within(async {
            match &mut self.link {
                Link::Body { socket, .. } | Link::Shots { socket, .. } | Link::Tcp { socket, .. } => {
                    while matches!(socket.read(&mut bytes).await, Ok(count) if count > 0) {}
                }
                Link::WebSocket { socket, .. } => while matches!(socket.next().await, Some(Ok(_))) {},
            }
        })
        .await;
    }
}

/// Timers for tests: nothing here waits for a poll, and silence takes as long as it does for everybody.
pub(crate) fn timers() -> Timers {
    let soon = Duration::from_millis(5);
    Timers { poll_least: soon, poll_most: soon, ..Timers::default() }
}

/// The next `count` deliveries, in short: `e5`, `g9` (by `next_seq`), `up`, `+sse`, `-`, `no`.
pub(crate) async fn told(following: &mut Following, count: usize) -> Vec<String> {
    let mut all = Vec::new();
    while all.len() < count {
        all.push(match within(following.next()).await {
            Ok(delivery) => short(&delivery),
            Err(error) => panic!("after {all:?}: {error}"),
        });
    }
    all
}

pub(crate) fn short(delivery: &Delivery) -> String {
    match delivery {
        Delivery::Event(event) => format!("e{}", event.seq),
        Delivery::Gap(gap) => format!("g{}", gap.next_seq.unwrap_or_default()),
        Delivery::CaughtUp(_) => "up".into(),
        Delivery::Connected(transport) => format!("+{transport}"),
        Delivery::Interrupted(_) => "-".into(),
        Delivery::NotChanged(_) => "no".into(),
        other => format!("{other:?}"),
    }
}

/// Fails a test that hangs instead of letting it run for ever.
pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    timeout(Duration::from_secs(20), future).await.expect("nothing happened for 20 s")
}
