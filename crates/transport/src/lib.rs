//! The pump and the six transports.
//!
//! A transport is one small file: how the cursor arrives, how frames become bytes, how long to wait, whether the answer
//! ends after one batch. Everything else is shared.

mod body;
mod clock;
mod close;
mod connection;
mod duplex;
mod endless;
mod feed;
mod figures;
pub mod form;
mod groups;
mod held;
mod http;
mod hub;
mod inflow;
mod long_poll;
mod poll;
mod post;
pub mod pump;
mod sse;
mod stand_in;
mod stream;
mod sweep;
mod takeover;
pub mod tcp;
mod uplink;
mod waiting;
mod websocket;

use std::sync::Arc;

use axum::routing::MethodRouter;
use sosik_wire::TransportName;

pub use clock::{Clock, Now};
pub use connection::Connection;
pub use figures::{Figures, TransportFigures};
pub use hub::{Caller, Hub, Settings};
pub use post::{PUBLISH_PATH, publish};
pub use sweep::{Seat, Sweep};
pub use takeover::{Offer, Served, Takeover};

/// The paths of all HTTP transports, of sending and of history. Each request must carry a [`Caller`] in its extensions.
pub fn router(hub: Arc<Hub>) -> axum::Router {
    let transports = [
        (poll::TRANSPORT, poll::route()),
        (long_poll::TRANSPORT, long_poll::route()),
        (stream::TRANSPORT, stream::route()),
        (sse::TRANSPORT, sse::route()),
        (websocket::TRANSPORT, websocket::route()),
    ];
    let others = axum::Router::new()
        .route(PUBLISH_PATH, post::publish_route())
        .route("/v1/send", post::send())
        .route("/v1/history", post::history());
    let mount = |router: axum::Router<Arc<Hub>>,
                 (transport, route): (TransportName, MethodRouter<Arc<Hub>>)| {
        transport.path().into_iter().fold(router, |router, path| router.route(path, route.clone()))
    };
    transports.into_iter().fold(others, mount).with_state(hub)
}

/// What conformance suites need besides: `/lab/echo`, a WebSocket that sends back messages of up to 16 MiB. For a server
/// that serves its own machine alone: what a client sends is held for it. Each request must carry a [`Caller`].
pub fn lab(hub: Arc<Hub>) -> axum::Router {
    axum::Router::new().route(ECHO_PATH, websocket::echo::route()).with_state(hub)
}

/// The path that [`lab`] serves.
pub const ECHO_PATH: &str = "/lab/echo";
