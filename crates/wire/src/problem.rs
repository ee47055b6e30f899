//! HTTP errors as problem documents (RFC 9457), with the same code names as error frames.

use std::borrow::Cow;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sosik_core::Error;

use crate::{code::Code, request::Refused};

/// The body of every HTTP error. Its type is `about:blank`, so its title is the status's own phrase; what happened is
/// in `code` and `detail`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Always `about:blank` (RFC 9457 section 4.2.1).
    #[serde(rename = "type")]
    pub kind: Cow<'static, str>,
    /// The phrase of the status.
    pub title: Cow<'static, str>,
    /// The HTTP status.
    pub status: u16,
    /// Whose fault it was and what to do next, for people.
    pub detail: Box<str>,
    /// The name of the code; [`Code::from_name`] reads it.
    pub code: Cow<'static, str>,
    /// Whether the same request may succeed later.
    #[serde(default)]
    pub retry: bool,
    /// When, milliseconds; 0 when not at all or at once.
    #[serde(default)]
    pub retry_after_ms: u64,
    /// With `producer_gap`: the `seq` to send again from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<u64>,
}

impl Problem {
    /// The document of `code`.
    pub fn new(code: Code, detail: impl Into<Box<str>>) -> Self {
        Self {
            kind: Cow::Borrowed("about:blank"),
            title: Cow::Borrowed(code.phrase()),
            status: code.http_status(),
            detail: detail.into(),
            code: Cow::Borrowed(code.name()),
            retry: code.retry(),
            retry_after_ms: code.after_ms().unwrap_or(0),
            expected: None,
        }
    }

    /// The value of `Retry-After` (RFC 9110 section 10.2.3), whole seconds, at least 1; `None` when waiting is no use.
    pub fn retry_after(&self) -> Option<u64> {
        self.retry.then(|| self.retry_after_ms.div_ceil(1_000).max(1))
    }

    /// The body.
    pub fn to_json(&self) -> Bytes {
        serde_json::to_vec(self).expect("a struct of text and numbers").into()
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        Self { expected: refused.expected, ..Self::new(refused.code, refused.message) }
    }
}

impl From<&Error> for Problem {
    fn from(error: &Error) -> Self {
        Refused::by_core(None, error).into()
    }
}

/// The media type of a problem document.
pub const CONTENT_TYPE: &str = "application/problem+json";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    // Mutant: `retry_after` rounded down -> 0 s, and clients hammer a node that asked for patience.
    #[test]
    fn a_problem_says_status_code_and_when_to_come_back() {
        let problem = Problem::from(&Error::Rebalance);
        assert_eq!((problem.status, problem.retry_after()), (503, Some(1)));
        let changed = Problem { retry_after_ms: 1_001, ..problem.clone() };
        assert_eq!(
            (changed.retry_after(), Problem::new(Code::Replaced, "").retry_after()),
            (Some(2), Some(1))
        );
        assert_eq!(Problem::new(Code::BadRequest, "x").retry_after(), None);
        assert_eq!(
            Problem::new(Code::Method, "use GET").to_json(),
            r#"{"type":"about:blank","title":"Method Not Allowed","status":405,"detail":"use GET","code":"method","retry":false,"retry_after_ms":0}"#
        );
        assert_eq!(serde_json::from_slice::<Problem>(&problem.to_json()).unwrap(), problem);
    }
}
