//! What the HTTP transports share: how a request is read, and how an answer or a refusal is written.

use std::{sync::Arc, sync::atomic::Ordering};

use axum::{
    Extension,
    body::Body,
    extract::{Request, State},
    response::Response,
    routing::{MethodFilter, MethodRouter, on},
};
use bytes::Bytes;
use http::response::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header};
use http_body::Body as _;
use smallvec::SmallVec;
use sosik_core::{Cursor, Error, Pattern, Reader, Start};
use sosik_wire::{
    BODY_BYTES_MAX, Code, Down, Problem, ReadBody, Refused, SSE_RETRY, TransportName as Transport, Welcome,
    problem,
};
use uuid::Uuid;

use crate::{
    body::FeedBody,
    close::Working,
    endless::Endless,
    feed::Feed,
    form::{Form, Pieces},
    hub::{Caller, Hub},
    inflow::{NotWhole, collect},
    takeover::{Offer, Takeover},
};

/// A path whose refusals become problem documents.
pub(crate) fn answering<F, R>(methods: MethodFilter, respond: F) -> MethodRouter<Arc<Hub>>
where
    F: Fn(Arc<Hub>, Caller, Request) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Result<Response, Refused>> + Send + 'static,
{
    on(methods, move |State(hub): State<Arc<Hub>>, Extension(caller): Extension<Caller>, request: Request| {
        let answer = respond(hub.clone(), caller, request);
        async move { answer.await.unwrap_or_else(|refused| refusal(&hub, refused)) }
    })
}

/// What a reading request asks for.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) set: Vec<Pattern>,
    pub(crate) start: Start,
    /// `start` as it was said; part of the identity of a cached answer.
    pub(crate) said: String,
    /// Seconds, if the request says so.
    pub(crate) wait: Option<u64>,
    /// Whether `wait` came in `Prefer` (RFC 7240).
    pub(crate) preferred: bool,
    /// Whether it was a plain GET, which alone has validators.
    pub(crate) cacheable: bool,
    /// Answers that the client has, as `If-None-Match` says.
    pub(crate) known: SmallVec<[HeaderValue; 1]>,
    /// Whether the answer may take the connection over.
    pub(crate) offered: bool,
    /// Whether another request may follow on the connection (RFC 9112 section 9.3).
    pub(crate) persists: bool,
}

/// Reads a reading request in either form. `Last-Event-ID` wins over `after`.
pub(crate) async fn ask(hub: &Hub, request: Request) -> Result<Ask, Refused> {
    let cacheable = request.method() != Method::POST;
    let offered = request.extensions().get::<Offer>().is_some();
    let persists = persists(&request) && (!cacheable || request.body().is_end_stream());
    let headers = request.headers();
    let prefer = preferred_wait(headers);
    let known = headers.get_all(header::IF_NONE_MATCH).iter().filter(|_| cacheable).cloned().collect();
    let id = headers.get(LAST_EVENT_ID).map(|id| id.to_str().map(str::to_owned));
    let query = request.uri().query().unwrap_or_default();
    if query.split('&').any(|pair| pair == "hole=1") {
        hub.figures.holes.fetch_add(1, Ordering::Relaxed);
    }
    let asked = if cacheable {
        from_query(query)?
    } else {
        ReadBody::parse(&body(hub, request, &["application/json"]).await?)?
    };
    let id = id.transpose().map_err(|_| bad("Last-Event-ID is not a cursor"))?;
    let after = id.filter(|id| !id.is_empty()).or(asked.after);
    let by_core = |error: Error| Refused::by_core(None, &error);
    let start = Start::parse(after.as_deref(), asked.last).map_err(by_core)?;
    let set = asked.channels.iter().map(|text| Pattern::parse(text).map_err(Error::from));
    let set = set.collect::<Result<_, _>>().map_err(by_core)?;
    let said = after.unwrap_or_else(|| asked.last.map_or_else(String::new, |last| format!("last {last}")));
    Ok(Ask {
        set,
        start,
        said,
        wait: asked.wait.or(prefer),
        preferred: prefer.is_some(),
        cacheable,
        known,
        offered,
        persists,
    })
}

