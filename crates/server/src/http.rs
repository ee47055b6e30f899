//! HTTP/1 on one connection: hyper, with the limits it leaves to us, and the guard before the router.

use std::{
    convert::Infallible,
    future::{Future, pending, poll_fn},
    pin::{Pin, pin},
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{Router, body::Body};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Version, header, response::Parts};
use http_body::{Frame, SizeHint};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use sosik_transport::{Caller, Connection, Hub, Offer, PUBLISH_PATH, Served, Takeover};
use sosik_wire::{Code, Problem, problem::CONTENT_TYPE};
use tokio::{net::TcpStream, sync::watch, time::timeout};
use tower_service::Service;

use crate::{
    clock::http_date,
    guard::{Ends, Guard, Verdict},
    head::{Exchange, HeadClock},
    health,
    limits::Limits,
    listen::drained,
    reply::{Reply, problem},
    stall::Stalling,
    turn::{Turn, Turns},
};

/// What all connections of the HTTP listener share.
#[derive(Debug)]
pub(crate) struct Front {
    http1: http1::Builder,
    /// Empty while the log is being opened.
    open: OnceLock<Open>,
    opening: Router,
    guard: Guard,
    caller: Caller,
    limits: Limits,
    turns: Turns,
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
            open: OnceLock::new(),
            opening: health::opening(),
            guard,
            caller,
            limits,
            turns: Turns::new(),
            draining,
        })
    }

    /// From now on requests are answered by `router`, and publishes without it, as it would.
    pub(crate) fn open(&self, router: Router, hub: Arc<Hub>) {
        // Called once, at the start; a second router would be as good as the first.
        let _ = self.open.set(Open { router, hub });
    }

    /// Serves one connection to its end; when the server drains, to the end of the answer that is being given.
    pub(crate) fn serve(self: Arc<Self>, socket: TcpStream, ends: Ends) -> Serving {
        // Boxed apart: who has said nothing holds only what waits for him.
        Serving::Waiting(Box::pin(self.turn(socket, ends)))
    }

    /// Waits for the first byte of a connection, and then for its turn. `None` when the first byte does not come in time, or the
    /// server drains.
    async fn turn(self: Arc<Self>, socket: TcpStream, ends: Ends) -> Option<Begun> {
        let mut draining = self.draining.clone();
        let begun = timeout(Duration::from_millis(self.limits.first_byte_ms), socket.readable());
        tokio::select! {
            begun = begun => begun.ok()?.ok()?,
            () = drained(&mut draining) => return None,
        }
        let turn = self.turns.next().await;
        Some(Begun { front: self, socket, ends, turn })
    }

    /// Answers requests until the connection ends, or until an answer takes it over: that is served by what this returns.
    async fn serve_http1(
        self: Arc<Self>,
        connection: Connection,
        ends: Ends,
        first_byte_ms: u64,
        mut turn: Turn,
    ) -> Option<Taken> {
        let exchange = Exchange::default();
        let taking: Slot = Arc::default();
        let [first, head, stall] =
            [first_byte_ms, self.limits.head_ms, self.limits.stall_ms].map(Duration::from_millis);
        let io = HeadClock::new(Stalling::new(connection, stall), exchange.clone(), first, head);
        let (front, asked) = (self.clone(), (exchange.clone(), taking.clone()));
        let service = service_fn(move |request| front.clone().answer(request, ends, asked.clone()));
        let mut http1 = self.http1.serve_connection(TokioIo::new(io), service);
        let mut draining = self.draining.clone();
        let mut draining = pin!(drained(&mut draining));
        let mut is_draining = false;
        let ended = poll_fn(|cx| {
            if !is_draining && draining.as_mut().poll(cx).is_ready() {
                is_draining = true;
                Pin::new(&mut http1).graceful_shutdown();
            }
            let ended = Pin::new(&mut http1).poll(cx);
            if ended.is_pending() && exchange.is_flushed() && taking.lock().is_some() {
                return Poll::Ready(Ok(()));
            }
            turn.pass(cx, exchange.is_past_the_first());
            ended
        });
        if let Err(error) = ended.await {
            tracing::trace!(%error, peer = %ends.peer, "connection");
        }
        let Taking { takeover, head, version } = taking.lock().take()?;
        let parts = http1.into_parts();
        let connection = parts.io.into_inner().into_inner().into_inner();
        let served = takeover.run(connection.with_unread(parts.read_buf), &head, version, http_date)?;
        let again = takeover.gives_back().then(|| Box::new(Again { front: self, ends }));
        Some(Taken { served, again })
    }

    async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        ends: Ends,
        (exchange, taking): (Exchange, Slot),
    ) -> Result<Response<Answered>, Infallible> {
        let busy = exchange.begin();
        let version = request.version();
        let (mut response, origin) = match self.guard.judge(&request, ends) {
            Verdict::Done(response) => (response, None),
            Verdict::Pass(origin) => {
                let open = self.open.get();
                let response = match open.filter(|_| is_publish(&request)) {
                    Some(open) => sosik_transport::publish(&open.hub, &self.caller, request).await,
                    None => self.route(open, request, ends).await,
                };
                (response, origin)
            }
        };
        explain(&mut response);
        Guard::finish(&mut response, origin);
        if let Some(takeover) = response.extensions_mut().remove::<Takeover>() {
            let (mut head, _) = response.into_parts();
            // The router counts the empty body that stands for what is written instead of it.
            head.headers.remove(header::CONTENT_LENGTH);
            *taking.lock() = Some(Taking { takeover, head, version });
            // Never answered: the connection is taken from below it.
            return pending().await;
        }
        Ok(response.map(|body| Answered { body, exchange, busy }))
    }

    async fn route(
        &self,
        open: Option<&Open>,
        mut request: Request<Incoming>,
        ends: Ends,
    ) -> Response<Reply> {
        request.extensions_mut().insert(self.caller.clone());
        request.extensions_mut().insert(ends);
        if matches!(*request.method(), Method::GET | Method::POST) {
            request.extensions_mut().insert(Offer);
        }
        let router = open.map_or(&self.opening, |open| &open.router);
        let response = router.clone().call(request.map(Body::new)).await;
        response.unwrap_or_else(|never| match never {})
    }
}

