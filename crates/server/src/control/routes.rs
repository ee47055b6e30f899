//! What each path of the control socket does. Answers are JSON on one line, refusals problem documents.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, to_bytes},
    routing::{MethodRouter, get, post},
};
use http::Response;
use serde::{Serialize, de::DeserializeOwned};
use sosik_core::{ChannelName, Error, Grant, Pattern, Store, Verb, store::StoreError};
use sosik_store::{Disk, disk::CopyError};
use sosik_wire::{Code, Problem};
use tokio::time::timeout;

use super::words::{Backup, Copied, Named, Nothing, Removed, Status, Trim, Verified, counted};
use crate::{
    measured::Measured,
    reply::{Reply, problem, text},
};

/// What operators act upon.
#[derive(Debug, Clone)]
pub(crate) struct Operated {
    pub(crate) measured: Measured,
    pub(crate) disk: Disk,
}

pub(super) fn router(operated: Operated) -> Router {
    let operated = Arc::new(operated);
    let asked = operated.clone();
    Router::new()
        .route("/status", get(async move || reply(Ok(status(&asked)))))
        .route("/backup", order(&operated, backup))
        .route("/verify", order(&operated, verify))
        .route("/trim", order(&operated, trim))
        .route("/delete", order(&operated, delete))
        .route("/forget", order(&operated, forget))
        .fallback(async || {
            problem(&Problem::new(Code::NotFound, "no such command; is the server of another version?"))
        })
}

/// A path that takes a question as JSON and answers in kind.
fn order<Q, A, F>(operated: &Arc<Operated>, act: fn(Arc<Operated>, Q) -> F) -> MethodRouter
where
    Q: DeserializeOwned + Send + 'static,
    A: Serialize,
    F: Future<Output = Result<A, Problem>> + Send + 'static,
{
    let operated = operated.clone();
    post(async move |body: Body| {
        let question = match read(body).await {
            Ok(question) => question,
            Err(refused) => return problem(&refused),
        };
        reply(act(operated, question).await)
    })
}

async fn read<Q: DeserializeOwned>(body: Body) -> Result<Q, Problem> {
    let read = timeout(BODY, to_bytes(body, BODY_BYTES_MAX)).await;
    let bytes = read
        .map_err(|_| Problem::new(Code::Stalled, "the question took too long"))?
        .map_err(|error| Problem::new(Code::BadRequest, format!("the question cannot be read: {error}")))?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Problem::new(Code::BadRequest, format!("the question cannot be read: {error}")))
}

fn reply(answer: Result<impl Serialize, Problem>) -> Response<Reply> {
    match answer {
        Ok(answer) => {
            let mut line = serde_json::to_vec(&answer).expect("structs of text and numbers");
            line.push(b'\n');
            text("application/json", line)
        }
        Err(refused) => problem(&refused),
    }
}

fn status(operated: &Operated) -> Status {
    let figures = operated.disk.figures();
    Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        draining: operated.measured.hub.is_draining(),
        refuses: operated.measured.refuses().map(|code| code.name().to_owned()),
        sockets: operated.measured.sockets.open(),
        events: figures.events,
        kept_events: figures.kept_events,
        kept_bytes: figures.kept_bytes,
        disk_bytes: figures.disk_bytes,
        free_bytes: figures.free_bytes,
        damaged: figures.damaged,
    }
}

async fn backup(operated: Arc<Operated>, Backup { to }: Backup) -> Result<Copied, Problem> {
    let kept = operated.disk.backup(&to, |_| {}).await.map_err(|error| copied(&error))?;
    tracing::info!("a backup was written to {}", to.display());
    Ok(Copied::of(&to, &kept))
}

/// Whose fault it was that there is no copy.
fn copied(error: &CopyError) -> Problem {
    let code = match error {
        CopyError::Open(_) | CopyError::NotEmpty(_) | CopyError::Inside(_) => Code::BadRequest,
        CopyError::NoRoom(_) => Code::StorageFull,
        CopyError::Interrupted(_) => Code::Unavailable,
        _ => Code::Internal,
    };
    Problem::new(code, error.to_string())
}

async fn verify(operated: Arc<Operated>, _: Nothing) -> Result<Verified, Problem> {
    let report = operated.disk.verify().await.map_err(stored)?;
    Ok(Verified::from(&report))
}

async fn trim(operated: Arc<Operated>, Trim { channel, cut }: Trim) -> Result<Removed, Problem> {
    let (name, grant, now) = operated.manage(&channel)?;
    let removed = operated.measured.hub.node.trim(&grant, &name, cut.into(), now).await;
    let sosik_core::Removed { events, next_seq } = done(&name, removed)?;
    Ok(Removed { channel, events, next_seq: Some(next_seq) })
}

async fn delete(operated: Arc<Operated>, Named { channel }: Named) -> Result<Removed, Problem> {
    let (name, grant, now) = operated.manage(&channel)?;
    let removed = operated.measured.hub.node.delete(&grant, &name, now).await;
    let sosik_core::Removed { events, next_seq } = done(&name, removed)?;
    Ok(Removed { channel, events, next_seq: Some(next_seq) })
}

async fn forget(operated: Arc<Operated>, Named { channel }: Named) -> Result<Removed, Problem> {
    let (name, grant, now) = operated.manage(&channel)?;
    let removed = operated.measured.hub.node.forget(&grant, &name, now).await;
    let sosik_core::Removed { events, .. } = done(&name, removed)?;
    // Its next number is the position of its next event, which nobody knows yet (rule 6).
    Ok(Removed { channel, events, next_seq: None })
}

/// What the core has taken away, which is also said in the log. A channel without a record is refused: who deletes by a
/// name that is mistyped must not believe that it is done.
fn done(
    channel: &ChannelName,
    removed: Result<sosik_core::Removed, Error>,
) -> Result<sosik_core::Removed, Problem> {
    let removed = removed.map_err(|error| Problem::from(&error))?;
    if removed.next_seq == 0 {
        let detail = format!("there is no channel {channel}; nothing was removed");
        return Err(Problem::new(Code::NotFound, detail));
    }
    tracing::info!("an operator took {} of {channel} away", counted(removed.events, "event"));
    Ok(removed)
}

impl Operated {
    /// A channel of a namespace that is declared, the right to manage it, and the time.
    fn manage(&self, channel: &str) -> Result<(ChannelName, Grant, u64), Problem> {
        let name = ChannelName::parse(channel).map_err(|error| Problem::from(&Error::from(error)))?;
        let declared = self.measured.namespaces.iter().any(|(own, _)| **own == *name.namespace());
        if !declared {
            let detail = format!("no namespace {} is declared in the server's sosik.toml", name.namespace());
            return Err(Problem::new(Code::NotFound, detail));
        }
        let rule = (Pattern::Channel(name.clone()), [Verb::Manage].into_iter().collect());
        Ok((name, Grant::anonymous([rule]), self.measured.hub.clock.wall_ms()))
    }
}

fn stored(error: StoreError) -> Problem {
    Problem::new(Code::from(&Error::from(error.clone())), error.to_string())
}

/// How long a question may take to arrive.
const BODY: Duration = Duration::from_secs(10);
/// Most bytes of a question.
const BODY_BYTES_MAX: usize = 64 * 1024;
