//! Raw TCP.

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::hub::{Caller, Hub};

/// Serves one accepted connection to its end: a socket, or one end of an in-memory pipe.
pub async fn serve<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    hub: Arc<Hub>,
    caller: Caller,
    stream: S,
) {
    let _ = (hub, caller, stream);
}
