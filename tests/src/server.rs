//! The whole server as `sosik serve --demo` starts it, in the process of the test.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use sosik_server::{Checked, Running, ServeArgs, ServeError, start};
use sosik_wire::TransportName;

use crate::process::PATIENCE;

/// The demo server on free ports of loopback; dropping it ends it. Polls are told to come again after 200 ms, so that a
/// page that polls is not waited for.
///
/// # Errors
/// When it cannot start.
pub async fn demo() -> Result<Running, ServeError> {
    with(ServeArgs { demo: Some(true), ..ServeArgs::default() }).await
}

/// The server with `--lab` on free ports of loopback; dropping it ends it.
///
/// # Errors
/// When it cannot start.
pub async fn lab() -> Result<Running, ServeError> {
    with(ServeArgs { lab: Some(true), ..ServeArgs::default() }).await
}

async fn with(args: ServeArgs) -> Result<Running, ServeError> {
    let any = || Some("127.0.0.1:0".to_owned());
    let store = Some("memory".to_owned());
    let args = ServeArgs { listen: any(), tcp_listen: any(), store, ..args };
    let mut checked = Checked::new(args)?;
    checked.settings.poll_next_ms = 200;
    // All clients of a test come from one address, and some of them come often.
    checked.limits.connections_per_address_max = 0;
    start(checked).await
}

/// Waits until `condition` holds, as seen from within: a figure of the server, a counter of a proxy.
///
/// # Panics
/// When it does not hold within [`PATIENCE`]; `what` says what was waited for.
pub async fn until(what: &str, condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting)
        .await
        .unwrap_or_else(|_| panic!("not within {PATIENCE:?}: {what}"));
}

/// Connections, or held requests, that are open now over one transport.
pub fn open(server: &Running, transport: TransportName) -> u64 {
    server.hub.figures.of(transport).open.load(Relaxed)
}

/// Events that one transport has written.
pub fn deliveries(server: &Running, transport: TransportName) -> u64 {
    server.hub.figures.of(transport).deliveries.load(Relaxed)
}
