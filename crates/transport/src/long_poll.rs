//! Long-poll: one answer, held until there is news or the wait ends. Live through every proxy that lets answers pass.

use std::sync::Arc;

use axum::{extract::Request, response::Response, routing::MethodRouter};
use bytes::Bytes;
use http::HeaderValue;
use sosik_wire::{Hints, Refused, TransportName as Transport};

use crate::{
    held::Held,
    http::{NO_STORE, PREFERENCE_APPLIED, READING, answering, ask, json, open},
    hub::{Caller, Hub},
    takeover::Takeover,
    waiting::Waiting,
};

/// Which of the six it is.
pub(crate) const TRANSPORT: Transport = Transport::LongPoll;

pub(crate) fn route() -> MethodRouter<Arc<Hub>> {
    answering(READING, respond)
}

async fn respond(hub: Arc<Hub>, caller: Caller, request: Request) -> Result<Response, Refused> {
    let ask = ask(&hub, request).await?;
    let reader = open(&hub, caller, &ask).await?;
    let wait_s = ask.wait.unwrap_or(hub.settings.wait_s).min(hub.settings.wait_s_max);
    // Up to a tenth less, so that the requests of a cohort do not end together.
    let wait_ms = wait_s * 1000 - fastrand::u64(0..=wait_s * 100);
    // Short of memory nothing is held; who asks again and again is a poll.
    let (wait_ms, rearm_ms) = if hub.is_short() { (0, hub.settings.poll_next_ms) } else { (wait_ms, 0) };
    let hints = Hints { next_ms: None, rearm_ms: Some(rearm_ms) };
    let mut held = Held::new(&hub, TRANSPORT, reader, wait_ms, hints);
    let by_core = |error| Refused::by_core(None, &error);
    let mut response = match held.begin().await.map_err(by_core)? {
        Some(made) => json(made.body, NO_STORE),
        None if ask.offered => {
            let mut response = json(Bytes::new(), NO_STORE);
            let wait = move |connection, head| Waiting::new(held, connection, head, ask.persists);
            response.extensions_mut().insert(Takeover::new(wait));
            response
        }
        None => json(held.answer().await.map_err(by_core)?.body, NO_STORE),
    };
    if ask.preferred {
        let applied = HeaderValue::try_from(format!("wait={wait_s}"));
        response.headers_mut().extend(applied.map(|applied| (PREFERENCE_APPLIED, applied)));
    }
    Ok(response)
}
