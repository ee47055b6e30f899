//! The end of a connection.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Waits a moment for the client to take the last bytes: a reset would throw away what is still on its way.
pub(crate) async fn close<S: AsyncRead + AsyncWrite + Unpin>(mut io: S) {
    let drain = async {
        let _ = io.shutdown().await;
        let mut scratch = [0; 1024];
        while matches!(io.read(&mut scratch).await, Ok(count) if count > 0) {}
    };
    let _ = tokio::time::timeout(CLOSE, drain).await;
}

/// How long the last bytes may take.
const CLOSE: Duration = Duration::from_secs(1);
