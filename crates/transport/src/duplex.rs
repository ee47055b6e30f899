//! A connection that carries frames both ways: what WebSocket and TCP share.
//!
//! One future per connection. It reads what the client sends, runs what must wait beside the reading, and lets the feed
//! write. A client that does not read its answers is not read from.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use sosik_core::{Cursor, Error, Joined, Pattern, Start};
use sosik_wire::{
    Down, Goodbye, GoodbyeFrame, Hello, OkFrame, Refused, Subscribe, TransportName as Transport, Unsubscribe,
    Up,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

use crate::{
    feed::{Answer, Feed, Turn},
    form::{Form, Pieces},
    http::welcome,
    hub::{Caller, Hub},
    pump::{Socket, Tally},
    uplink,
};

/// How frames from the client are found in its bytes, and how a connection ends.
pub(crate) trait Codec: Send {
    /// Takes bytes as they came.
    fn feed(&mut self, bytes: &[u8]);
    /// The next thing in what was taken, `None` until more comes. May put answers of its own into `control`.
    fn next(&mut self, control: &mut Vec<Pieces>) -> Option<Inbound>;
    /// What a goodbye looks like, after its frame.
    fn close(&self, goodbye: &GoodbyeFrame) -> Pieces;
    /// Whether a client that has sent its last byte may still listen.
    fn listens_after_end(&self) -> bool;
}

/// One thing from the client.
#[derive(Debug)]
pub(crate) enum Inbound {
    /// The text of a frame.
    Frame(String),
    /// Something that is not a frame; the connection survives.
    Bad(Refused),
    /// Something that ends the connection, with the code to say.
    Fatal(Goodbye),
    /// Something that ends the connection; its last bytes are said already.
    Closed,
}

/// Serves one connection to its end.
pub(crate) async fn serve<S, C>(
    hub: Arc<Hub>,
    caller: Caller,
    io: S,
    codec: C,
    transport: Transport,
    form: Form,
) where
    S: AsyncRead + AsyncWrite + Send + Unpin,
    C: Codec,
{
    let mut feed = Feed::new(&hub, transport, form);
    feed.due = hub.clock.steady_ms() + hub.settings.hello_ms;
    let mut duplex = Duplex {
        hub,
        caller,
        io,
        codec,
        feed,
        greeted: false,
        input_ended: false,
        ending: None,
        waiting: None,
        jobs: FuturesUnordered::new(),
        tokens: Vec::new(),
        next_token: 0,
    };
    poll_fn(|cx| duplex.poll(cx)).await;
    close(duplex.io).await;
}

/// Waits a moment for the client to take the last bytes: a reset would throw away what is still on its way.
pub(crate) async fn close<S: AsyncRead + AsyncWrite + Unpin>(mut io: S) {
    let drain = async {
        let _ = io.shutdown().await;
        let mut scratch = [0; 1024];
        while matches!(io.read(&mut scratch).await, Ok(count) if count > 0) {}
    };
    let _ = tokio::time::timeout(Duration::from_millis(CLOSE_MS), drain).await;
}

/// What reading came to.
enum Read {
    /// One frame was run or refused; there may be more.
    One,
    /// Nothing more now: the socket will wake us, or something must go on first, or the client has sent its last byte.
    Nothing,
    /// The connection ends with this.
    Fatal(Goodbye),
    /// The connection has ended.
    Closed,
}

struct Duplex<S, C> {
    hub: Arc<Hub>,
    caller: Caller,
    io: S,
    codec: C,
    feed: Feed,
    greeted: bool,
    input_ended: bool,
    /// How it ends, once everything that was begun is answered. Nothing is read any more.
    ending: Option<GoodbyeFrame>,
    /// A frame that needs the reader while it is away.
    waiting: Option<Up>,
    jobs: FuturesUnordered<Pin<Box<dyn Future<Output = Down> + Send>>>,
    /// Joins that wait for their backlog: token, id, channels.
    tokens: Vec<(u64, Option<u64>, Vec<String>)>,
    next_token: u64,
}

impl<S: AsyncRead + AsyncWrite + Send + Unpin, C: Codec> Duplex<S, C> {
    /// Ready when the connection has ended.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        for _ in 0..TURNS_MAX {
            while let Poll::Ready(Some(answer)) = self.jobs.poll_next_unpin(cx) {
                self.feed.push(&answer);
            }
            if let Some(goodbye) = self.ending.take_if(|_| self.jobs.is_empty()) {
                return self.say_goodbye(cx, goodbye);
            } else if self.ending.is_some() {
                return Poll::Pending;
            }
            let read = self.read(cx);
            if let Read::Closed = read {
                return self.finish(cx);
            }
            let held_up = self.is_held_up();
            self.ending = match self.turn(cx) {
                Poll::Ready(None) => return Poll::Ready(()),
                Poll::Ready(goodbye) => goodbye,
                Poll::Pending => None,
            };
            match read {
                _ if self.ending.is_some() => {}
                Read::Fatal(goodbye) => self.ending = Some(goodbye.frame()),
                Read::One => {}
                // The turn has made room: the socket was not asked, so nothing but this reads on.
                Read::Nothing if held_up && !self.is_held_up() => {}
                Read::Nothing | Read::Closed => return self.rest(),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Nothing to do now; ends the connection when nothing can come any more.
    fn rest(&mut self) -> Poll<()> {
        let busy = !self.jobs.is_empty() || !self.feed.outbox.is_empty() || self.waiting.is_some();
        let listens = self.codec.listens_after_end() && !matches!(self.feed.reader(), Ok(None));
        if (self.input_ended && !busy && !listens) || self.feed.is_stalled() {
            return Poll::Ready(());
        }
        Poll::Pending
    }

    /// Reads and runs one frame.
    fn read(&mut self, cx: &mut Context<'_>) -> Read {
        if !self.greeted && self.hub.clock.steady_ms() >= self.feed.due {
            return Read::Fatal(Goodbye::BadRequest);
        }
        if let Some(frame) = self.waiting.take() {
            self.run(frame);
        }
        loop {
            if self.hub.is_draining() || self.is_held_up() {
                return Read::Nothing;
            }
            let mut control = Vec::new();
            let next = self.codec.next(&mut control);
            control.into_iter().for_each(|pieces| self.feed.push_pieces(pieces));
            match next {
                Some(Inbound::Frame(text)) => return self.accept(&text),
                Some(Inbound::Bad(refused)) => {
                    self.refuse(refused);
                    return Read::One;
                }
                Some(Inbound::Fatal(goodbye)) => return Read::Fatal(goodbye),
                Some(Inbound::Closed) => return Read::Closed,
                None if self.input_ended => return Read::Nothing,
                None => {}
            }
            let mut scratch = [0; READ_BYTES];
            let mut buffer = ReadBuf::new(&mut scratch);
            match Pin::new(&mut self.io).poll_read(cx, &mut buffer) {
                Poll::Pending => return Read::Nothing,
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => self.codec.feed(buffer.filled()),
                Poll::Ready(Ok(())) => self.input_ended = true,
                // A reset ends both ways: nobody listens any more, and no heartbeat has to find that out.
                Poll::Ready(Err(_)) => return Read::Closed,
            }
        }
    }

    /// Whether something must go on before more is read.
    fn is_held_up(&mut self) -> bool {
        let waits = self.waiting.is_some() && self.feed.reader().is_err();
        let outbox = &self.feed.outbox;
        waits
            || self.jobs.len() >= JOBS_MAX
            || outbox.len() >= ANSWERS_MAX
            || outbox.bytes() >= ANSWERS_BYTES_MAX
    }

    /// A frame's text, in order of arrival.
    fn accept(&mut self, text: &str) -> Read {
        match Up::parse(text) {
            Ok(Up::Hello(hello)) if !self.greeted => self.greet(hello),
            Ok(Up::Hello(_)) => {
                self.refuse(Refused::by_core(None, &Error::Request("hello was said already")))
            }
            Ok(_) if !self.greeted => return Read::Fatal(Goodbye::BadRequest),
            Ok(frame) => self.run(frame),
            Err(refused) if self.greeted => self.refuse(refused),
            Err(refused) => {
                let goodbye = match refused.code {
                    sosik_wire::Code::Version => Goodbye::Version,
                    _ => Goodbye::BadRequest,
                };
                self.refuse(refused);
                return Read::Fatal(goodbye);
            }
        }
        Read::One
    }

    fn greet(&mut self, hello: Hello) {
        self.greeted = true;
        self.feed.due = u64::MAX;
        let client = hello.client.filter(|client| !client.is_empty() && client.len() <= CLIENT_BYTES_MAX);
        let welcome = welcome(&self.hub, client, None);
        self.feed.push(&Down::Welcome(welcome));
    }

    fn run(&mut self, frame: Up) {
        match frame {
            Up::Subscribe(_) | Up::Unsubscribe(_) if self.feed.reader().is_err() => {
                self.waiting = Some(frame)
            }
            Up::Subscribe(frame) => self.subscribe(frame),
            Up::Unsubscribe(frame) => self.unsubscribe(frame),
            frame => self.jobs.push(Box::pin(uplink::answer(self.hub.clone(), self.caller.clone(), frame))),
        }
    }

    fn subscribe(&mut self, frame: Subscribe) {
        let parsed = parse_set(&frame.channels)
            .and_then(|set| Ok((set, Start::parse(frame.after.as_deref(), frame.last)?)));
        let (set, start) = match parsed {
            Ok(parsed) => parsed,
            Err(error) => return self.refuse(Refused::by_core(frame.id, &error)),
        };
        let (id, channels) = (frame.id, frame.channels);
        self.next_token += 1;
        let (token, now) = (self.next_token, self.hub.clock.wall_ms());
        match self.feed.take_reader() {
            Some(mut reader) => self.feed.send_away(async move {
                let outcome = reader.join(&set, start, now, token).await;
                (Some(reader), Answer::Subscribed { id, channels, token, outcome })
            }),
            None => {
                let (node, grant) = (self.hub.node.clone(), self.caller.grant.clone());
                self.feed.send_away(async move {
                    let (reader, outcome) = match node.read(grant, &set, start, now).await {
                        Ok(reader) => (Some(reader), Ok(Joined::Now)),
                        Err(error) => (None, Err(error)),
                    };
                    (reader, Answer::Subscribed { id, channels, token, outcome })
                });
            }
        }
    }

    fn unsubscribe(&mut self, frame: Unsubscribe) {
        let left = parse_set(&frame.channels).and_then(|set| match self.feed.reader() {
            Ok(Some(reader)) => reader.leave(&set).map(|()| reader.cursor()),
            _ => match set.into_iter().next() {
                Some(first) => Err(Error::NotFollowed(first)),
                None => Err(Error::Request("no channel named; name at least one")),
            },
        });
        match left {
            Ok(cursor) => self.confirm(frame.id, frame.channels, cursor),
            Err(error) => self.refuse(Refused::by_core(frame.id, &error)),
        }
    }

    /// Lets the feed write, and answers what it comes back with. `Ready(None)` when the peer is gone.
    fn turn(&mut self, cx: &mut Context<'_>) -> Poll<Option<GoodbyeFrame>> {
        loop {
            let turn = {
                let mut peer = Socket { io: &mut self.io, cx: &mut Context::from_waker(cx.waker()) };
                self.feed.turn(cx, &mut peer)
            };
            match turn {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Turn::Closed) => return Poll::Ready(None),
                Poll::Ready(Turn::Over(goodbye)) => return Poll::Ready(Some(goodbye)),
                Poll::Ready(Turn::Joined(token, cursor)) => {
                    let at = self.tokens.iter().position(|(own, ..)| *own == token);
                    if let Some((_, id, channels)) = at.map(|at| self.tokens.swap_remove(at)) {
                        self.confirm(id, channels, cursor);
                    }
                }
                Poll::Ready(Turn::Subscribed { id, channels, token, outcome }) => match outcome {
                    Ok(Joined::Now) => {
                        let cursor = self.feed.reader().ok().flatten().and_then(|reader| reader.cursor());
                        self.confirm(id, channels, cursor);
                    }
                    Ok(Joined::Later) => self.tokens.push((token, id, channels)),
                    Err(error) => self.refuse(Refused::by_core(id, &error)),
                },
            }
        }
    }

    fn confirm(&mut self, id: Option<u64>, channels: Vec<String>, cursor: Option<Cursor>) {
        let cursor = cursor.map(|cursor| cursor.to_string());
        self.feed.push(&Down::Ok(OkFrame { id, channels: Some(channels), cursor, ..OkFrame::default() }));
    }

    fn refuse(&mut self, refused: Refused) {
        let frame = uplink::refuse(&self.hub, refused);
        self.feed.push(&frame);
    }

    fn say_goodbye(&mut self, cx: &mut Context<'_>, goodbye: GoodbyeFrame) -> Poll<()> {
        let close = self.codec.close(&goodbye);
        self.feed.push(&Down::Goodbye(goodbye));
        self.feed.push_pieces(close);
        self.finish(cx)
    }

    /// Writes what fits of the last bytes. A peer that does not take them now learns the same from the end itself.
    fn finish(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut peer = Socket { io: &mut self.io, cx };
        self.feed.outbox.flush(&mut peer, &mut Tally::default());
        Poll::Ready(())
    }
}

fn parse_set(channels: &[String]) -> Result<Vec<Pattern>, Error> {
    channels.iter().map(|text| Ok(Pattern::parse(text)?)).collect()
}

/// Bytes read at a time; on the stack, so that an idle connection has no read buffer.
const READ_BYTES: usize = 4 * 1024;
/// Publishes and other jobs of one connection that run at the same time. More are read when one has ended.
const JOBS_MAX: usize = 64;
/// Pieces of answers that may wait for a client before it is read from again.
const ANSWERS_MAX: usize = 256;
/// Bytes of them: 256 KiB, a page of history.
const ANSWERS_BYTES_MAX: usize = 256 * 1024;
/// Frames of one client run before others get a turn.
const TURNS_MAX: usize = 32;
/// How long the last bytes may take, milliseconds.
const CLOSE_MS: u64 = 1_000;
/// Longest client id, bytes; a longer one is replaced.
const CLIENT_BYTES_MAX: usize = 64;
