//! The handshake of a WebSocket (RFC 6455 section 4.2).

use axum::response::Response;
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header, request::Parts};
use sha1::{Digest, Sha1};
use sosik_wire::{Code, Refused};

use crate::{
    connection::Connection,
    form::Form,
    http::bad,
    takeover::{Offer, Takeover},
};

/// Looks at a request for an upgrade: what its answer has as `Sec-WebSocket-Accept`.
pub(super) fn check(parts: &Parts) -> Result<HeaderValue, Refused> {
    let has = |name, wanted: &str| {
        let values = parts.headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|token| token.trim().eq_ignore_ascii_case(wanted))
    };
    // The router takes HEAD for GET (RFC 6455 section 4.2.1 does not).
    let get = parts.method == Method::GET;
    if !get || !has(header::UPGRADE, "websocket") || !has(header::CONNECTION, "upgrade") {
        return Err(no_upgrade());
    }
    if !has(header::SEC_WEBSOCKET_VERSION, "13") {
        return Err(Refused::new(
            None,
            Code::Upgrade,
            "this server speaks WebSocket version 13 only (RFC 6455)",
        ));
    }
    if parts.extensions.get::<Offer>().is_none() {
        return Err(no_upgrade());
    }
    let key = parts.headers.get(header::SEC_WEBSOCKET_KEY).filter(|key| key.len() == KEY_BYTES);
    let key = key.ok_or_else(|| bad("Sec-WebSocket-Key must be 16 random bytes in base64"))?;
    HeaderValue::try_from(accept(key.as_bytes())).map_err(|_| bad("Sec-WebSocket-Key is not text"))
}

/// The first subprotocol we know; none means JSON. Only unknown ones cannot be served.
pub(super) fn choose(parts: &Parts) -> Result<(Form, Option<&'static str>), Refused> {
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

/// The answer that switches protocols, after which the connection is `run`'s, head included.
pub(super) fn switch<F>(
    accept: HeaderValue,
    subprotocol: Option<&'static str>,
    run: impl FnOnce(Connection, Bytes) -> F + Send + 'static,
) -> Response
where
    F: Future<Output = Option<Connection>> + Send + 'static,
{
    let mut response = Response::new(axum::body::Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    if let Some(subprotocol) = subprotocol {
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(subprotocol));
    }
    let takeover = Takeover::for_good(move |connection, head| run(connection, head.end().into()));
    response.extensions_mut().insert(takeover);
    response
}

/// What a request without an upgrade is told.
fn no_upgrade() -> Refused {
    Refused::new(None, Code::Upgrade, NO_UPGRADE)
}

/// Section 4.2.2: shows that the request was understood, and is no secret.
fn accept(key: &[u8]) -> String {
    let mut digest = Sha1::new();
    digest.update(key);
    digest.update(GUID);
    STANDARD.encode(digest.finalize())
}

const NO_UPGRADE: &str = "this path speaks WebSocket only, and the request has no upgrade; if it had one, a proxy has removed it: use another transport";
const SUBPROTOCOLS: [(&str, Form); 2] = [("sosik.v1.json", Form::Text), ("sosik.v1.bin", Form::Message)];
/// 16 bytes in base64.
const KEY_BYTES: usize = 24;
/// Section 1.3.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

#[cfg(test)]
mod tests {
    use super::*;

    // Mutant: the key left out of the digest -> fails.
    #[test]
    fn the_key_of_the_standard_has_the_answer_of_the_standard() {
        assert_eq!(accept(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
