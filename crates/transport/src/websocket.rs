//! WebSocket (RFC 6455): frames both ways through browsers. Reading goes through tungstenite; what is written are the
//! frames made once for everybody.

mod messages;

use std::sync::Arc;

use axum::{
    extract::Request,
    response::Response,
    routing::{MethodFilter, MethodRouter},
};
use http::{HeaderValue, Method, StatusCode, header, request::Parts};
use hyper_util::rt::TokioIo;
use sosik_wire::{Code, Refused, TransportName as Transport};
use tungstenite::handshake::derive_accept_key;

use self::messages::Messages;
use crate::{
    duplex,
    form::Form,
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

const NO_UPGRADE: &str = "this path speaks WebSocket only, and the request has no upgrade; if it had one, a proxy has removed it: use another transport";
const SUBPROTOCOLS: [(&str, Form); 2] = [("sosik.v1.json", Form::Text), ("sosik.v1.bin", Form::Message)];
/// 16 bytes in base64.
const KEY_BYTES: usize = 24;
