//! `/live`, `/ready`, `/ready/publish` and `/metrics`.

use axum::{Extension, Router, routing::get};
use http::{HeaderMap, Response};
use sosik_wire::{Code, Problem};

use crate::{
    guard::Ends,
    measured::Measured,
    metrics,
    reply::{Reply, problem, text},
};

/// The four paths. `/metrics` is for this machine alone until there is a listener for operators.
pub(crate) fn router(measured: &Measured) -> Router {
    let [ready, publish, measured] = [measured.clone(), measured.clone(), measured.clone()];
    Router::new()
        .route("/live", get(async || live()))
        .route("/ready", get(async move || readiness(&ready)))
        .route("/ready/publish", get(async move || readiness_to_store(&publish)))
        .route(
            "/metrics",
            get(
                async move |Extension(ends): Extension<Ends>, headers: HeaderMap| {
                    if is_near(ends, &headers) { measurements(&measured) } else { hidden() }
                },
            ),
        )
}

/// What is answered while the log is being opened.
pub(crate) fn opening() -> Router {
    Router::new().route("/live", get(async || live())).fallback(async || {
        problem(&Problem::new(
            Code::Unavailable,
            "the server is opening its log and has done nothing; come back shortly",
        ))
    })
}

fn live() -> Response<Reply> {
    text(PLAIN, "live\n")
}

/// Whether readers are served. A server that cannot write still is: to take it away would end the reads, too.
fn readiness(measured: &Measured) -> Response<Reply> {
    if measured.hub.is_draining() {
        return problem(&Problem::new(Code::Drain, "the server is going down; another one answers"));
    }
    match measured.refuses() {
        None => text(PLAIN, "ready\n"),
        Some(code) => text(PLAIN, format!("ready to read, refuses publishes: {}\n", code.name())),
    }
}

/// Whether publishes into the durable log are taken, too.
fn readiness_to_store(measured: &Measured) -> Response<Reply> {
    match measured.refuses() {
        Some(code) if !measured.hub.is_draining() => problem(&Problem::new(code, code.meaning())),
        _ => readiness(measured),
    }
}

fn measurements(measured: &Measured) -> Response<Reply> {
    text(metrics::CONTENT_TYPE, metrics::render(measured))
}

/// A proxy on this machine makes everybody look near; most say for whom they ask.
fn is_near(ends: Ends, headers: &HeaderMap) -> bool {
    let forwarded =
        ["forwarded", "x-forwarded-for", "x-real-ip"].iter().any(|name| headers.contains_key(*name));
    ends.peer.ip().to_canonical().is_loopback() && !forwarded
}

fn hidden() -> Response<Reply> {
    problem(&Problem::new(
        Code::Forbidden,
        "metrics are for the server's own machine; ask there, not through a proxy",
    ))
}

const PLAIN: &str = "text/plain; charset=utf-8";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    // Mutant: the peer's address not looked at -> the last two lines are near.
    #[test]
    fn only_this_machine_is_near() {
        let local = "0.0.0.0:7171".parse().unwrap();
        let near = |peer: &str| is_near(Ends { peer: peer.parse().unwrap(), local }, &HeaderMap::new());
        assert!(
            near("127.0.0.1:1") && near("127.9.9.9:1") && near("[::1]:1") && near("[::ffff:127.0.0.1]:1")
        );
        assert!(!near("192.0.2.1:1"));
        assert!(!near("[2001:db8::1]:1"));
    }
}
