//! Interval poll: one answer at once, with a validator. Works through everything.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use axum::{body::Body, extract::Request, response::Response, routing::MethodRouter};
use http::{HeaderValue, StatusCode, header};
use sosik_core::Start;
use sosik_wire::{Hints, Refused, TransportName as Transport};

use crate::{
    figures::Open,
    held::Held,
    http::{LAST_EVENT_ID, NEXT_MS, NO_STORE, READING, answering, ask, json, open},
    hub::{Caller, Hub},
};

/// Which of the six it is.
pub(crate) const TRANSPORT: Transport = Transport::Poll;

pub(crate) fn route() -> MethodRouter<Arc<Hub>> {
    answering(READING, respond)
}

async fn respond(hub: Arc<Hub>, caller: Caller, request: Request) -> Result<Response, Refused> {
    let ask = ask(&hub, request).await?;
    let by_core = |error| Refused::by_core(None, &error);
    // The answer would hand the same cursor back: whoever has it already is told so, and no reader is opened.
    if let Start::After(cursor) = &ask.start
        && let tag = tag(&ask.said, &ask.said)
        && is_known(&ask.known, &tag)
        && hub.node.is_quiet(&caller.grant, &ask.set, cursor, hub.clock.wall_ms()).map_err(by_core)?
    {
        Open::new(&hub.figures, TRANSPORT);
        return Ok(not_modified(&hub, &tag));
    }
    let reader = open(&hub, caller, &ask).await?;
    let hints = Hints { next_ms: Some(hub.settings.poll_next_ms), rearm_ms: None };
    let made = Held::new(&hub, TRANSPORT, reader, 0, hints).answer().await.map_err(by_core)?;
    if !ask.cacheable {
        return Ok(json(made.body, NO_STORE));
    }
    let tag = tag(&made.cursor.to_string(), &ask.said);
    if is_known(&ask.known, &tag) {
        return Ok(not_modified(&hub, &tag));
    }
    let mut response = json(made.body, CACHED);
    validate(&hub, &tag, &mut response);
    Ok(response)
}

/// What an answer with this outcome to this question is known by.
fn tag(cursor: &str, said: &str) -> String {
    let mut hasher = DefaultHasher::new();
    said.hash(&mut hasher);
    format!("\"{cursor}.{:x}\"", hasher.finish())
}

/// Whether `tag` is among those that the client has (RFC 9110 section 13.1.2).
fn is_known(known: &[HeaderValue], tag: &str) -> bool {
    let values = known.iter().filter_map(|value| value.to_str().ok());
    let mut tags = values.flat_map(|value| value.split(',')).map(|one| one.trim().trim_start_matches("W/"));
    tags.any(|own| own == tag || own == "*")
}

/// The same question with the same outcome needs no body.
fn not_modified(hub: &Hub, tag: &str) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(CACHED));
    validate(hub, tag, &mut response);
    response
}

fn validate(hub: &Hub, tag: &str, response: &mut Response) {
    let headers = response.headers_mut();
    headers.extend(HeaderValue::try_from(tag).map(|tag| (header::ETAG, tag)));
    headers.insert(NEXT_MS, HeaderValue::from(hub.settings.poll_next_ms));
    headers.append(header::VARY, HeaderValue::from(LAST_EVENT_ID));
}

/// May be kept, and is asked for again each time.
const CACHED: &str = "private, no-cache";
