//! HTTP stream: an answer that does not end, of JSON lines, or of length-prefixed frames for those who ask for them.

use std::sync::Arc;

use axum::{extract::Request, response::Response, routing::MethodRouter};
use http::header;
use sosik_wire::{Refused, TransportName as Transport};

use crate::{
    form::Form,
    http::{READING, answering, ask, open_to_stay, streaming},
    hub::{Caller, Hub},
};

/// Which of the six it is.
pub(crate) const TRANSPORT: Transport = Transport::Stream;

pub(crate) fn route() -> MethodRouter<Arc<Hub>> {
    answering(READING, respond)
}

async fn respond(hub: Arc<Hub>, caller: Caller, request: Request) -> Result<Response, Refused> {
    let accepts =
        request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (form, media_type) = match accepts.contains(BINARY) {
        true => (Form::Binary, BINARY),
        false => (Form::Stream, "application/x-ndjson"),
    };
    let ask = ask(&hub, request).await?;
    let reader = open_to_stay(&hub, caller, &ask).await?;
    Ok(streaming(&hub, TRANSPORT, form, media_type, reader, ask.offered))
}

const BINARY: &str = "application/octet-stream";
