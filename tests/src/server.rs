//! The whole server as `sosik serve --demo` starts it, in the process of the test.

use sosik_server::{Checked, Running, ServeArgs, ServeError, start};

/// The demo server on free ports of loopback; dropping it ends it. Polls are told to come again after 200 ms, so that a
/// page that polls is not waited for.
///
/// # Errors
/// When it cannot start.
pub async fn demo() -> Result<Running, ServeError> {
    let any = || Some("127.0.0.1:0".to_owned());
    let args = ServeArgs { listen: any(), tcp_listen: any(), demo: Some(true), ..ServeArgs::default() };
    let mut checked = Checked::new(args)?;
    checked.settings.poll_next_ms = 200;
    start(checked).await
}
