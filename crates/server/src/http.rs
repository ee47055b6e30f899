//! HTTP/1 on one connection: hyper, with the limits it leaves to us, and the guard before the router.

use std::{
    convert::Infallible,
    pin::{Pin, pin},
    sync::{Arc, OnceLock},
    task::{Context, Poll},
    time::Duration,
};

use axum::{Router, body::Body};
use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body::{Frame, SizeHint};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use sosik_transport::Caller;
use sosik_wire::{Code, Problem, problem::CONTENT_TYPE};
use tokio::sync::watch;
use tower_service::Service;

use crate::{
    guard::{Ends, Guard, Verdict},
    head::{Exchange, HeadClock},
    health,
    limits::Limits,
    listen::{Socket, drained},
    reply::{Reply, problem},
};

/// What all connections of the HTTP listener share.
#[derive(Debug)]
pub(crate) struct Front {
    http1: http1::Builder,
    /// Empty while the log is being opened.
    router: OnceLock<Router>,
    opening: Router,
    guard: Guard,
    caller: Caller,
    limits: Limits,
    draining: watch::Receiver<bool>,
}

impl Front {
    pub(crate) fn new(
        guard: Guard,
        caller: Caller,
        limits: Limits,
        draining: watch::Receiver<bool>,
    ) -> Arc<Self> {
        let mut http1 = http1::Builder::new();
        http1
            .timer(TokioTimer::new())
            .header_read_timeout(Duration::from_millis(limits.idle_ms))
            // hyper answers what is beyond these with a bare 431. The room between them and our own limits is for the
            // guard, which says what to do.
            .max_headers(limits.headers_max + limits.headers_max / 4)
            .max_buf_size(limits.head_bytes_max + limits.head_bytes_max / 4);
        Arc::new(Self {
            http1,
            router: OnceLock::new(),
            opening: health::opening(),
            guard,
            caller,
            limits,
            draining,
        })
    }

    /// From now on requests are answered by `router`.
    pub(crate) fn open(&self, router: Router) {
        // Called once, at the start; a second router would be as good as the first.
        let _ = self.router.set(router);
    }

    /// Serves one connection to its end; when the server drains, to the end of the answer that is being given.
    pub(crate) async fn serve(self: Arc<Self>, socket: Socket, ends: Ends) {
        let exchange = Exchange::default();
        let (first, head) = (self.limits.first_byte_ms, self.limits.head_ms);
        let clocked = HeadClock::new(
            socket,
            exchange.clone(),
            Duration::from_millis(first),
            Duration::from_millis(head),
        );
        let front = self.clone();
        let service = service_fn(move |request| front.clone().answer(request, ends, exchange.clone()));
        let mut connection =
            pin!(self.http1.serve_connection(TokioIo::new(clocked), service).with_upgrades());
        let mut draining = self.draining.clone();
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = drained(&mut draining) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::trace!(%error, peer = %ends.peer, "connection");
        }
    }

    async fn answer(
        self: Arc<Self>,
        mut request: Request<Incoming>,
        ends: Ends,
        exchange: Exchange,
    ) -> Result<Response<Answered>, Infallible> {
        let busy = exchange.begin();
        let (mut response, origin) = match self.guard.judge(&request, ends) {
            Verdict::Done(response) => (response, None),
            Verdict::Pass(origin) => {
                request.extensions_mut().insert(self.caller.clone());
                request.extensions_mut().insert(ends);
                let router = self.router.get().unwrap_or(&self.opening);
                let response = router.clone().call(request.map(Body::new)).await;
                (response.unwrap_or_else(|never| match never {}), origin)
            }
        };
        explain(&mut response);
        Guard::finish(&mut response, origin);
        // A connection that changes its protocol has no further heads: it stays busy to its end.
        let upgraded = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        Ok(response.map(|body| Answered { body, ends: (!upgraded).then_some((exchange, busy)) }))
    }
}

/// The router refuses a method without a word; this adds one.
fn explain(response: &mut Response<Reply>) {
    let is_problem = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == CONTENT_TYPE);
    if response.status() != StatusCode::METHOD_NOT_ALLOWED || is_problem {
        return;
    }
    let allow = response.headers().get(header::ALLOW).cloned();
    let methods = allow.as_ref().and_then(|allow| allow.to_str().ok()).unwrap_or_default().replace(',', ", ");
    *response = problem(&Problem::new(Code::Method, format!("the path takes {methods}")));
    if let Some(allow) = allow {
        response.headers_mut().insert(header::ALLOW, allow);
    }
}

/// The answer to a connection for which there is no room, in full.
pub(crate) fn refusal() -> Bytes {
    let problem = Problem::new(Code::Overloaded, "the server has too many connections; come back shortly");
    let body = problem.to_json();
    let mut answer = format!(
        "HTTP/1.1 {} {}\r\ncontent-type: {CONTENT_TYPE}\r\ncontent-length: {}\r\nretry-after: {}\r\n\
         cache-control: no-store\r\nconnection: close\r\n\r\n",
        problem.status,
        problem.title,
        body.len(),
        problem.retry_after().unwrap_or(1),
    )
    .into_bytes();
    answer.extend_from_slice(&body);
    answer.into()
}

/// A body that tells its connection when it is over.
#[derive(Debug)]
struct Answered {
    body: Reply,
    ends: Option<(Exchange, u32)>,
}

impl http_body::Body for Answered {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Answered {
    fn drop(&mut self) {
        if let Some((exchange, busy)) = self.ends.take() {
            exchange.end(busy);
        }
    }
}
