//! One HTTP/1 connection.

use std::{fmt, time::Duration};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, task::JoinSet, time::timeout};

use super::Origin;
use crate::error::Error;

pub(crate) type Response = http::Response<Incoming>;

/// A connection that takes one request after the other; closed when dropped.
pub(crate) struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    used: bool,
    /// Drives the socket.
    _driver: JoinSet<()>,
}

/// A request that got no answer.
pub(crate) struct Unanswered {
    pub(crate) error: Error,
    /// The request, if none of it was sent, or if a server that closed an idle connection cannot have read it.
    pub(crate) unsent: Option<Request<Full<Bytes>>>,
}

impl Connection {
    /// Connects within `limit`.
    pub(crate) async fn open(origin: &Origin, limit: Duration) -> Result<Self, Error> {
        let socket = connect(&origin.address, limit).await?;
        let (sender, driver) = http1::Builder::new()
            .handshake(TokioIo::new(socket))
            .await
            .map_err(|error| Error::Lost(error.to_string()))?;
        let mut tasks = JoinSet::new();
        // How it ends is told to whoever waits for an answer.
        tasks.spawn(async { drop(driver.await) });
        Ok(Self { sender, used: false, _driver: tasks })
    }

    /// Sends a request and waits for the head of its answer.
    pub(crate) async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Response, Unanswered> {
        self.used = true;
        if let Err(error) = self.sender.ready().await {
            return Err(Unanswered { error: lost(&error), unsent: Some(request) });
        }
        self.sender.try_send_request(request).await.map_err(|mut failed| {
            let unsent = failed.take_message();
            Unanswered { error: lost(failed.error()), unsent }
        })
    }

    /// Whether a request was sent over it before: a server may close it just when the next one is on its way.
    pub(crate) fn used(&self) -> bool {
        self.used
    }

    /// Whether it can take no more requests.
    pub(crate) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("used", &self.used).finish_non_exhaustive()
    }
}

/// Connects to `host:port` within `limit`, with small writes sent at once.
pub(crate) async fn connect(address: &str, limit: Duration) -> Result<TcpStream, Error> {
    let unreachable = |reason: String| Error::Unreachable { to: address.to_owned(), reason };
    let socket = timeout(limit, TcpStream::connect(address))
        .await
        .map_err(|_| unreachable(format!("no connection within {} ms", limit.as_millis())))?
        .map_err(|error| unreachable(error.to_string()))?;
    socket.set_nodelay(true).map_err(|error| unreachable(error.to_string()))?;
    Ok(socket)
}

fn lost(error: &hyper::Error) -> Error {
    Error::Lost(error.to_string())
}
