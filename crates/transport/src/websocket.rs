//! WebSocket (RFC 6455): frames both ways through browsers. What is written are the frames made once for everybody.

pub(crate) mod echo;
mod handshake;
mod hear;
mod messages;

use std::sync::Arc;

use axum::{
    extract::Request,
    response::Response,
    routing::{MethodFilter, MethodRouter},
};
use hyper_util::rt::TokioIo;
use sosik_wire::{Refused, TransportName as Transport};

use self::{
    handshake::{check, choose, no_upgrade, switch},
    messages::Messages,
};
use crate::{
    duplex,
    http::answering,
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
    let upgrade = upgrade.ok_or_else(no_upgrade)?;
    // Ends with its connection: by its own end, by the goodbye of a drain, or with the runtime.
    #[allow(
        clippy::disallowed_methods,
        reason = "an upgraded connection outlives the request that asked for it"
    )]
    tokio::spawn(async move {
        let Ok(upgraded) = upgrade.await else { return };
        duplex::serve(hub, caller, TokioIo::new(upgraded), Messages::new(form), TRANSPORT, form).await;
    });
    Ok(switch(accept, subprotocol))
}
