//! Starts servers and speaks HTTP/1.1 to them byte by byte.

use std::{net::SocketAddr, time::Duration};

use sosik_server::{Checked, Running, ServeArgs, start};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// How long a test waits for what must come. Never asserted: it only ends a test that would hang.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Options of a demo server on free ports.
pub(crate) fn demo() -> Checked {
    let any = Some("127.0.0.1:0".to_owned());
    let store = Some("memory".to_owned());
    let args =
        ServeArgs { listen: any.clone(), tcp_listen: any, store, demo: Some(true), ..ServeArgs::default() };
    Checked::new(args).unwrap()
}

/// A demo server with `change` made to its options.
pub(crate) async fn server(change: impl FnOnce(&mut Checked)) -> Running {
    let mut options = demo();
    change(&mut options);
    start(options).await.unwrap()
}

/// An answer, its head apart from its body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Answer {
    /// All values of a header, joined by commas; empty when it is absent.
    pub(crate) fn header(&self, name: &str) -> String {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        let values = lines.filter(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value);
        values.collect::<Vec<_>>().join(",")
    }

    /// The `code` of a problem document; panics when it is none.
    pub(crate) fn code(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        self.json()["code"].as_str().unwrap().to_owned()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Sends `lines` as the head of a request, each with CRLF, and reads the answer.
pub(crate) async fn ask(addr: SocketAddr, lines: &[&str]) -> Answer {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    send(&mut stream, lines).await;
    answer(&mut stream).await
}

/// `GET path` with the server's own name and further headers.
pub(crate) async fn ask_path(addr: SocketAddr, path: &str, headers: &[&str]) -> Answer {
    let (line, host) = (format!("GET {path} HTTP/1.1"), format!("Host: {addr}"));
    ask(addr, &[&[&*line, &*host], headers].concat()).await
}

pub(crate) async fn send(stream: &mut TcpStream, lines: &[&str]) {
    let text = lines.iter().map(|line| format!("{line}\r\n")).collect::<String>() + "\r\n";
    stream.write_all(text.as_bytes()).await.unwrap();
}

/// Reads one answer with a length, or with none by its status.
pub(crate) async fn answer(stream: &mut TcpStream) -> Answer {
    let head = until(stream, "\r\n\r\n").await;
    let status = head[9..12].parse().unwrap();
    let mut answer = Answer { status, head, body: String::new() };
    let length = answer.header("content-length").parse().unwrap_or(0);
    let mut body = vec![0; length];
    timeout(PATIENCE, stream.read_exact(&mut body)).await.unwrap().unwrap();
    answer.body = String::from_utf8(body).unwrap();
    answer
}

/// Reads up to and with `end`.
pub(crate) async fn until(stream: &mut TcpStream, end: &str) -> String {
    let mut read = Vec::new();
    while !read.ends_with(end.as_bytes()) {
        let byte = timeout(PATIENCE, stream.read_u8()).await;
        let so_far = || String::from_utf8_lossy(&read).into_owned();
        read.push(byte.expect("silence").unwrap_or_else(|error| panic!("{error} after {:?}", so_far())));
    }
    String::from_utf8_lossy(&read).into_owned()
}

/// Reads everything up to the end of the connection, also when it ends by a reset.
pub(crate) async fn rest(stream: &mut TcpStream) -> String {
    let mut read = Vec::new();
    let ended = timeout(PATIENCE, stream.read_to_end(&mut read)).await;
    assert!(ended.is_ok(), "not closed; read {:?}", String::from_utf8_lossy(&read));
    String::from_utf8_lossy(&read).into_owned()
}

/// Completes a WebSocket handshake; `headers` besides the usual ones.
pub(crate) async fn websocket(addr: SocketAddr, headers: &[&str]) -> (TcpStream, Answer) {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let host = format!("Host: {addr}");
    let lines = [&["GET /v1/websocket HTTP/1.1", &*host], HANDSHAKE, headers].concat();
    send(&mut stream, &lines).await;
    let answer = answer(&mut stream).await;
    (stream, answer)
}

/// What a WebSocket handshake has besides its first line and host (RFC 6455 section 4.1).
pub(crate) const HANDSHAKE: &[&str] = &[
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
];
