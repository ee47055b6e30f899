//! Requests.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, header};
use http_body_util::Full;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sosik_wire::ReadBody;

use super::Origin;
use crate::error::Error;

/// A `GET` of `path`, which may have the beginning of a query, with the rest of it.
pub(crate) fn get(origin: &Origin, path: &str, query: &str) -> Result<Request<Full<Bytes>>, Error> {
    let mark = if path.contains('?') { '&' } else { '?' };
    build(origin, Method::GET, &format!("{path}{mark}{query}"), None)
}

/// A `POST` of a JSON body to `path`.
pub(crate) fn post(origin: &Origin, path: &str, body: Bytes) -> Result<Request<Full<Bytes>>, Error> {
    build(origin, Method::POST, path, Some(body))
}

/// A request to a reading path: the URL form while it fits, otherwise `POST`.
pub(crate) fn read(
    origin: &Origin,
    path: &str,
    ask: &ReadBody,
    accept: &'static str,
) -> Result<Request<Full<Bytes>>, Error> {
    let query = query(ask);
    let fits = ask.channels.len() <= URL_CHANNELS_MAX && path.len() + 1 + query.len() <= URL_BYTES_MAX;
    let mut request = if fits {
        get(origin, path, &query)?
    } else {
        let body = serde_json::to_vec(ask).map_err(|error| Error::Option(error.to_string()))?;
        post(origin, path, body.into())?
    };
    request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static(accept));
    Ok(request)
}

/// `name=value` pairs with the values escaped.
pub(crate) fn pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let pairs: Vec<_> = pairs
        .into_iter()
        .map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, ESCAPED)))
        .collect();
    pairs.join("&")
}

fn query(ask: &ReadBody) -> String {
    let (last, wait) = (ask.last.map(|n| n.to_string()), ask.wait.map(|n| n.to_string()));
    let rest = [("after", &ask.after), ("last", &last), ("wait", &wait)];
    let channels = ask.channels.iter().map(|name| ("channel", name.as_str()));
    pairs(channels.chain(rest.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?)))))
}

fn build(
    origin: &Origin,
    method: Method,
    path: &str,
    body: Option<Bytes>,
) -> Result<Request<Full<Bytes>>, Error> {
    let mut request = Request::builder()
        .method(method)
        .uri(origin.target(path))
        .header(header::HOST, &origin.host)
        .header(header::USER_AGENT, USER_AGENT);
    if body.is_some() {
        request = request.header(header::CONTENT_TYPE, "application/json");
    }
    request.body(Full::new(body.unwrap_or_default())).map_err(|error| Error::Option(error.to_string()))
}

/// Everything that has a meaning in a query, or none in a URL; `:` and `*` have none and stay readable.
const ESCAPED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b':').remove(b'*');
/// Most channels in the URL form.
const URL_CHANNELS_MAX: usize = 32;
/// Longest URL that is sent, bytes.
const URL_BYTES_MAX: usize = 8 * 1024;
const USER_AGENT: &str = concat!("sosik-client/", env!("CARGO_PKG_VERSION"));

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn ask(channels: &[&str]) -> ReadBody {
        ReadBody { channels: channels.iter().map(|&name| name.to_owned()).collect(), ..ReadBody::default() }
    }

    fn origin() -> Origin {
        Origin::parse("http://127.0.0.1:7171").unwrap()
    }

    // Mutant: `&` and `%` left as they are -> a channel's name ends where its `&` stands.
    #[test]
    fn names_are_escaped_in_the_url() {
        let ask = ReadBody {
            after: Some("start".into()),
            last: Some(5),
            wait: Some(25),
            ..ask(&["room:7", "room:a&b=c%20+d", "room:소식", "match:*"])
        };
        let request = read(&origin(), "/v1/poll", &ask, "application/json").unwrap();
        assert_eq!(
            request.uri(),
            "/v1/poll?channel=room:7&channel=room:a%26b%3Dc%2520%2Bd&channel=room:%EC%86%8C%EC%8B%9D&channel=match:*&after=start&last=5&wait=25"
        );
    }

    // Mutant: 32 made 33, or the length not looked at -> servers answer 431 or 400.
    #[test]
    fn many_channels_or_long_names_go_into_a_body() {
        let method = |ask| read(&origin(), "/v1/poll", &ask, "application/json").unwrap().method().clone();
        assert_eq!(method(ask(&["room:7"; 32])), Method::GET);
        assert_eq!(method(ask(&["room:7"; 33])), Method::POST);
        let long = format!("room:{}", "소".repeat(80));
        assert_eq!(method(ask(&[&*long; 10])), Method::GET);
        assert_eq!(method(ask(&[&*long; 12])), Method::POST);
    }
}
