//! Interval poll: one answer at once, with a validator. Works through everything.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use axum::{
    extract::Request,
    response::{IntoResponse, Response},
    routing::MethodRouter,
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use sosik_wire::{Hints, Refused, TransportName as Transport};

use crate::{
    held,
    http::{LAST_EVENT_ID, NEXT_MS, NO_STORE, READING, answering, ask, open},
    hub::{Caller, Hub},
};

/// Which of the six it is.
pub(crate) const TRANSPORT: Transport = Transport::Poll;

pub(crate) fn route() -> MethodRouter<Arc<Hub>> {
    answering(READING, respond)
}

async fn respond(hub: Arc<Hub>, caller: Caller, request: Request) -> Result<Response, Refused> {
    let given = request.headers().clone();
    let ask = ask(&hub, request).await?;
    let reader = open(&hub, caller, &ask).await?;
    let hints = Hints { next_ms: Some(hub.settings.poll_next_ms), rearm_ms: None };
    let cache = if ask.cacheable { "private, no-cache" } else { NO_STORE };
    let (mut response, cursor) = held::answer(&hub, TRANSPORT, reader, 0, hints, cache).await?;
    if ask.cacheable {
        validate(&hub, &given, &ask.said, &cursor, &mut response);
    }
    Ok(response)
}

/// The same question with the same outcome needs no body: 304 (RFC 9110 section 13.1.2).
fn validate(hub: &Hub, given: &HeaderMap, said: &str, cursor: &str, response: &mut Response) {
    let mut hasher = DefaultHasher::new();
    said.hash(&mut hasher);
    let tag = format!("\"{cursor}.{:x}\"", hasher.finish());
    let matches = given.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut tags = matches.flat_map(|value| value.split(',')).map(|one| one.trim().trim_start_matches("W/"));
    if tags.any(|own| own == tag || own == "*") {
        let cache = response.headers_mut().remove(header::CACHE_CONTROL);
        *response = StatusCode::NOT_MODIFIED.into_response();
        response.headers_mut().extend(cache.map(|cache| (header::CACHE_CONTROL, cache)));
    }
    let headers = response.headers_mut();
    headers.extend(HeaderValue::try_from(tag).map(|tag| (header::ETAG, tag)));
    headers.insert(NEXT_MS, HeaderValue::from(hub.settings.poll_next_ms));
    headers.append(header::VARY, HeaderValue::from(LAST_EVENT_ID));
}