/// What its client says. A body that is not read would be taken for the next request.
fn persists(request: &Request) -> bool {
    let values = request.headers().get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let mut options = values.flat_map(|value| value.split(',')).map(str::trim);
    match request.version() >= Version::HTTP_11 {
        true => !options.any(|option| option.eq_ignore_ascii_case("close")),
        false => options.any(|option| option.eq_ignore_ascii_case("keep-alive")),
    }
}

fn from_query(query: &str) -> Result<ReadBody, Refused> {
    if query.len() > QUERY_BYTES_MAX {
        let message =
            format!("the query has {} bytes, the limit is {QUERY_BYTES_MAX}; ask by POST", query.len());
        return Err(Refused::new(None, Code::TooLarge, message));
    }
    let mut asked = ReadBody::default();
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        let number =
            || value.parse().map_err(|_| bad(&format!("`{key}` must be a whole number, not {value:?}")));
        match &*key {
            "channel" => asked.channels.push(value.into_owned()),
            "after" => asked.after = Some(value.into_owned()),
            "last" => asked.last = Some(number()?),
            "wait" => asked.wait = Some(number()?),
            _ => {}
        }
    }
    if asked.channels.is_empty() {
        return Err(bad("no channel named; add ?channel=room:7, once for each channel"));
    }
    if asked.channels.len() > QUERY_CHANNELS_MAX {
        let message = format!(
            "{} channels in the URL, the limit there is {QUERY_CHANNELS_MAX}; ask by POST with {{\"channels\":[…]}}",
            asked.channels.len()
        );
        return Err(Refused::new(None, Code::Limit, message));
    }
    Ok(asked)
}

fn preferred_wait(headers: &HeaderMap) -> Option<u64> {
    let all = headers.get_all(PREFER).iter().filter_map(|value| value.to_str().ok());
    let mut preferences = all.flat_map(|value| value.split(',')).map(str::trim);
    preferences.find_map(|one| one.strip_prefix("wait=")?.trim_matches('"').parse().ok())
}

/// Reads a whole body of one of the media types, at most [`BODY_BYTES_MAX`], before anything runs.
pub(crate) async fn body<B>(hub: &Hub, request: http::Request<B>, types: &[&str]) -> Result<Bytes, Refused>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<axum::BoxError>,
{
    let given =
        request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = given.split(';').next().unwrap_or_default().trim();
    if !types.iter().any(|own| own.eq_ignore_ascii_case(essence)) {
        let message = format!("the body is {given:?}; send it with Content-Type: {}", types.join(" or "));
        return Err(Refused::new(None, Code::MediaType, message));
    }
    // Before the first look at the body, which is what tells a client that waits for `100 Continue` to send it.
    if request.body().size_hint().lower() > BODY_BYTES_MAX as u64 {
        return Err(too_large());
    }
    collect(request.into_body(), &hub.settings).await.map_err(|why| match why {
        NotWhole::TooLarge => too_large(),
        NotWhole::CutOff => bad("the body was cut off; nothing was done"),
        NotWhole::TooSlow => {
            Refused::new(None, Code::Stalled, "the body did not come in time; nothing was done")
        }
    })
}

fn too_large() -> Refused {
    let message = format!("the body has more than {BODY_BYTES_MAX} bytes; send it in several requests");
    Refused::new(None, Code::TooLarge, message)
}

/// Opens the reader that a request asks for.
pub(crate) async fn open(hub: &Hub, caller: Caller, ask: &Ask) -> Result<Reader, Refused> {
    let opened = hub.node.read(caller.grant, &ask.set, ask.start.clone(), hub.clock.wall_ms()).await;
    opened.map_err(|error| Refused::by_core(None, &error))
}

/// As [`open`], for a reader that stays: refused while the process is short of memory.
pub(crate) async fn open_to_stay(hub: &Hub, caller: Caller, ask: &Ask) -> Result<Reader, Refused> {
    if hub.is_short() {
        return Err(short(None));
    }
    open(hub, caller, ask).await
}

/// What a new reader hears then.
pub(crate) fn short(id: Option<u64>) -> Refused {
    let message = "the server has too little memory for another reader; come back later, or poll meanwhile";
    Refused::new(id, Code::Overloaded, message)
}

