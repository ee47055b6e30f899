//! Requests answered by one page, as `poll` and `long_poll` use them, and the re-read of a hole.

use std::{collections::VecDeque, fmt, sync::Arc};

use futures_util::future::BoxFuture;
use http::{HeaderValue, StatusCode, header};
use sosik_wire::{
    Hints,
    decode::{self, Page},
};

use super::News;
use crate::{
    error::Error,
    http::{Connection, accepted, body, read},
    start::{Ask, Start},
    target::Target,
};

/// A row of requests over one connection that is kept, each asking what follows the answer before.
pub(super) struct OneShot {
    to: Arc<Target>,
    path: &'static str,
    ask: Ask,
    connection: Option<Connection>,
    /// The tag of the last answer, and that its request is the one to be made now.
    tag: Option<HeaderValue>,
    asking: Option<BoxFuture<'static, Asked>>,
    came: VecDeque<News>,
}

/// What one request brought, for the pace of the next.
#[derive(Debug, Clone, Copy)]
pub(super) struct Brought {
    pub(super) news: bool,
    pub(super) more: bool,
    pub(super) hints: Hints,
}

/// The connection, if it can take another request, and what it brought.
type Asked = (Option<Connection>, Result<Answer, Error>);

enum Answer {
    Page {
        page: Page,
        tag: Option<HeaderValue>,
    },
    /// 304: nothing follows; hints travel in its head.
    Unchanged(Hints),
}

impl OneShot {
    pub(super) fn new(to: Arc<Target>, path: &'static str, ask: Ask) -> Self {
        Self { to, path, ask, connection: None, tag: None, asking: None, came: VecDeque::new() }
    }

    /// Makes one request; `wait` in seconds, for a long-poll. Dropped while it waits, the request goes on, and the next
    /// call takes its answer.
    pub(super) async fn ask(&mut self, wait: Option<u64>) -> Result<Brought, Error> {
        let asking = self.asking.get_or_insert_with(|| {
            let (to, ask, connection) = (self.to.clone(), self.ask.clone(), self.connection.take());
            Box::pin(request(to, self.path, ask, wait, connection, self.tag.clone()))
        });
        let (connection, answer) = asking.await;
        self.asking = None;
        self.connection = connection;
        match answer? {
            Answer::Page { page, tag } => Ok(self.take(page, tag)),
            Answer::Unchanged(hints) => Ok(Brought { news: false, more: false, hints }),
        }
    }

    /// The next of what the answers brought.
    pub(super) fn next(&mut self) -> Option<News> {
        self.came.pop_front()
    }

    fn take(&mut self, page: Page, tag: Option<HeaderValue>) -> Brought {
        let brought = Brought { news: !page.frames.is_empty(), more: page.more, hints: page.hints };
        self.came.extend(page.frames.into_iter().map(News::Frame));
        if !page.more {
            self.came.push_back(News::CaughtUp(page.cursor.clone()));
        }
        // A tag belongs to its URL, and the cursor is part of that.
        let same = self.ask.from.after().as_deref() == Some(&page.cursor);
        self.tag = tag.filter(|_| same);
        self.ask.from = Start::After(page.cursor);
        brought
    }
}

impl fmt::Debug for OneShot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OneShot").field("path", &self.path).field("ask", &self.ask).finish_non_exhaustive()
    }
}

/// Reads one page of what follows a place, because of a hole behind it.
pub(crate) async fn read_page(to: Arc<Target>, ask: Ask) -> Result<Page, Error> {
    match request(to, HOLE_PATH, ask, None, None, None).await.1? {
        Answer::Page { page, .. } => Ok(page),
        Answer::Unchanged(_) => Err(Error::Unexpected("304 to a request without a tag".to_owned())),
    }
}

async fn request(
    to: Arc<Target>,
    path: &'static str,
    ask: Ask,
    wait: Option<u64>,
    kept: Option<Connection>,
    tag: Option<HeaderValue>,
) -> Asked {
    let mut kept = kept.filter(|connection| !connection.is_closed());
    loop {
        let mut connection = match kept.take() {
            Some(connection) => connection,
            None => match Connection::open(&to.origin, to.timers.connect).await {
                Ok(connection) => connection,
                Err(error) => return (None, Err(error)),
            },
        };
        let was_used = connection.used();
        match exchange(&mut connection, &to, path, &ask, wait, tag.clone()).await {
            Ok(answer) => return (Some(connection), Ok(answer)),
            // The server may have closed the idle connection meanwhile; reading again changes nothing there.
            Err(Error::Lost(_)) if was_used => {}
            Err(error) => return (None, Err(error)),
        }
    }
}

async fn exchange(
    connection: &mut Connection,
    to: &Target,
    path: &str,
    ask: &Ask,
    wait: Option<u64>,
    tag: Option<HeaderValue>,
) -> Result<Answer, Error> {
    let mut request = read(&to.origin, path, &ask.body(wait), "application/json")?;
    if let Some(tag) = tag {
        request.headers_mut().insert(header::IF_NONE_MATCH, tag);
    }
    let response = connection.send(request).await.map_err(|unanswered| unanswered.error)?;
    let response = accepted(response, &[StatusCode::OK, StatusCode::NOT_MODIFIED]).await?;
    if response.status() == StatusCode::NOT_MODIFIED {
        let next_ms = response.headers().get(NEXT_MS).and_then(|value| value.to_str().ok()?.parse().ok());
        return Ok(Answer::Unchanged(Hints { next_ms, rearm_ms: None }));
    }
    let tag = response.headers().get(header::ETAG).cloned();
    Ok(Answer::Page { page: decode::answer(&body(response).await?)?, tag })
}

/// The server's name for the header with the hint.
const NEXT_MS: &str = "sosik-next-ms";
/// A poll that says why it comes: the server counts it.
const HOLE_PATH: &str = "/v1/poll?hole=1";
