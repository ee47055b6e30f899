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
use sosik_wire::{Refused, TransportName as Transport};

use self::{
    handshake::{check, choose, switch},
    messages::Messages,
};
use crate::{
    close::Working,
    duplex::Duplex,
    form::Pieces,
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
    let (parts, _) = request.into_parts();
    let accept = check(&parts)?;
    let (form, subprotocol) = choose(&parts)?;
    Ok(switch(accept, subprotocol, move |connection, head| {
        let first = Pieces::from_iter([head]);
        let duplex = Duplex::new(&hub, caller, connection, Messages::new(form), TRANSPORT, form, first);
        Working::Busy(duplex)
    }))
}
