//! The bodies of this crate's own answers.

use axum::body::Body;
use http::{HeaderValue, Response, StatusCode, header};
use sosik_wire::{Problem, problem::CONTENT_TYPE};

/// The body of every answer.
pub(crate) type Reply = Body;

/// An error as a problem document (RFC 9457).
pub(crate) fn problem(problem: &Problem) -> Response<Reply> {
    let mut response = Response::new(Body::from(problem.to_json()));
    // The codes' table holds registered statuses only.
    *response.status_mut() =
        StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(NO_STORE));
    if let Some(seconds) = problem.retry_after() {
        headers.insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

/// Bytes of one media type that nobody keeps.
pub(crate) fn text(content_type: &'static str, body: impl Into<Body>) -> Response<Reply> {
    let mut response = Response::new(body.into());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(NO_STORE));
    response
}

const NO_STORE: &str = "no-store";
