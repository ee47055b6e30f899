//! Server-sent events (WHATWG HTML, section 9.2): what browsers follow without a line of code, cursor included.

use std::sync::Arc;

use axum::{extract::Request, response::Response, routing::MethodRouter};
use sosik_wire::{Refused, TransportName as Transport};

use crate::{
    form::Form,
    http::{READING, answering, ask, open_to_stay, streaming},
    hub::{Caller, Hub},
};

/// Which of the six it is.
pub(crate) const TRANSPORT: Transport = Transport::Sse;

pub(crate) fn route() -> MethodRouter<Arc<Hub>> {
    answering(READING, respond)
}

async fn respond(hub: Arc<Hub>, caller: Caller, request: Request) -> Result<Response, Refused> {
    let ask = ask(&hub, request).await?;
    let reader = open_to_stay(&hub, caller, &ask).await?;
    Ok(streaming(&hub, TRANSPORT, Form::Sse, "text/event-stream", reader, ask.offered))
}
