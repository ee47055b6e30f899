//! Server-sent events (WHATWG HTML, section 9.2): what browsers follow without a line of code, cursor included.

use std::sync::Arc;

use axum::{
    Extension,
    extract::{Request, State},
    response::Response,
    routing::{MethodRouter, get},
};
use sosik_wire::{Refused, TransportName as Transport};

use crate::{
    form::Form,
    http::{ask, open, problem, streaming},
    hub::{Caller, Hub},
};

/// Which of the six it is.
pub(crate) const TRANSPORT: Transport = Transport::Sse;

pub(crate) fn route() -> MethodRouter<Arc<Hub>> {
    get(answer).post(answer)
}

async fn answer(
    State(hub): State<Arc<Hub>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response {
    respond(&hub, caller, request).await.unwrap_or_else(|refused| problem(&hub, refused))
}

async fn respond(hub: &Arc<Hub>, caller: Caller, request: Request) -> Result<Response, Refused> {
    let ask = ask(hub, request).await?;
    let reader = open(hub, caller, &ask).await?;
    Ok(streaming(hub, TRANSPORT, Form::Sse, "text/event-stream", reader))
}
