//! Who may talk to this origin from a browser: `Host`, `Origin`, CORS. And what every answer carries.
//!
//! A page elsewhere can make a browser send requests here, and a name under its control can point here (DNS
//! rebinding). So a `Host` must be one of ours, and an `Origin` ours or allowed, on every path and for every transport.

use std::{borrow::Cow, net::SocketAddr};

use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version,
    header::{self, HeaderName},
};
use sosik_wire::{Code, Problem};

use crate::{
    limits::Limits,
    origin::{self, Origin},
    reply::{Reply, problem},
};

/// The two ends of a connection; in the extensions of each request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ends {
    pub(crate) peer: SocketAddr,
    /// The address that the peer connected to.
    pub(crate) local: SocketAddr,
}

/// The rules of one HTTP listener.
#[derive(Debug)]
pub(crate) struct Guard {
    public: Vec<Origin>,
    allowed: Vec<Origin>,
    headers_max: usize,
    head_bytes_max: usize,
}

/// What to do with a request.
pub(crate) enum Verdict {
    /// Answer it; with this origin in the answer when a page asks.
    Pass(Option<HeaderValue>),
    /// This is the answer.
    Done(Response<Reply>),
}

impl Guard {
    pub(crate) fn new(public: Vec<Origin>, allowed: Vec<Origin>, limits: &Limits) -> Self {
        let Limits { headers_max, head_bytes_max, .. } = *limits;
        Self { public, allowed, headers_max, head_bytes_max }
    }

    /// Looks at everything but the path and the body.
    pub(crate) fn judge<B>(&self, request: &Request<B>, ends: Ends) -> Verdict {
        match self.admit(request, ends) {
            Err(refusal) => Verdict::Done(problem(&refusal)),
            Ok(Some(origin)) if is_preflight(request) => Verdict::Done(preflight(origin)),
            Ok(origin) => Verdict::Pass(origin),
        }
    }

    fn admit<B>(&self, request: &Request<B>, ends: Ends) -> Result<Option<HeaderValue>, Problem> {
        self.head(request)?;
        let host = self.host(request, ends)?;
        let Some(origin) = one(request.headers(), &header::ORIGIN)? else { return Ok(None) };
        let parsed = origin.to_str().ok().and_then(|text| text.parse::<Origin>().ok());
        let allowed = parsed.is_some_and(|parsed| {
            self.public.contains(&parsed) || self.allowed.contains(&parsed) || host.is_of(&parsed)
        });
        if allowed { Ok(Some(origin.clone())) } else { Err(foreign(origin, &show(host.said))) }
    }

    /// hyper refuses what is far above; here with words.
    fn head<B>(&self, request: &Request<B>) -> Result<(), Problem> {
        let headers = request.headers();
        let uri = request.uri().path_and_query().map_or(0, |path| path.as_str().len());
        let sizes =
            headers.iter().map(|(name, value)| name.as_str().len() + value.len() + HEADER_FRAME_BYTES);
        let (count, bytes) = (headers.len(), uri + sizes.sum::<usize>());
        let (headers_max, bytes_max) = (self.headers_max, self.head_bytes_max);
        if count > headers_max || bytes > bytes_max {
            return Err(Problem::new(
                Code::HeadTooLarge,
                format!(
                    "the request's head has {count} headers and {bytes} bytes, the limits are {headers_max} and \
                     {bytes_max}; send fewer cookies, or use the POST form for long lists of channels"
                ),
            ));
        }
        Ok(())
    }

