//! WebSocket (RFC 6455): frames both ways through browsers. Reading goes through tungstenite; what is written are the
//! frames made once for everybody.

use std::{
    io::{self, Read, Write},
    sync::Arc,
};

use axum::{
    extract::Request,
    response::Response,
    routing::{MethodFilter, MethodRouter},
};
use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderValue, Method, StatusCode, header, request::Parts};
use hyper_util::rt::TokioIo;
use sosik_wire::{
    BODY_BYTES_MAX, Code, Goodbye, GoodbyeFrame, Refused, TransportName as Transport,
    decode::{Binary, json_body},
    websocket,
};
use tungstenite::{
    Error, Message, WebSocket,
    handshake::derive_accept_key,
    protocol::{Role, WebSocketConfig},
};

use crate::{
    duplex::{self, Codec, Inbound},
    form::{Form, Pieces},
    http::{answering, bad},
    hub::{Caller, Hub},
};

/// Which of the six it is.
pub(crate) const TRANSPORT: Transport = Transport::WebSocket;

pub(crate) fn route() -> MethodRouter<Arc<Hub>> {
    answering(MethodFilter::GET, respond)
}

/// Switches protocols (RFC 6455 section 4.2.2), or says at once that this path speaks nothing else: clients behind a
/// proxy that drops `Upgrade` must not wait to find out.
async fn respond(hub: Arc<Hub>, caller: Caller, request: Request) -> Result<Response, Refused> {
    let (mut parts, _) = request.into_parts();
    let accept = check(&parts)?;
    let (form, subprotocol) = choose(&parts)?;
    let upgrade = parts.extensions.remove::<hyper::upgrade::OnUpgrade>();
    let upgrade = upgrade.ok_or_else(|| Refused::new(None, Code::Upgrade, NO_UPGRADE))?;
    // Ends with its connection: by its own end, by the goodbye of a drain, or with the runtime.
    #[allow(
        clippy::disallowed_methods,
        reason = "an upgraded connection outlives the request that asked for it"
    )]
    tokio::spawn(async move {
        let Ok(upgraded) = upgrade.await else { return };
        duplex::serve(hub, caller, TokioIo::new(upgraded), Messages::new(form), TRANSPORT, form).await;
    });
    let mut response = Response::new(axum::body::Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    if let Some(subprotocol) = subprotocol {
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(subprotocol));
    }
    Ok(response)
}

fn check(parts: &Parts) -> Result<HeaderValue, Refused> {
    let has = |name, wanted: &str| {
        let values = parts.headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|token| token.trim().eq_ignore_ascii_case(wanted))
    };
    // The router takes HEAD for GET (RFC 6455 section 4.2.1 does not).
    let get = parts.method == Method::GET;
    if !get || !has(header::UPGRADE, "websocket") || !has(header::CONNECTION, "upgrade") {
        return Err(Refused::new(None, Code::Upgrade, NO_UPGRADE));
    }
    if !has(header::SEC_WEBSOCKET_VERSION, "13") {
        return Err(Refused::new(
            None,
            Code::Upgrade,
            "this server speaks WebSocket version 13 only (RFC 6455)",
        ));
    }
    let key = parts.headers.get(header::SEC_WEBSOCKET_KEY).filter(|key| key.len() == KEY_BYTES);
    let key = key.ok_or_else(|| bad("Sec-WebSocket-Key must be 16 random bytes in base64"))?;
    HeaderValue::try_from(derive_accept_key(key.as_bytes())).map_err(|_| bad("Sec-WebSocket-Key is not text"))
}

/// The first subprotocol we know; none means JSON. Only unknown ones cannot be served.
fn choose(parts: &Parts) -> Result<(Form, Option<&'static str>), Refused> {
    let values =
        parts.headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    let mut offered = values.flat_map(|value| value.split(',')).map(str::trim).peekable();
    if offered.peek().is_none() {
        return Ok((Form::Text, None));
    }
    let known = |name| SUBPROTOCOLS.iter().find(|(own, _)| *own == name);
    match offered.find_map(known) {
        Some((name, form)) => Ok((*form, Some(name))),
        None => Err(bad("unknown subprotocol; offer sosik.v1.json or sosik.v1.bin, or none")),
    }
}

/// Messages of the client, by tungstenite over memory: it never sees the socket.
struct Messages {
    socket: WebSocket<Bridge>,
    frames: Binary,
    binary: bool,
}

impl Messages {
    fn new(form: Form) -> Self {
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

const NO_UPGRADE: &str = "this path speaks WebSocket only, and the request has no upgrade; if it had one, a proxy has removed it: use another transport";
const SUBPROTOCOLS: [(&str, Form); 2] = [("sosik.v1.json", Form::Text), ("sosik.v1.bin", Form::Message)];
const READ_BUFFER_BYTES: usize = 4 * 1024;
/// 16 bytes in base64.
const KEY_BYTES: usize = 24;
