//! Responses without end, as `stream` and `sse` use them.

use bytes::Bytes;
use http::StatusCode;
use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::{
    error::Error,
    http::{Connection, accepted, expect_type, read},
    start::Ask,
    target::Target,
};

/// A response whose body goes on.
#[derive(Debug)]
pub(super) struct Endless {
    body: Incoming,
    /// Keeps the socket.
    _connection: Connection,
}

impl Endless {
    /// Asks `path` and waits for the head of the answer, which must be of `media_type`.
    pub(super) async fn open(
        to: &Target,
        path: &str,
        ask: &Ask,
        media_type: &'static str,
    ) -> Result<Self, Error> {
        let mut connection = Connection::open(&to.origin, to.timers.connect).await?;
        let request = read(&to.origin, path, &ask.body(None), media_type)?;
        let response = connection.send(request).await.map_err(|unanswered| unanswered.error)?;
        let response = accepted(response, &[StatusCode::OK]).await?;
        expect_type(&response, media_type)?;
        Ok(Self { body: response.into_body(), _connection: connection })
    }

    /// The next bytes. Dropped while it waits, it has lost nothing.
    pub(super) async fn bytes(&mut self) -> Result<Bytes, Error> {
        match self.body.frame().await {
            Some(Ok(frame)) => Ok(frame.into_data().unwrap_or_default()),
            Some(Err(error)) => Err(Error::Lost(error.to_string())),
            None => Err(Error::Lost("the response ended".to_owned())),
        }
    }
}
