//! Messages of the client, read through tungstenite.

use std::io::{self, Read, Write};

use bytes::{Buf, Bytes, BytesMut};
use sosik_wire::{
    BODY_BYTES_MAX, Goodbye, GoodbyeFrame,
    decode::{Binary, json_body},
    websocket,
};
use tungstenite::{
    Error, Message, WebSocket,
    protocol::{Role, WebSocketConfig},
};

use crate::{
    duplex::{Codec, Inbound},
    form::{Form, Pieces},
    http::bad,
};

/// Messages of the client, by tungstenite over memory: it never sees the socket.
pub(super) struct Messages {
    socket: WebSocket<Bridge>,
    frames: Binary,
    binary: bool,
}

impl Messages {
    pub(super) fn new(form: Form) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(0)
            .max_message_size(Some(BODY_BYTES_MAX))
            .max_frame_size(Some(BODY_BYTES_MAX));
        Self {
            socket: WebSocket::from_raw_socket(Bridge::default(), Role::Server, Some(config)),
            frames: Binary::with_limit(BODY_BYTES_MAX),
            binary: form == Form::Message,
        }
    }

    fn message(&mut self, message: Message) -> Option<Inbound> {
        match message {
            Message::Text(text) => Some(Inbound::Frame(text.as_str().to_owned())),
            Message::Binary(bytes) if self.binary => {
                self.frames.feed(&bytes);
                self.frame()
            }
            Message::Binary(_) => {
                Some(Inbound::Bad(bad("binary messages need the subprotocol sosik.v1.bin")))
            }
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) | Message::Close(_) => None,
        }
    }

    /// The next frame of the binary messages that came.
    fn frame(&mut self) -> Option<Inbound> {
        loop {
            let body = match self.frames.next_body() {
                Ok(body) => body?,
                Err(_) => return Some(Inbound::Fatal(Goodbye::TooLarge)),
            };
            match json_body(&body) {
                Ok(Some(text)) => return Some(Inbound::Frame(text.to_owned())),
                Ok(None) => {}
                Err(error) => return Some(Inbound::Bad(bad(&error.to_string()))),
            }
        }
    }
}

impl Codec for Messages {
    fn feed(&mut self, bytes: &[u8]) {
        self.socket.get_mut().input.extend_from_slice(bytes);
    }

    fn next(&mut self, control: &mut Vec<Pieces>) -> Option<Inbound> {
        loop {
            if let Some(inbound) = self.frame() {
                return Some(inbound);
            }
            let read = self.socket.read();
            // tungstenite answers a ping with the next write; pongs and closes must not wait for one.
            let _ = self.socket.flush();
            let output = std::mem::take(&mut self.socket.get_mut().output);
            if !output.is_empty() {
                control.push(Pieces::from_iter([Bytes::from(output)]));
            }
            match read {
                Ok(message) => {
                    if let Some(inbound) = self.message(message) {
                        return Some(inbound);
                    }
                }
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return None,
                Err(error) => return Some(failed(&error, control)),
            }
        }
    }

    fn close(&self, goodbye: &GoodbyeFrame) -> Pieces {
        let known = Goodbye::from_number(goodbye.code).unwrap_or(Goodbye::Internal);
        Pieces::from_iter([websocket::close(known, &goodbye.name)])
    }

    fn listens_after_end(&self) -> bool {
        false
    }
}

/// Fails the connection as RFC 6455 section 7.1.7 wants it, with the codes of section 7.4.1; our own where a limit of
/// ours was broken.
fn failed(error: &Error, control: &mut Vec<Pieces>) -> Inbound {
    let (code, reason): (u16, &[u8]) = match error {
        Error::Capacity(_) => return Inbound::Fatal(Goodbye::TooLarge),
        Error::Utf8(_) => (1007, b"not UTF-8"),
        Error::Protocol(_) => (1002, b"protocol error"),
        _ => return Inbound::Closed,
    };
    let payload = [&code.to_be_bytes()[..], reason].concat();
    control.push(Pieces::from_iter([websocket::message(websocket::CLOSE, &payload)]));
    Inbound::Closed
}

/// What tungstenite takes for a socket: bytes in memory.
#[derive(Debug, Default)]
struct Bridge {
    input: BytesMut,
    output: Vec<u8>,
}

impl Read for Bridge {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.input.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = into.len().min(self.input.len());
        into[..count].copy_from_slice(&self.input[..count]);
        self.input.advance(count);
        Ok(count)
    }
}

impl Write for Bridge {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

const READ_BUFFER_BYTES: usize = 4 * 1024;
