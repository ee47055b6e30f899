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
    let unreached = |error: io::Error| OperateError::Unreached { data: data.into(), error };
    let Some(stream) = connect(data).await.map_err(unreached)? else { return Ok(Asked::Nobody) };
    // Says nothing to the server yet.
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| unreached(io::Error::other(error)))?;
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

#[cfg(test)]
mod tests {
    use std::{env, fs};

    use tokio::net::{UnixDatagram, UnixListener};

    use super::*;
    use crate::control::{address::NAME, words::Nothing};

    // Mutant: both told as one -> fails.
    #[tokio::test]
    async fn what_was_never_asked_is_told_from_what_was_not_answered() {
        let data = env::temp_dir().join(format!("sosik-ask-{}", std::process::id()));
        fs::create_dir(&data).unwrap();
        let asked = async || ask::<()>(&data, "/verify", Some(&Nothing {})).await;
        assert!(matches!(asked().await, Ok(Asked::Nobody)));

        // Of another kind: it is there, and there is no way to it.
        let other = UnixDatagram::bind(data.join(NAME)).unwrap();
        let error = asked().await.unwrap_err();
        assert!(matches!(&error, OperateError::Unreached { .. }), "{error:?}");
        assert!(error.to_string().contains("nothing was done"), "{error}");
        drop(other);
        fs::remove_file(data.join(NAME)).unwrap();

        let server = UnixListener::bind(data.join(NAME)).unwrap();
        let (error, ()) = tokio::join!(asked(), async { drop(server.accept().await.unwrap()) });
        let error = error.unwrap_err();
        assert!(matches!(&error, OperateError::Lost { .. }), "{error:?}");
        assert!(error.to_string().contains("whether it was done is not known"), "{error}");
        fs::remove_dir_all(&data).unwrap();
    }
}
