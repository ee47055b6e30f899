//! A connection that carries frames both ways: what WebSocket and TCP share.
//!
//! One future per connection. It reads what the client sends, runs what must wait beside the reading, and lets the feed
//! write. A client that does not read its answers is not read from.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use smallvec::SmallVec;
use sosik_core::{Cursor, Error, Joined, Pattern, Start};
use sosik_wire::{
    Down, Goodbye, GoodbyeFrame, Hello, OkFrame, Refused, Subscribe, TransportName as Transport, Unsubscribe,
    Up,
};
use tokio::io::{AsyncRead, ReadBuf};

use crate::{
    clock::Now,
    close::Work,
    connection::Connection,
    feed::{Answer, Feed, Place, Turn},
    form::{Form, Pieces},
    http::{short, welcome},
    hub::{Caller, Hub},
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

/// A connection and what it is at.
pub(crate) struct Duplex<C> {
    feed: Feed,
    talk: Talk<C>,
}

impl<C: Codec> Duplex<C> {
    /// Over `connection`, to which `first` is written before all frames.
    pub(crate) fn new(
        hub: &Arc<Hub>,
        caller: Caller,
        connection: Connection,
        codec: C,
        transport: Transport,
        form: Form,
        first: Pieces,
    ) -> Self {
        let feed = Feed::new(hub, transport, form, Some(connection));
        {
            let mut place = feed.place();
            place.due = hub.clock.steady_ms() + hub.settings.hello_ms;
            place.push_pieces(first);
        }
        let talk = Talk {
            hub: hub.clone(),
            caller,
            codec,
            greeted: false,
            input_ended: false,
            ending: None,
            waiting: None,
            jobs: None,
            tokens: Vec::new(),
            next_token: 0,
        };
        Self { feed, talk }
    }
}

impl<C: Codec + Unpin> Work for Duplex<C> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Connection>> {
        let Self { feed, talk } = self;
        for _ in 0..TURNS_MAX {
            let answers = talk.answers(cx);
            let mut place = feed.place();
            answers.iter().for_each(|answer| place.push(answer));
            if let Some(goodbye) = talk.ending.take_if(|_| talk.jobs.is_none()) {
                let close = talk.codec.close(&goodbye);
                place.push(&Down::Goodbye(*goodbye));
                place.push_pieces(close);
                drop(place);
                return Poll::Ready(feed.finish(cx));
            } else if talk.ending.is_some() {
                return Poll::Pending;
            }
            let read = talk.read(&mut place, cx);
            if let Read::Closed = read {
                drop(place);
                return Poll::Ready(feed.finish(cx));
            }
            let held_up = talk.is_held_up(&mut place);
            drop(place);
            let ending = match talk.turn(feed, cx) {
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Ready(goodbye) => goodbye,
                Poll::Pending => None,
            };
            talk.ending = ending.map(Box::new);
            match read {
                _ if talk.ending.is_some() => {}
                Read::Fatal(goodbye) => talk.ending = Some(Box::new(goodbye.frame())),
                Read::One => {}
                // The turn has made room: the socket was not asked, so nothing but this reads on.
                Read::Nothing if held_up && !talk.is_held_up(&mut feed.place()) => {}
                Read::Nothing | Read::Closed => return talk.rest(&mut feed.place()),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// What is said on a connection: the side of its task alone.
struct Talk<C> {
    hub: Arc<Hub>,
    caller: Caller,
    codec: C,
    greeted: bool,
    input_ended: bool,
    /// How it ends, once everything that was begun is answered. Nothing is read any more.
    ending: Option<Box<GoodbyeFrame>>,
    /// A frame that needs the reader while it is away.
    waiting: Option<Box<Up>>,
    /// What runs beside the reading; nothing is held for it while nothing runs.
    jobs: Option<Box<Jobs>>,
    /// Joins that wait for their backlog: token, id, channels.
    tokens: Vec<(u64, Option<u64>, Vec<String>)>,
    next_token: u64,
}

type Jobs = FuturesUnordered<Pin<Box<dyn Future<Output = Down> + Send>>>;

impl<C: Codec> Talk<C> {
    /// What the jobs came to. They run with the feed's place unlocked.
    fn answers(&mut self, cx: &mut Context<'_>) -> SmallVec<[Down; 1]> {
        let mut answers = SmallVec::new();
        if let Some(jobs) = &mut self.jobs {
            while let Poll::Ready(Some(answer)) = jobs.poll_next_unpin(cx) {
                answers.push(answer);
            }
        }
        if self.jobs.as_ref().is_some_and(|jobs| jobs.is_empty()) {
            self.jobs = None;
        }
        answers
    }

    /// Nothing to do now; ends the connection when nothing can come any more.
    fn rest(&mut self, place: &mut Place) -> Poll<Option<Connection>> {
        let busy = self.jobs.is_some() || !place.outbox.is_empty() || self.waiting.is_some();
        let listens = self.codec.listens_after_end() && !matches!(place.reader(), Ok(None));
        if self.input_ended && !busy && !listens {
            return Poll::Ready(place.connection.take());
        }
        if place.is_stalled(&self.hub) {
            return Poll::Ready(None);
        }
        Poll::Pending
    }

    /// Reads and runs one frame.
    fn read(&mut self, place: &mut Place, cx: &mut Context<'_>) -> Read {
        if !self.greeted && self.hub.clock.steady_ms() >= place.due {
            return Read::Fatal(Goodbye::BadRequest);
        }
        if let Some(frame) = self.waiting.take() {
            self.run(place, *frame);
        }
        loop {
            let leaves = self.hub.is_draining() && place.leaves(&self.hub, Now::of(&*self.hub.clock));
            if leaves || self.is_held_up(place) {
                return Read::Nothing;
            }
            let mut control = Vec::new();
            let next = self.codec.next(&mut control);
            control.into_iter().for_each(|pieces| place.push_pieces(pieces));
            match next {
                Some(Inbound::Frame(text)) => return self.accept(place, &text),
                Some(Inbound::Bad(refused)) => {
                    self.refuse(place, refused);
                    return Read::One;
                }
                Some(Inbound::Fatal(goodbye)) => return Read::Fatal(goodbye),
                Some(Inbound::Closed) => return Read::Closed,
                None if self.input_ended => return Read::Nothing,
                None => {}
            }
            let Some(connection) = &mut place.connection else { return Read::Closed };
            let mut scratch = [0; READ_BYTES];
            let mut buffer = ReadBuf::new(&mut scratch);
            match Pin::new(connection).poll_read(cx, &mut buffer) {
                Poll::Pending => return Read::Nothing,
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => self.codec.feed(buffer.filled()),
                Poll::Ready(Ok(())) => self.input_ended = true,
                // A reset ends both ways: nobody listens any more, and no heartbeat has to find that out.
                Poll::Ready(Err(_)) => return Read::Closed,
            }
        }
    }

    /// Whether something must go on before more is read.
    fn is_held_up(&mut self, place: &mut Place) -> bool {
        let waits = self.waiting.is_some() && place.reader().is_err();
        let outbox = &place.outbox;
        waits
            || self.jobs.as_ref().is_some_and(|jobs| jobs.len() >= JOBS_MAX)
            || outbox.len() >= ANSWERS_MAX
            || outbox.bytes() >= ANSWERS_BYTES_MAX
    }

    /// A frame's text, in order of arrival.
    fn accept(&mut self, place: &mut Place, text: &str) -> Read {
        match Up::parse(text) {
            Ok(Up::Hello(hello)) if !self.greeted => self.greet(place, hello),
            Ok(Up::Hello(_)) => {
                self.refuse(place, Refused::by_core(None, &Error::Request("hello was said already")))
            }
            Ok(_) if !self.greeted => return Read::Fatal(Goodbye::BadRequest),
            Ok(frame) => self.run(place, frame),
            Err(refused) if self.greeted => self.refuse(place, refused),
            Err(refused) => {
                let goodbye = match refused.code {
                    sosik_wire::Code::Version => Goodbye::Version,
                    _ => Goodbye::BadRequest,
                };
                self.refuse(place, refused);
                return Read::Fatal(goodbye);
            }
        }
        Read::One
    }

    fn greet(&mut self, place: &mut Place, hello: Hello) {
        self.greeted = true;
        place.due = u64::MAX;
        let client = hello.client.filter(|client| !client.is_empty() && client.len() <= CLIENT_BYTES_MAX);
        place.push(&Down::Welcome(welcome(&self.hub, client, None)));
    }

    fn run(&mut self, place: &mut Place, frame: Up) {
        match frame {
            Up::Subscribe(_) | Up::Unsubscribe(_) if place.reader().is_err() => {
                self.waiting = Some(Box::new(frame))
            }
            Up::Subscribe(frame) => self.subscribe(place, frame),
            Up::Unsubscribe(frame) => self.unsubscribe(place, frame),
            frame => {
                let job = uplink::answer(self.hub.clone(), self.caller.clone(), frame);
                self.jobs.get_or_insert_default().push(Box::pin(job));
            }
        }
    }

    fn subscribe(&mut self, place: &mut Place, frame: Subscribe) {
        let parsed = parse_set(&frame.channels)
            .and_then(|set| Ok((set, Start::parse(frame.after.as_deref(), frame.last)?)));
        let (set, start) = match parsed {
            Ok(parsed) => parsed,
            Err(error) => return self.refuse(place, Refused::by_core(frame.id, &error)),
        };
        let (id, channels) = (frame.id, frame.channels);
        self.next_token += 1;
        let (token, now) = (self.next_token, self.hub.clock.wall_ms());
        match place.take_reader() {
            Some(mut reader) => place.send_away(async move {
                let outcome = reader.join(&set, start, now, token).await;
                (Some(reader), Answer::Subscribed { id, channels, token, outcome })
            }),
            None if self.hub.is_short() => self.refuse(place, short(id)),
            None => {
                let (node, grant) = (self.hub.node.clone(), self.caller.grant.clone());
                place.send_away(async move {
                    let (reader, outcome) = match node.read(grant, &set, start, now).await {
                        Ok(reader) => (Some(reader), Ok(Joined::Now)),
                        Err(error) => (None, Err(error)),
                    };
                    (reader, Answer::Subscribed { id, channels, token, outcome })
                });
            }
        }
    }

    fn unsubscribe(&mut self, place: &mut Place, frame: Unsubscribe) {
        let left = parse_set(&frame.channels).and_then(|set| match place.reader() {
            Ok(Some(reader)) => reader.leave(&set).map(|()| reader.cursor()),
            _ => match set.into_iter().next() {
                Some(first) => Err(Error::NotFollowed(first)),
                None => Err(Error::Request("no channel named; name at least one")),
            },
        });
        match left {
            Ok(cursor) => place.push(&confirmed(frame.id, frame.channels, cursor)),
            Err(error) => self.refuse(place, Refused::by_core(frame.id, &error)),
        }
    }

    /// Lets the feed write, and answers what it comes back with. `Ready(None)` when the peer is gone.
    fn turn(&mut self, feed: &mut Feed, cx: &Context<'_>) -> Poll<Option<GoodbyeFrame>> {
        loop {
            match feed.turn(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Turn::Closed) => return Poll::Ready(None),
                Poll::Ready(Turn::Over(goodbye)) => return Poll::Ready(Some(goodbye)),
                Poll::Ready(Turn::Joined(token, cursor)) => {
                    let at = self.tokens.iter().position(|(own, ..)| *own == token);
                    if let Some((_, id, channels)) = at.map(|at| self.tokens.swap_remove(at)) {
                        feed.push(&confirmed(id, channels, cursor));
                    }
                }
                Poll::Ready(Turn::Subscribed { id, channels, token, outcome }) => match outcome {
                    Ok(Joined::Now) => {
                        let mut place = feed.place();
                        let cursor = place.reader().ok().flatten().and_then(|reader| reader.cursor());
                        place.push(&confirmed(id, channels, cursor));
                    }
                    Ok(Joined::Later) => self.tokens.push((token, id, channels)),
                    Err(error) => self.refuse(&mut feed.place(), Refused::by_core(id, &error)),
                },
            }
        }
    }

    fn refuse(&self, place: &mut Place, refused: Refused) {
        place.push(&uplink::refuse(&self.hub, refused));
    }
}

fn confirmed(id: Option<u64>, channels: Vec<String>, cursor: Option<Cursor>) -> Down {
    let cursor = cursor.map(|cursor| cursor.to_string());
    Down::Ok(OkFrame { id, channels: Some(channels), cursor, ..OkFrame::default() })
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
/// Longest client id, bytes; a longer one is replaced.
const CLIENT_BYTES_MAX: usize = 64;
