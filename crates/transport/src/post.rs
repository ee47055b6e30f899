//! Sending and looking back over HTTP: `POST /v1/publish`, `POST /v1/send`, `GET /v1/history`.

use std::sync::Arc;

use axum::{
    response::Response,
    routing::{MethodFilter, MethodRouter},
};
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use http::{HeaderMap, HeaderName, Request};
use sosik_wire::{
    Answer, Code, Down, Encoding, HistoryFrame, Key, PublishBody, Refused, Up, answer::publish_array,
    once::key_header,
};

use crate::{
    http::{NO_STORE, answering, bad, body, json, refusal},
    hub::{Caller, Hub},
    uplink,
};

/// Answers a `POST` to [`PUBLISH_PATH`], as the router does: for a server that asks for this path before its router,
/// because none is asked as often.
pub async fn publish<B>(hub: &Hub, caller: &Caller, request: Request<B>) -> Response
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<axum::BoxError>,
{
    publish_body(hub, caller, request).await.unwrap_or_else(|refused| refusal(hub, refused))
}

/// `POST /v1/publish`: one event, or an array that is stored as a whole or not at all.
pub(crate) fn publish_route() -> MethodRouter<Arc<Hub>> {
    answering(MethodFilter::POST, async |hub: Arc<Hub>, caller: Caller, request| {
        publish_body(&hub, &caller, request).await
    })
}

/// `POST /v1/send`: frames, one per line, answered line by line.
pub(crate) fn send() -> MethodRouter<Arc<Hub>> {
    answering(MethodFilter::POST, send_lines)
}

/// `GET /v1/history`: a page of a channel's past.
pub(crate) fn history() -> MethodRouter<Arc<Hub>> {
    answering(MethodFilter::GET, history_page)
}

async fn publish_body<B>(hub: &Hub, caller: &Caller, request: Request<B>) -> Result<Response, Refused>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<axum::BoxError>,
{
    let key = key(request.headers())?;
    let body = body(hub, request, &["application/json"]).await?;
    let PublishBody { events, array, once } = PublishBody::parse(&body, key)?;
    let oks = uplink::publish(hub, caller, events, once).await?;
    let answer = match (&oks[..], array) {
        ([ok], false) => Encoding::JsonLine.frame(ok),
        _ => publish_array(&oks),
    };
    Ok(json(answer, NO_STORE))
}

/// The key of a request, of which it has at most one.
fn key(headers: &HeaderMap) -> Result<Option<Key>, Refused> {
    let mut all = headers.get_all(IDEMPOTENCY_KEY).iter();
    match (all.next(), all.next()) {
        (Some(_), Some(_)) => Err(bad("Idempotency-Key is there twice; a request has one")),
        (value, _) => value.map(|value| key_header(value.as_bytes())).transpose(),
    }
}

async fn send_lines(
    hub: Arc<Hub>,
    caller: Caller,
    request: Request<axum::body::Body>,
) -> Result<Response, Refused> {
    let body = body(&hub, request, &["application/x-ndjson", "application/json"]).await?;
    let lines = body.split(|byte| *byte == b'\n').map(|line| body.slice_ref(line));
    let lines: Vec<Bytes> = lines.filter(|line| !line.trim_ascii().is_empty()).collect();
    if lines.len() > LINES_MAX {
        let message = format!(
            "{} lines in one body, the limit is {LINES_MAX}; send them in several requests",
            lines.len()
        );
        return Err(Refused::new(None, Code::Limit, message));
    }
    let mut histories = 0;
    let jobs = lines.into_iter().map(|line| {
        let frame = line_frame(&line, &mut histories);
        let (hub, caller) = (hub.clone(), caller.clone());
        async move {
            match frame {
                Ok(frame) => uplink::answer(hub, caller, frame).await,
                Err(refused) => uplink::refuse(&hub, refused),
            }
        }
    });
    let mut answers = stream::iter(jobs).buffered(LINES_AT_ONCE);
    let mut out = BytesMut::new();
    while let Some(answer) = answers.next().await {
        out.extend_from_slice(&Encoding::JsonLine.frame(&answer));
    }
    if out.is_empty() {
        return Err(bad("nothing was sent; put one frame on each line"));
    }
    let mut response = json(out.freeze(), NO_STORE);
    response
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/x-ndjson"));
    Ok(response)
}

/// The frame of one line; `histories` counts the pages asked for so far.
fn line_frame(line: &[u8], histories: &mut usize) -> Result<Up, Refused> {
    let text = std::str::from_utf8(line).map_err(|_| bad("the line is not UTF-8"))?;
    let frame = Up::parse(text)?;
    if let Up::History(history) = &frame {
        *histories += 1;
        if *histories > HISTORIES_MAX {
            let message =
                format!("one body may ask for {HISTORIES_MAX} pages; ask for more in another request");
            return Err(Refused::new(history.id, Code::Limit, message));
        }
    }
    Ok(frame)
}

async fn history_page(
    hub: Arc<Hub>,
    caller: Caller,
    request: Request<axum::body::Body>,
) -> Result<Response, Refused> {
    let mut frame = HistoryFrame::default();
    for (key, value) in form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes()) {
        match &*key {
            "channel" => frame.channel = value.into_owned(),
            "before" => frame.before = Some(value.into_owned()),
            "after" => frame.after = Some(value.into_owned()),
            "limit" => {
                let number =
                    value.parse().map_err(|_| bad(&format!("`limit` must be a whole number, not {value:?}")));
                frame.limit = Some(number?);
            }
            _ => {}
        }
    }
    let page = uplink::history(&hub, &caller, &frame).await?;
    let mut answer = Answer::new();
    if let Some(gap) = &page.gap {
        answer.push(&Down::gap(gap, &sosik_core::Cursor::new([gap.part])));
    }
    page.events.iter().for_each(|event| answer.push_event(event));
    Ok(json(answer.history(&page.cursor, page.more), NO_STORE))
}

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Where events are published.
pub const PUBLISH_PATH: &str = "/v1/publish";
/// Lines of one request that wait for their answer at the same time. Their order is kept where it matters: within a
/// channel publishes are stored in the order of their lines.
const LINES_AT_ONCE: usize = 64;
/// Lines of one body. The answer to each may be longer than the line.
const LINES_MAX: usize = 10_000;
/// Pages of history that one body may ask for: the answer is held whole, and a page has up to 256 KiB of data.
const HISTORIES_MAX: usize = 16;