    /// The name the caller used for this server (RFC 9112 section 3.2).
    fn host<'a, B>(&self, request: &'a Request<B>, ends: Ends) -> Result<Host<'a>, Problem> {
        let said = one(request.headers(), &header::HOST)?;
        if said.is_none() && request.version() >= Version::HTTP_11 {
            return Err(bad("the request has no Host header; HTTP/1.1 needs one"));
        }
        // A request target with a name of its own replaces the header.
        let (text, raw) = match (request.uri().authority(), said) {
            (Some(authority), _) => (authority.as_str(), authority.as_str().as_bytes()),
            (None, Some(said)) => (said.to_str().unwrap_or_default(), said.as_bytes()),
            // HTTP/1.0, and no browser.
            (None, None) => return Ok(Host { own: None, said: b"no Host" }),
        };
        let (name, port) = origin::host_and_port(text)
            .ok_or_else(|| bad(format!("the Host header \"{}\" is no host and port", show(raw))))?;
        if is_local(&name, port, ends.local) {
            return Ok(Host { own: Some((name, port)), said: raw });
        }
        if self.public.iter().any(|public| public.is_at(&name, port)) {
            return Ok(Host { own: None, said: raw });
        }
        let shown = show(raw);
        Err(Problem::new(
            Code::Misdirected,
            format!(
                "this server does not answer for the Host \"{shown}\"; people's address for it is {}. The operator can \
                 add another one: --public-url http://{shown}",
                self.public.first().map_or_else(String::new, ToString::to_string)
            ),
        ))
    }

    /// What every answer carries; `origin` is the page that may read it.
    pub(crate) fn finish<B>(response: &mut Response<B>, origin: Option<HeaderValue>) {
        let headers = response.headers_mut();
        // Even for answers without an Origin: a cache must not hand them to a page (Fetch standard, CORS and caches).
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        if let Some(origin) = origin {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED_HEADERS));
        }
    }
}

/// The name of this server that a caller used.
struct Host<'a> {
    /// Name and port, when it is one of the listener's own names.
    own: Option<(Cow<'a, str>, Option<u16>)>,
    said: &'a [u8],
}

impl Host<'_> {
    /// Whether `origin` is that of the pages we serve under this name.
    fn is_of(&self, origin: &Origin) -> bool {
        self.own.as_ref().is_some_and(|(name, port)| Origin::http(name, port.unwrap_or(80)) == *origin)
    }
}

/// Whether a name is the listener's own: the address connected to, or a loopback name when that is loopback.
///
/// Loopback names pass with any port: a tunnel or a forwarded port changes it, a browser says `localhost` only when it
/// was told to go to its own machine, and a page of another local port still differs in its `Origin`.
fn is_local(name: &str, port: Option<u16>, local: SocketAddr) -> bool {
    let ip = local.ip().to_canonical();
    let named = name.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>().ok();
    if ip.is_loopback() {
        return name == "localhost" || named.is_some_and(|named| LOOPBACK.contains(&named) || named == ip);
    }
    named == Some(ip) && port.unwrap_or(80) == local.port()
}

fn is_preflight<B>(request: &Request<B>) -> bool {
    request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// The answer to a preflight (Fetch standard, CORS-preflight fetch).
fn preflight(origin: HeaderValue) -> Response<Reply> {
    let mut response = Response::new(Reply::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD, POST"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS),
        (header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_S),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    response
}

/// The only value of a header that must not come twice.
fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a HeaderValue>, Problem> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(_), Some(_)) => Err(bad(format!("the request has two {name} headers; send one"))),
        (value, _) => Ok(value),
    }
}

fn bad(detail: impl Into<Box<str>>) -> Problem {
    Problem::new(Code::BadRequest, detail)
}

fn foreign(origin: &HeaderValue, host: &str) -> Problem {
    let origin = show(origin.as_bytes());
    let option = if origin == "null" {
        "a page without an origin, such as a file or a sandboxed frame, is never allowed; serve it over HTTP"
            .into()
    } else {
        format!("the operator can allow it: --allow-origin {origin}")
    };
    Problem::new(
        Code::Forbidden,
        format!(
            "the page's Origin \"{origin}\" is not that of this server, \"{host}\", and not allowed; {option}"
        ),
    )
}

/// Text of a request, for messages: printable ASCII, bounded.
fn show(bytes: &[u8]) -> String {
    bytes[..bytes.len().min(SHOWN_BYTES_MAX)].escape_ascii().to_string()
}

/// `: ` and CRLF around each header.
const HEADER_FRAME_BYTES: usize = 4;
const SHOWN_BYTES_MAX: usize = 200;

const LOOPBACK: [std::net::IpAddr; 2] = [
    std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
    std::net::IpAddr::V6(std::net::Ipv6Addr::LOCALHOST),
];

/// What the SDKs send beyond the headers that need no preflight.
const REQUEST_HEADERS: &str =
    "content-type, last-event-id, idempotency-key, authorization, prefer, if-none-match";
/// What the SDKs read beyond the headers that every page may.
const EXPOSED_HEADERS: &str = "etag, retry-after, preference-applied, sosik-next-ms";
/// Chrome keeps a preflight no longer than 7,200 seconds.
const PREFLIGHT_S: &str = "7200";
