//! The other side: asks the server that has a data directory open.

use std::{io, path::Path};

use axum::body::{Body, to_bytes};
use http::{Method, Request, header};
use hyper_util::rt::TokioIo;
use serde::{Serialize, de::DeserializeOwned};
use sosik_wire::Problem;
use tokio::net::UnixStream;

use super::address::Address;
use crate::operate::OperateError;

/// What became of a question.
#[derive(Debug)]
pub(crate) enum Asked<A> {
    /// The server answered.
    Answer(A),
    /// No server listens there.
    Nobody,
}

/// Asks for `path` of the server in `data`, and waits as long as the answer takes. `question` is the body; none is `GET`.
pub(crate) async fn ask<A: DeserializeOwned>(
    data: &Path,
    path: &str,
    question: Option<&impl Serialize>,
) -> Result<Asked<A>, OperateError> {
    let lost = |error: io::Error| OperateError::Lost { data: data.into(), error };
    let Some(stream) = connect(data).await.map_err(lost)? else { return Ok(Asked::Nobody) };
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| lost(io::Error::other(error)))?;
    let body = question.map(|question| serde_json::to_vec(question).expect("structs of text and numbers"));
    let request = Request::builder()
        .method(if body.is_some() { Method::POST } else { Method::GET })
        .uri(path)
        .header(header::HOST, "localhost")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body.unwrap_or_default()))
        .expect("a path of ours");
    let exchange = async {
        let response = sender.send_request(request).await.map_err(io::Error::other)?;
        let status = response.status();
        let body =
            to_bytes(Body::new(response.into_body()), ANSWER_BYTES_MAX).await.map_err(io::Error::other)?;
        Ok::<_, io::Error>((status, body))
    };
    let exchange = async {
        tokio::pin!(exchange, connection);
        tokio::select! {
            answered = &mut exchange => answered,
            // Its end comes before the answer is read when the server closes at once.
            _ = &mut connection => exchange.await,
        }
    };
    let (status, body) = exchange.await.map_err(lost)?;
    let unknown = |error: serde_json::Error| lost(io::Error::new(io::ErrorKind::InvalidData, error));
    if status.is_success() {
        return serde_json::from_slice(&body).map(Asked::Answer).map_err(unknown);
    }
    Err(OperateError::Refused(serde_json::from_slice::<Problem>(&body).map_err(unknown)?))
}

async fn connect(data: &Path) -> io::Result<Option<UnixStream>> {
    use io::ErrorKind::{ConnectionRefused, NotADirectory, NotFound};
    let connected = match Address::of(data) {
        Ok(address) => UnixStream::connect(address.path()).await,
        Err(error) => Err(error),
    };
    match connected {
        Ok(stream) => Ok(Some(stream)),
        Err(error) if matches!(error.kind(), NotFound | NotADirectory | ConnectionRefused) => Ok(None),
        Err(error) => Err(error),
    }
}

/// More than any answer has.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