/// An answer that does not end: the welcome, then whatever the reader finds.
pub(crate) fn streaming(
    hub: &Arc<Hub>,
    transport: Transport,
    form: Form,
    media_type: &'static str,
    reader: Reader,
    offered: bool,
) -> Response {
    let mut response = if offered {
        let (mut response, hub) = (Response::new(Body::empty()), hub.clone());
        response.extensions_mut().insert(Takeover::for_good(move |connection, head| {
            let (form, last) = match head.chunks {
                true => (form.in_chunks(), "transfer-encoding: chunked\r\nconnection: close"),
                false => (form, "connection: close"),
            };
            let feed = Feed::new(&hub, transport, form, Some(connection));
            feed.place().push_pieces(Pieces::from_iter([Bytes::from(head.ending(last))]));
            begin(&feed, form, reader);
            Working::Busy(Endless::new(feed, form))
        }));
        response
    } else {
        let feed = Feed::new(hub, transport, form, None);
        begin(&feed, form, reader);
        Response::new(Body::new(FeedBody::new(feed)))
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform"));
    // nginx and its kin would hold the answer back until it ends (design of their proxy_buffering).
    headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
    response
}

fn begin(feed: &Feed, form: Form, reader: Reader) {
    let mut place = feed.place();
    if matches!(form, Form::Sse | Form::SseChunks) {
        place.push_pieces(form.whole(Bytes::from_static(SSE_RETRY.as_bytes())));
    }
    place.push(&Down::Welcome(welcome(feed.hub(), None, reader.cursor())));
    place.read(reader);
}

/// The first frame of a connection.
pub(crate) fn welcome(hub: &Hub, client: Option<String>, cursor: Option<Cursor>) -> Welcome {
    let offered =
        Transport::ALL.into_iter().filter(|transport| *transport != Transport::Tcp || hub.settings.tcp);
    Welcome {
        client: client.unwrap_or_else(|| Uuid::new_v4().to_string()),
        heartbeat_ms: hub.settings.heartbeat_ms,
        limits: sosik_wire::Limits::default(),
        transports: offered.map(|transport| transport.name().to_owned()).collect(),
        cursor: cursor.map(|cursor| cursor.to_string()),
    }
}

/// A whole JSON answer.
pub(crate) fn json(body: Bytes, cache: &'static str) -> Response {
    let mut response = Response::new(Body::from(body));
    let headers = response.headers_mut();
    headers.reserve(HEADERS_USUAL);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
    response
}

/// A refusal as an answer.
pub(crate) fn refusal(hub: &Hub, refused: Refused) -> Response {
    let (parts, body) = problem(hub, refused);
    Response::from_parts(parts, Body::from(body))
}

/// A refusal as a problem document (RFC 9457).
pub(crate) fn problem(hub: &Hub, refused: Refused) -> (Parts, Bytes) {
    hub.figures.refused.fetch_add(1, Ordering::Relaxed);
    let code = refused.code;
    let status = StatusCode::from_u16(code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let problem = Problem::from(refused);
    let mut response = http::Response::new(());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(problem::CONTENT_TYPE));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(NO_STORE));
    if let Some(seconds) = problem.retry_after() {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if code == Code::Upgrade {
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    }
    (response.into_parts().0, problem.to_json())
}

/// A refusal of a malformed request.
pub(crate) fn bad(message: &str) -> Refused {
    Refused::new(None, Code::BadRequest, message)
}

/// How a reading path is asked: by URL, or by POST with the same question as JSON.
pub(crate) const READING: MethodFilter = MethodFilter::GET.or(MethodFilter::POST);
pub(crate) const NO_STORE: &str = "no-store";
pub(crate) const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
pub(crate) const PREFER: HeaderName = HeaderName::from_static("prefer");
pub(crate) const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
pub(crate) const NEXT_MS: HeaderName = HeaderName::from_static("sosik-next-ms");
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Headers of an answer, with those that the server adds: room for all of them is made at once.
const HEADERS_USUAL: usize = 6;
/// Longest query of a reading request, bytes. Longer sets are asked by POST.
const QUERY_BYTES_MAX: usize = 8 * 1024;
/// Most channels in a query.
const QUERY_CHANNELS_MAX: usize = 32;
