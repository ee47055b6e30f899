//! WebSocket, as text and as binary messages: the client's side of RFC 6455 over raw bytes, masked by a seed.

use std::net::SocketAddr;

use sosik_lab::{
    checker::Observed,
    raw::{Head, Torn, WebSocketText},
};
use sosik_wire::binary::wrap_json;

use super::{
    Ask, Carrier, Heard, Manner, Place, Talk,
    binary::Frames,
    http::{self, Opening, Piece},
    two_way::{HELLO, subscribe},
};

/// WebSocket with the subprotocol `sosik.v1.json`.
pub const WEBSOCKET: WebSocket = WebSocket { binary: false };
/// WebSocket with the subprotocol `sosik.v1.bin`.
pub const WEBSOCKET_BINARY: WebSocket = WebSocket { binary: true };

/// See [`WEBSOCKET`] and [`WEBSOCKET_BINARY`].
#[derive(Debug)]
pub struct WebSocket {
    binary: bool,
}

impl Carrier for WebSocket {
    fn name(&self) -> &'static str {
        if self.binary { "websocket.binary" } else { "websocket" }
    }

    fn manner(&self) -> Manner {
        Manner::TwoWay
    }

    fn talk(&self, place: &Place, seed: u64) -> Box<dyn Talk> {
        Box::new(Messages {
            host: place.http,
            binary: self.binary,
            rng: fastrand::Rng::with_seed(seed),
            opening: Opening::hoping(101),
            text: WebSocketText::new(),
            frames: BinaryMessages::default(),
            asked: false,
        })
    }
}

/// The handshake of a client (RFC 6455 section 4.1), offering `subprotocol` unless it is empty.
pub fn upgrade(host: SocketAddr, subprotocol: &str) -> Vec<u8> {
    let mut headers = vec![
        http::header("Connection", "Upgrade"),
        http::header("Upgrade", "websocket"),
        http::header("Sec-WebSocket-Version", "13"),
        http::header("Sec-WebSocket-Key", KEY),
    ];
    if !subprotocol.is_empty() {
        headers.push(http::header("Sec-WebSocket-Protocol", subprotocol));
    }
    http::request("GET", "/v1/websocket", host, &headers, b"")
}

struct Messages {
    host: SocketAddr,
    binary: bool,
    rng: fastrand::Rng,
    opening: Opening,
    text: WebSocketText,
    frames: BinaryMessages,
    asked: bool,
}

impl Messages {
    fn message(&mut self, opcode: u8, payload: &[u8]) -> Vec<u8> {
        masked(opcode, payload, self.rng.u32(..).to_be_bytes())
    }

    fn accepted(&self, head: &Head) -> Result<(), Torn> {
        let subprotocol = if self.binary { "sosik.v1.bin" } else { "sosik.v1.json" };
        let right = head.header("Sec-WebSocket-Accept") == Some(ACCEPT)
            && head.header("Sec-WebSocket-Protocol") == Some(subprotocol)
            && head.has_token("Connection", "upgrade")
            && head.has_token("Upgrade", "websocket");
        if right { Ok(()) } else { Err(Torn { why: format!("no handshake: {head:?}") }) }
    }
}

impl Talk for Messages {
    fn ask(&mut self, ask: &Ask) -> Vec<u8> {
        let subscribe = subscribe(ask);
        self.say(&subscribe)
    }

    fn read(&mut self, bytes: &[u8]) -> Result<Vec<Heard>, Torn> {
        let mut heard = Vec::new();
        for piece in self.opening.push(bytes)? {
            match piece {
                Piece::Head(head) => self.accepted(&head)?,
                Piece::Body(bytes) => {
                    let seen = if self.binary { self.frames.push(&bytes) } else { self.text.push(&bytes) }?;
                    heard.extend(seen.into_iter().map(Heard::Seen));
                }
                Piece::Refused(refusal) => heard.push(Heard::Refused(refusal)),
            }
        }
        Ok(heard)
    }

    /// The handshake, the hello and the frame go out together: nothing has to be waited for.
    fn say(&mut self, frame: &str) -> Vec<u8> {
        let mut out = Vec::new();
        let mut texts = vec![frame];
        if !std::mem::replace(&mut self.asked, true) {
            out = upgrade(self.host, if self.binary { "sosik.v1.bin" } else { "sosik.v1.json" });
            texts.insert(0, HELLO);
        }
        for text in texts {
            out.extend(match self.binary {
                true => self.message(BINARY, &wrap_json(text.as_bytes())),
                false => self.message(TEXT, text.as_bytes()),
            });
        }
        out
    }

    fn farewell(&mut self) -> Vec<u8> {
        self.message(CLOSE, &1000_u16.to_be_bytes())
    }
}

/// A final frame of a client (RFC 6455 section 5.3).
pub fn masked(opcode: u8, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode];
    match payload.len() {
        length @ 0..=125 => frame.push(0x80 | length as u8),
        length @ 126..=0xffff => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// Binary messages of a server, each with whole length-prefixed frames.
#[derive(Debug, Default)]
struct BinaryMessages {
    held: Vec<u8>,
    frames: Frames,
}

impl BinaryMessages {
    fn push(&mut self, bytes: &[u8]) -> Result<Vec<Observed>, Torn> {
        self.held.extend_from_slice(bytes);
        let mut seen = Vec::new();
        while let Some((first, payload, used)) = message(&self.held) {
            match first {
                0x82 => seen.extend(self.frames.push(payload)?),
                0x88 => {
                    let code = payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code));
                    let kind = format!("websocket close {code}");
                    seen.push(Observed::Other { kind, frame: String::new() });
                }
                0x89 | 0x8a => {}
                other => return Err(Torn { why: format!("a frame that begins with {other:#x}") }),
            }
            self.held.drain(..used);
        }
        Ok(seen)
    }
}

/// The first whole frame: its first byte, its payload and its length.
fn message(held: &[u8]) -> Option<(u8, &[u8], usize)> {
    let (&first, &second) = (held.first()?, held.get(1)?);
    let extended = match second {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let length = match extended {
        0 => u64::from(second),
        _ => held.get(2..2 + extended)?.iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte)),
    };
    let payload = held.get(2 + extended..)?.get(..usize::try_from(length).ok()?)?;
    Some((first, payload, 2 + extended + payload.len()))
}

const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
/// The example of RFC 6455 section 1.3, whose answer is known.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
