//! `/live`, `/ready` and `/metrics`.

use std::sync::Arc;

use axum::{Extension, Router, routing::get};
use http::{HeaderMap, Response};
use sosik_transport::Hub;
use sosik_wire::{Code, Problem};

use crate::{
    guard::Ends,
    listen::Sockets,
    metrics,
    reply::{Reply, problem, text},
};

/// The three paths. `/metrics` is for this machine alone until there is a listener for operators.
pub(crate) fn router(hub: &Arc<Hub>, sockets: &Arc<Sockets>) -> Router {
    let ready = hub.clone();
    let measured = (hub.clone(), sockets.clone());
    Router::new()
        .route("/live", get(async || text(PLAIN, "live\n")))
        .route("/ready", get(async move || readiness(&ready)))
        .route(
            "/metrics",
            get(
                async move |Extension(ends): Extension<Ends>, headers: HeaderMap| {
                    if is_near(ends, &headers) { measurements(&measured.0, &measured.1) } else { hidden() }
                },
            ),
        )
}

fn readiness(hub: &Hub) -> Response<Reply> {
    if hub.is_draining() {
        return problem(&Problem::new(Code::Drain, "the server is going down; another one answers"));
    }
    text(PLAIN, "ready\n")
}

fn measurements(hub: &Hub, sockets: &Sockets) -> Response<Reply> {
    text(metrics::CONTENT_TYPE, metrics::render(hub, sockets))
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
