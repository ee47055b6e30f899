//! HTTP/1.1 as bytes: requests are written out, responses read by the laboratory's parser.

use std::{collections::VecDeque, io, net::SocketAddr};

use sosik_lab::raw::{Head, HttpPart, HttpResponses, Torn};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{Refusal, WITHIN};

/// A request's bytes, with a `Host`, these headers, and a length where there is a body.
pub fn request(
    method: &str,
    target: &str,
    host: SocketAddr,
    headers: &[(String, String)],
    body: &[u8],
) -> Vec<u8> {
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() || method == "POST" {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    [head.as_bytes(), b"\r\n", body].concat()
}

/// A pair of a header, for [`request`].
pub fn header(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// A whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// Its head.
    pub head: Head,
    /// Its body without framing.
    pub body: Vec<u8>,
}

impl Answered {
    /// Its status.
    pub fn status(&self) -> u16 {
        self.head.status().unwrap_or(0)
    }

    /// The problem that it tells, if it is one.
    pub fn refusal(&self) -> Option<Refusal> {
        let said: serde_json::Value = serde_json::from_slice(&self.body).ok()?;
        let text = |key: &str| said[key].as_str().map(str::to_owned);
        let (code, message) = (text("code")?, text("detail")?);
        (self.status() >= 400).then(|| Refusal { code, message, status: self.status() })
    }

    /// Its body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }
}

/// Collects the answers of one connection.
#[derive(Debug, Default)]
pub(super) struct Answers {
    parser: HttpResponses,
    begun: Option<Answered>,
}

impl Answers {
    /// The answers that the bytes complete.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<Vec<Answered>, Torn> {
        let mut complete = Vec::new();
        for part in self.parser.push(bytes)? {
            match (part, &mut self.begun) {
                (HttpPart::Head(head), _) => self.begun = Some(Answered { head, body: Vec::new() }),
                (HttpPart::Body(bytes), Some(answer)) => answer.body.extend_from_slice(&bytes),
                (HttpPart::End, begun) => complete.extend(begun.take()),
                (HttpPart::Body(_), None) => {}
            }
        }
        Ok(complete)
    }
}

/// Reads the one answer that does not end: its body once the head has the status that was hoped for, else the refusal.
#[derive(Debug)]
pub(super) struct Opening {
    parser: HttpResponses,
    hoped: u16,
    answered: Option<Answered>,
}

/// A part of an [`Opening`].
pub(super) enum Piece {
    /// The head with the status that was hoped for.
    Head(Head),
    /// Bytes of the body.
    Body(Vec<u8>),
    /// The answer is a refusal.
    Refused(Refusal),
}

impl Opening {
    pub(super) fn hoping(hoped: u16) -> Self {
        Self { parser: HttpResponses::new(), hoped, answered: None }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<Vec<Piece>, Torn> {
        let mut pieces = Vec::new();
        for part in self.parser.push(bytes)? {
            match (part, &mut self.answered) {
                (HttpPart::Head(head), _) => {
                    if head.status() == Some(self.hoped) {
                        pieces.push(Piece::Head(head.clone()));
                    }
                    self.answered = Some(Answered { head, body: Vec::new() });
                }
                (HttpPart::Body(bytes), Some(answered)) if answered.status() == self.hoped => {
                    pieces.push(Piece::Body(bytes));
                }
                (HttpPart::Body(bytes), Some(answered)) => answered.body.extend_from_slice(&bytes),
                (HttpPart::End, answered) => {
                    pieces.extend(answered.take().and_then(|all| all.refusal()).map(Piece::Refused));
                }
                (HttpPart::Body(_), None) => {}
            }
        }
        Ok(pieces)
    }
}

/// One kept-alive connection for whole requests and answers.
#[derive(Debug)]
pub struct Client {
    /// The connection itself, for what no well-formed request does.
    pub socket: TcpStream,
    addr: SocketAddr,
    answers: Answers,
    complete: VecDeque<Answered>,
}

impl Client {
    /// Connects.
    pub async fn connect(addr: SocketAddr) -> Self {
        Self::reach(addr).await.unwrap()
    }

    /// [`Client::connect`] where there may be nobody.
    ///
    /// # Errors
    /// Nobody listens there.
    pub async fn reach(addr: SocketAddr) -> io::Result<Self> {
        let socket = TcpStream::connect(addr).await?;
        socket.set_nodelay(true)?;
        Ok(Self { socket, addr, answers: Answers::default(), complete: VecDeque::new() })
    }

    /// Asks and waits for the answer.
    pub async fn ask(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(String, String)],
        body: &[u8],
    ) -> Answered {
        self.write(&request(method, target, self.addr, headers, body)).await;
        self.answer().await.unwrap_or_else(|| panic!("no answer to {method} {target}"))
    }

    /// `GET` without more.
    pub async fn get(&mut self, target: &str) -> Answered {
        self.ask("GET", target, &[], b"").await
    }

    /// `POST` of JSON.
    pub async fn post(&mut self, target: &str, body: &str) -> Answered {
        self.ask("POST", target, &[header("Content-Type", "application/json")], body.as_bytes()).await
    }

    /// Writes bytes as they are. A server that has closed already is noticed by [`Client::answer`].
    pub async fn write(&mut self, bytes: &[u8]) {
        let _ = self.socket.write_all(bytes).await;
    }

    /// The next answer, `None` when the connection ends before.
    pub async fn answer(&mut self) -> Option<Answered> {
        let mut buffer = vec![0; 16 * 1024];
        while self.complete.is_empty() {
            let read = timeout(WITHIN, self.socket.read(&mut buffer)).await.expect("the server hangs");
            match read {
                Ok(count) if count > 0 => self.complete.extend(self.answers.push(&buffer[..count]).unwrap()),
                _ => return None,
            }
        }
        self.complete.pop_front()
    }
}
