//! One connection that asks and waits for the answer: for what is not measured, or one at a time.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use super::{answers, answers::Answer, carrier::channel_name};
use crate::Failed;

/// A connection kept alive.
#[derive(Debug)]
pub(crate) struct Asker {
    socket: TcpStream,
    held: Vec<u8>,
}

impl Asker {
    pub(crate) fn open(server: SocketAddr) -> Result<Self, Failed> {
        let socket = TcpStream::connect(server)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { socket, held: Vec::new() })
    }

    /// Sends a whole request. The body of its answer, which must be 200.
    pub(crate) fn ask(&mut self, request: &[u8]) -> Result<&[u8], Failed> {
        let whole = self.whole(request)?;
        Ok(Answer::of(whole).map_or(&[], |answer| &whole[answer.body]))
    }

    /// The same with its head.
    pub(crate) fn whole(&mut self, request: &[u8]) -> Result<&[u8], Failed> {
        self.whole_of(request, 200)
    }

    /// The same, of which the answer must have this status.
    pub(crate) fn whole_of(&mut self, request: &[u8], status: u16) -> Result<&[u8], Failed> {
        self.socket.write_all(request)?;
        self.held.clear();
        let mut chunk = [0; 16 * 1024];
        loop {
            if let Some(answer) = Answer::of(&self.held) {
                return if answer.status == status {
                    Ok(&self.held)
                } else {
                    Err(format!("not {status}: {}", String::from_utf8_lossy(&self.held)).into())
                };
            }
            match self.socket.read(&mut chunk)? {
                0 => return Err("the server cut the connection of a request".into()),
                count => self.held.extend_from_slice(&chunk[..count]),
            }
        }
    }

    /// Publishes `body` as it is: one event or an array.
    pub(crate) fn post(&mut self, body: &str) -> Result<(), Failed> {
        self.ask(&post(body)).map(drop)
    }

    /// The cursor behind what the channel with this number has.
    pub(crate) fn cursor(&mut self, channel: u32) -> Result<String, Failed> {
        let request = format!(
            "GET /v1/poll?channel={}&after=now HTTP/1.1\r\nHost: localhost\r\n\r\n",
            channel_name(channel)
        );
        let body = self.ask(request.as_bytes())?;
        answers::cursor_of(body).ok_or_else(|| "a poll without a cursor".into())
    }
}

/// The publish with this body.
pub(crate) fn post(body: &str) -> Vec<u8> {
    let head = format!(
        "POST /v1/publish HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    (head + body).into_bytes()
}

/// The body of a publish of one event.
pub(crate) fn event(channel: &str, data: &str) -> String {
    format!("{{\"channel\":\"{channel}\",\"data\":{data}}}")
}

/// Longer than any answer of a server that lives.
const PATIENCE: Duration = Duration::from_secs(30);