/// What answers once the log is open.
#[derive(Debug)]
struct Open {
    router: Router,
    hub: Arc<Hub>,
}

fn is_publish<B>(request: &Request<B>) -> bool {
    *request.method() == Method::POST && request.uri().path() == PUBLISH_PATH
}

/// A connection on its way to its end. By hand, and with its steps in boxes, so that an answer that lasts does not hold the
/// room of what began it.
pub(crate) enum Serving {
    /// Nothing has come yet, or others are before it.
    Waiting(Going<Begun>),
    /// hyper reads requests and writes answers.
    Http(Going<Taken>),
    /// An answer has taken the connection over, and may give it back.
    Taken(Served, Option<Box<Again>>),
}

/// A part of a connection's life, and what comes of it unless it ends there.
type Going<T> = Pin<Box<dyn Future<Output = Option<T>> + Send>>;

/// A connection on which something has come, and whose turn it is.
pub(crate) struct Begun {
    front: Arc<Front>,
    socket: TcpStream,
    ends: Ends,
    turn: Turn,
}

/// An answer that has taken its connection over.
pub(crate) struct Taken {
    served: Served,
    again: Option<Box<Again>>,
}

/// What serving HTTP on a connection again needs.
pub(crate) struct Again {
    front: Arc<Front>,
    ends: Ends,
}

impl Future for Serving {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let next = match &mut *self {
                Self::Waiting(waiting) => ready!(waiting.as_mut().poll(cx)).map(|begun| {
                    let Begun { front, socket, ends, turn } = begun;
                    let (connection, first_byte_ms) =
                        (Connection::of_socket(socket), front.limits.first_byte_ms);
                    Self::Http(Box::pin(front.serve_http1(connection, ends, first_byte_ms, turn)))
                }),
                Self::Http(http1) => {
                    ready!(http1.as_mut().poll(cx)).map(|taken| Self::Taken(taken.served, taken.again))
                }
                Self::Taken(served, again) => {
                    let connection = ready!(served.as_mut().poll(cx));
                    connection.zip(again.take()).map(|(connection, again)| {
                        let Again { front, ends } = *again;
                        let idle_ms = front.limits.idle_ms;
                        Self::Http(Box::pin(front.serve_http1(connection, ends, idle_ms, Turn::default())))
                    })
                }
            };
            match next {
                Some(next) => *self = next,
                None => return Poll::Ready(()),
            }
        }
    }
}

/// Where an answer that takes its connection over waits for it.
type Slot = Arc<Mutex<Option<Taking>>>;

struct Taking {
    takeover: Takeover,
    head: Parts,
    version: Version,
}

/// The router refuses a method without a word; this adds one.
fn explain(response: &mut Response<Reply>) {
    let is_problem = |response: &Response<Reply>| {
        response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == CONTENT_TYPE)
    };
    if response.status() != StatusCode::METHOD_NOT_ALLOWED || is_problem(response) {
        return;
    }
    let allow = response.headers().get(header::ALLOW).cloned();
    let methods = allow.as_ref().and_then(|allow| allow.to_str().ok()).unwrap_or_default().replace(',', ", ");
    *response = problem(&Problem::new(Code::Method, format!("the path takes {methods}")));
    if let Some(allow) = allow {
        response.headers_mut().insert(header::ALLOW, allow);
    }
}

/// A body that tells its connection when it is over.
#[derive(Debug)]
struct Answered {
    body: Reply,
    exchange: Exchange,
    busy: u32,
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
        self.exchange.end(self.busy);
    }
}
