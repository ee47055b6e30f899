//! What a connection is at, to its end.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::connection::Connection;

/// What is done on a connection.
pub(crate) trait Work: Send + Unpin {
    /// Goes on. Ready when it is over, with the connection if its last bytes are still on their way.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Connection>>;
}

/// Works until the work is over, and then waits a moment for the client to take the last bytes. By hand, so that an idle
/// connection holds its work and nothing else.
pub(crate) enum Working<W> {
    Busy(W),
    Closing(Pin<Box<dyn Future<Output = ()> + Send>>),
}

impl<W: Work> Future for Working<W> {
    type Output = Option<Connection>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Connection>> {
        if let Self::Busy(work) = &mut *self {
            let Some(connection) = ready!(work.poll(cx)) else { return Poll::Ready(None) };
            *self = Self::Closing(Box::pin(close(connection)));
        }
        if let Self::Closing(closing) = &mut *self {
            ready!(closing.as_mut().poll(cx));
        }
        Poll::Ready(None)
    }
}

/// Waits a moment for the client to take the last bytes: a reset would throw away what is still on its way.
pub(crate) async fn close(mut connection: Connection) {
    let drain = async {
        let _ = connection.shutdown().await;
        let mut scratch = [0; 1024];
        while matches!(connection.read(&mut scratch).await, Ok(count) if count > 0) {}
    };
    let _ = tokio::time::timeout(CLOSE, drain).await;
}

/// How long the last bytes may take.
const CLOSE: Duration = Duration::from_secs(1);
