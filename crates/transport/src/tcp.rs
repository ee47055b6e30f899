//! Raw TCP: JSON lines for `nc` and small devices, length-prefixed frames for everybody else. The first byte tells.

use std::sync::Arc;

use bytes::Bytes;
use sosik_wire::{
    BODY_BYTES_MAX, Goodbye, GoodbyeFrame, Refused, TransportName as Transport,
    decode::{Binary, Lines, json_body},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    close::Working,
    connection::Connection,
    duplex::{Codec, Duplex, Inbound},
    form::{Form, Pieces},
    http::bad,
    hub::{Caller, Hub},
    takeover::Served,
};

/// Which of the six it is.
pub(crate) const TRANSPORT: Transport = Transport::Tcp;

/// Begins to serve an accepted connection; what is answered serves it to its end.
///
/// `{` begins JSON lines, `0x00` length-prefixed frames (no frame is long enough for another first byte), `0x16` a TLS
/// handshake, which is answered by a goodbye until there is TLS. Anything else is closed without a word, so that a
/// browser that is tricked into posting here runs nothing.
pub async fn open(hub: Arc<Hub>, caller: Caller, mut connection: Connection) -> Option<Served> {
    let limit = std::time::Duration::from_millis(hub.settings.hello_ms);
    let first = tokio::time::timeout(limit, connection.read_u8()).await.ok()?.ok()?;
    let connection = connection.with_unread(Bytes::copy_from_slice(&[first]));
    match first {
        b'{' => {
            let codec = JsonLines(Lines::with_limit(BODY_BYTES_MAX));
            let first = Pieces::new();
            let duplex = Duplex::new(&hub, caller, connection, codec, TRANSPORT, Form::Lines, first);
            Some(Box::pin(Working::Busy(duplex)))
        }
        0x00 => {
            let codec = Frames(Binary::with_limit(BODY_BYTES_MAX));
            let first = Pieces::new();
            let duplex = Duplex::new(&hub, caller, connection, codec, TRANSPORT, Form::Binary, first);
            Some(Box::pin(Working::Busy(duplex)))
        }
        TLS_HANDSHAKE => {
            let mut connection = connection;
            let pieces = Form::Lines.frame(&sosik_wire::Down::goodbye(Goodbye::BadRequest));
            let _ = connection.write_all(&pieces.concat()).await;
            let _ = connection.shutdown().await;
            None
        }
        _ => None,
    }
}

/// One JSON object per line.
struct JsonLines(Lines);

impl Codec for JsonLines {
    fn feed(&mut self, bytes: &[u8]) {
        self.0.feed(bytes);
    }

    fn next(&mut self, _: &mut Vec<Pieces>) -> Option<Inbound> {
        loop {
            return match self.0.next_line() {
                Ok(None) => None,
                Ok(Some(line)) if line.is_empty() => continue,
                Ok(Some(line)) => Some(text(line.to_vec())),
                Err(_) => Some(Inbound::Fatal(Goodbye::TooLarge)),
            };
        }
    }

    fn close(&self, _: &GoodbyeFrame) -> Pieces {
        Pieces::new()
    }

    /// `printf … | nc` ends its input and goes on listening.
    fn listens_after_end(&self) -> bool {
        true
    }
}

/// Length-prefixed frames.
struct Frames(Binary);

impl Codec for Frames {
    fn feed(&mut self, bytes: &[u8]) {
        self.0.feed(bytes);
    }

    fn next(&mut self, _: &mut Vec<Pieces>) -> Option<Inbound> {
        loop {
            let body = match self.0.next_body() {
                Ok(Some(body)) => body,
                Ok(None) => return None,
                Err(_) => return Some(Inbound::Fatal(Goodbye::TooLarge)),
            };
            match json_body(&body) {
                Ok(Some(text)) => return Some(Inbound::Frame(text.to_owned())),
                Ok(None) => {}
                Err(error) => return Some(Inbound::Bad(bad(&error.to_string()))),
            }
        }
    }

    fn close(&self, _: &GoodbyeFrame) -> Pieces {
        Pieces::new()
    }

    fn listens_after_end(&self) -> bool {
        false
    }
}

fn text(line: Vec<u8>) -> Inbound {
    match String::from_utf8(line) {
        Ok(text) => Inbound::Frame(text),
        Err(_) => Inbound::Bad(not_utf8()),
    }
}

fn not_utf8() -> Refused {
    bad("the line is not UTF-8; send one JSON object per line")
}

const TLS_HANDSHAKE: u8 = 0x16;
