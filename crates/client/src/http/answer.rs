//! Answers, and how a server refuses.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use sosik_wire::Problem;

use super::Response;
use crate::error::{Error, Refusal};

/// The answer, if it has one of these statuses. Errors: what the problem document says, or the status alone.
pub(crate) async fn accepted(response: Response, statuses: &[StatusCode]) -> Result<Response, Error> {
    if statuses.contains(&response.status()) {
        return Ok(response);
    }
    let (head, body) = response.into_parts();
    // A body that cannot be read takes nothing from what the status says.
    let body = Limited::new(body, REFUSAL_BYTES_MAX).collect().await;
    let body = body.map_or_else(|_| Bytes::new(), |body| body.to_bytes());
    Err(refusal(head.status, &head.headers, &body))
}

/// The whole body of an answer.
pub(crate) async fn body(response: Response) -> Result<Bytes, Error> {
    let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
    body.map(|body| body.to_bytes()).map_err(|error| Error::Lost(error.to_string()))
}

/// Refuses an answer of another media type.
pub(crate) fn expect_type(response: &Response, expected: &str) -> Result<(), Error> {
    let found = response.headers().get(header::CONTENT_TYPE).map_or("", |value| value.to_str().unwrap_or(""));
    let essence = found.split(';').next().unwrap_or("").trim();
    if essence.eq_ignore_ascii_case(expected) {
        return Ok(());
    }
    Err(Error::Unexpected(format!("its content type is {found:?}, not {expected}; is a proxy in the way?")))
}

/// What a status that refuses means.
pub(crate) fn refusal(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Error {
    let retry_after = headers
        .get(header::RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .map(Duration::from_secs);
    let refusal = match serde_json::from_slice::<Problem>(body) {
        Ok(problem) => {
            let own = problem.retry.then(|| Duration::from_millis(problem.retry_after_ms));
            Refusal {
                code: problem.code.into_owned(),
                message: problem.detail.into(),
                status: status.as_u16(),
                retry: problem.retry,
                // The header may be a proxy's, who knows better when it will let anybody through.
                retry_after: own.max(retry_after),
                expected: problem.expected,
            }
        }
        Err(_) => Refusal {
            code: String::new(),
            message: format!("the answer was {status} without a problem document"),
            status: status.as_u16(),
            retry: status.is_server_error() || RETRIED.contains(&status),
            retry_after,
            expected: None,
        },
    };
    Error::Refused(refusal)
}

const RETRIED: [StatusCode; 3] =
    [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS];
const REFUSAL_BYTES_MAX: usize = 64 * 1024;
/// Largest one-shot answer, bytes: a page of 256 events of 64 KiB is the worst, and servers stop at 256 KiB.
const ANSWER_BYTES_MAX: usize = 32 * 1024 * 1024;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use sosik_wire::Code;

    use super::*;
    use crate::error::Fault;

    fn refused(status: u16, retry_after: Option<&str>, body: &[u8]) -> (Refusal, Fault) {
        let mut headers = HeaderMap::new();
        if let Some(value) = retry_after {
            headers.insert(header::RETRY_AFTER, value.parse().unwrap());
        }
        let error = refusal(StatusCode::from_u16(status).unwrap(), &headers, body);
        let fault = error.fault();
        let Error::Refused(refusal) = error else { panic!("{error}") };
        (refusal, fault)
    }

    // Mutant: `retry` of the document ignored -> a reader without rights asks for ever.
    #[test]
    fn a_problem_document_says_whether_and_when_to_come_back() {
        let (forbidden, fault) = refused(403, None, &Problem::new(Code::Forbidden, "no").to_json());
        assert_eq!(
            (&*forbidden.code, forbidden.retry, forbidden.retry_after, fault),
            ("forbidden", false, None, Fault::Caller)
        );
        let rebalance = Problem::new(Code::Rebalance, "soon").to_json();
        let (refusal, fault) = refused(503, Some("7"), &rebalance);
        assert_eq!(
            (refusal.retry, refusal.retry_after, fault),
            (true, Some(Duration::from_secs(7)), Fault::Server)
        );
    }

    // Mutant: a 404 of some other server retried, or a 502 of a proxy not -> fails.
    #[test]
    fn without_one_the_status_speaks() {
        for (status, retry) in
            [(404, false), (403, false), (408, true), (429, true), (500, true), (502, true)]
        {
            let (refusal, _) = refused(status, None, b"<html>");
            assert_eq!((refusal.retry, refusal.code.is_empty()), (retry, true), "{status}");
        }
        assert_eq!(refused(503, Some("2"), b"").0.retry_after, Some(Duration::from_secs(2)));
    }
}
