//! One connection's own task: reads frames, answers calls, notices silence.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use sosik_wire::{Down, ErrorFrame, EventFrame, GapFrame, OkFrame, TransportName, Up};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep_until, timeout},
};

use crate::{
    backoff::Return,
    error::{Error, Refusal},
    start::Ask,
    target::Target,
    transports::{Carrier, LongPoll, News, Poll, SUBSCRIBE_ID, Sse, Stream, Tcp, WebSocket},
};

/// What a line brings, in order; [`Item::End`] is the last.
#[derive(Debug)]
pub(crate) enum Item {
    Event(EventFrame),
    Gap(GapFrame),
    /// The feed's place, told beside events and gaps. `caught_up` when everything up to it has been brought.
    Place {
        cursor: String,
        caught_up: bool,
    },
    End(End),
}

/// How a line ended.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) error: Error,
    /// When the server wants to see this client again, if it said so.
    pub(crate) advice: Option<Return>,
    pub(crate) lived: Duration,
}

/// A frame to send over a two-way connection, and where its answer goes. Its `id` is set on the way.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) up: Up,
    pub(crate) answer: oneshot::Sender<Result<OkFrame, Error>>,
}

/// Opens a connection and serves it until it ends or nobody takes its items any more.
pub(crate) async fn run(
    to: Arc<Target>,
    transport: TransportName,
    ask: Ask,
    items: mpsc::Sender<Item>,
    calls: mpsc::Receiver<Call>,
) {
    match transport {
        TransportName::Poll => serve::<Poll>(to, ask, items, calls).await,
        TransportName::LongPoll => serve::<LongPoll>(to, ask, items, calls).await,
        TransportName::Stream => serve::<Stream>(to, ask, items, calls).await,
        TransportName::Sse => serve::<Sse>(to, ask, items, calls).await,
        TransportName::WebSocket => serve::<WebSocket>(to, ask, items, calls).await,
        TransportName::Tcp => serve::<Tcp>(to, ask, items, calls).await,
    }
}

async fn serve<C: Carrier>(
    to: Arc<Target>,
    ask: Ask,
    items: mpsc::Sender<Item>,
    mut calls: mpsc::Receiver<Call>,
) {
    let born = Instant::now();
    let limit = to.timers.connect;
    let opened = tokio::select! {
        opened = timeout(limit, C::open(to.clone(), ask)) => opened.unwrap_or_else(|_| Err(late(&to, limit))),
        () = items.closed() => return,
    };
    let end = match opened {
        Err(error) => End { advice: error.advice(), error, lived: Duration::ZERO },
        Ok(carrier) => {
            let mut line = Line::new(&to, carrier);
            match line.serve(&items, &mut calls).await {
                Ok(()) => {
                    // A peer that does not take the farewell goes without.
                    drop(timeout(line.linger, line.carrier.close()).await);
                    return;
                }
                Err(error) => {
                    // What was in front of the end is brought before it.
                    line.answer_rest(&error);
                    line.bring_rest(&items).await;
                    let advice = error.advice().or(line.advice).or_else(|| line.carrier.back());
                    End { error, advice, lived: born.elapsed() }
                }
            }
        }
    };
    calls.close();
    while let Ok(call) = calls.try_recv() {
        // It was not sent, and its caller may have left.
        drop(call.answer.send(Err(Error::Lost(end.error.to_string()))));
    }
    // Nobody may be listening any more.
    drop(items.send(Item::End(end)).await);
}

fn late(to: &Target, limit: Duration) -> Error {
    let reason = format!("no answer within {} ms", limit.as_millis());
    Error::Unreachable { to: to.origin.host.clone(), reason }
}

struct Line<C> {
    carrier: C,
    heartbeat: Duration,
    grace: Duration,
    /// How long to wait for answers after the last item was taken.
    linger: Duration,
    heard: Instant,
    held: VecDeque<Item>,
    pending: HashMap<u64, oneshot::Sender<Result<OkFrame, Error>>>,
    last_id: u64,
    advice: Option<Return>,
}

impl<C: Carrier> Line<C> {
    fn new(to: &Target, carrier: C) -> Self {
        Self {
            carrier,
            heartbeat: to.timers.heartbeat,
            grace: to.timers.grace,
            linger: to.timers.answer,
            heard: Instant::now(),
            held: VecDeque::new(),
            pending: HashMap::new(),
            last_id: SUBSCRIBE_ID,
            advice: None,
        }
    }

    /// Serves until the connection ends, which is an error, or until nobody takes its items and no call waits.
    async fn serve(
        &mut self,
        items: &mpsc::Sender<Item>,
        calls: &mut mpsc::Receiver<Call>,
    ) -> Result<(), Error> {
        let mut calls_open = true;
        loop {
            if items.is_closed() {
                return self.linger(calls).await;
            }
            let may_read = self.may_read();
            let silent_at = self.heard + self.carrier.patience(self.heartbeat) + self.grace;
            tokio::select! {
                permit = items.reserve(), if !self.held.is_empty() => {
                    if let (Ok(permit), Some(item)) = (permit, self.held.pop_front()) {
                        permit.send(item);
                    }
                }
                () = items.closed(), if self.held.is_empty() => {}
                came = self.carrier.more(), if may_read => {
                    came?;
                    self.heard = Instant::now();
                    self.take()?;
                }
                call = calls.recv(), if calls_open => match call {
                    Some(call) => self.call(call).await?,
                    None => calls_open = false,
                },
                () = sleep_until(silent_at), if may_read => {
                    return Err(Error::Silent(self.heard.elapsed()));
                }
            }
            if !may_read {
                // Nobody listened to the connection, so its silence means nothing.
                self.heard = Instant::now();
            }
        }
    }

    /// Whether there is room for more. A call that waits for its answer makes some: its caller may be the one who takes
    /// the items, and the answer stands behind them.
    fn may_read(&self) -> bool {
        self.held.len() < if self.pending.is_empty() { HELD_MAX } else { HELD_MAX_IN_CALL }
    }

    /// Reads on for the answers of calls that wait, and throws everything else away.
    async fn linger(&mut self, calls: &mut mpsc::Receiver<Call>) -> Result<(), Error> {
        calls.close();
        while let Some(call) = calls.recv().await {
            self.call(call).await?;
        }
        let until = Instant::now() + self.linger;
        while !self.pending.is_empty() {
            self.held.clear();
            tokio::select! {
                came = self.carrier.more() => came?,
                () = sleep_until(until) => return Ok(()),
            }
            self.take()?;
        }
        Ok(())
    }

    /// Who waits for an answer is told when to come back, if the server said so. Whoever hears nothing knows that the
    /// connection ended.
    fn answer_rest(&mut self, error: &Error) {
        for (_, waits) in self.pending.drain() {
            if let Error::Goodbye(_) = error {
                drop(waits.send(Err(error.clone())));
            }
        }
    }

    async fn bring_rest(&mut self, items: &mpsc::Sender<Item>) {
        for item in self.held.drain(..) {
            if items.send(item).await.is_err() {
                return;
            }
        }
    }

    async fn call(&mut self, mut call: Call) -> Result<(), Error> {
        self.last_id += 1;
        set_id(&mut call.up, self.last_id);
        match timeout(self.linger, self.carrier.send(&call.up)).await {
            Ok(Ok(())) => {
                self.pending.insert(self.last_id, call.answer);
                Ok(())
            }
            // The frame's fault, not the connection's; the caller may have left.
            Ok(Err(error @ (Error::Payload(_) | Error::Option(_)))) => {
                drop(call.answer.send(Err(error)));
                Ok(())
            }
            Ok(Err(error)) => Err(error),
            Err(_) => Err(Error::Silent(self.linger)),
        }
    }

    /// Takes everything that came.
    fn take(&mut self) -> Result<(), Error> {
        while let Some(news) = self.carrier.next()? {
            match news {
                News::CaughtUp(cursor) => self.held.push_back(Item::Place { cursor, caught_up: true }),
                News::Frame(down) => self.frame(down)?,
            }
        }
        Ok(())
    }

    fn frame(&mut self, down: Down) -> Result<(), Error> {
        match down {
            Down::Event(event) => self.held.push_back(Item::Event(event)),
            Down::Gap(gap) => self.held.push_back(Item::Gap(gap)),
            Down::CaughtUp(frame) => {
                self.held.push_back(Item::Place { cursor: frame.cursor, caught_up: true });
            }
            Down::Welcome(welcome) => {
                self.beat(Some(welcome.heartbeat_ms));
                self.place(welcome.cursor);
            }
            Down::Ok(ok) if ok.id == Some(SUBSCRIBE_ID) => self.place(ok.cursor),
            Down::Ok(ok) => self.answer(ok.id, Ok(ok)),
            Down::Error(error) if error.id.is_none_or(|id| id == SUBSCRIBE_ID) => {
                return Err(Error::Refused(refusal(error)));
            }
            Down::Error(error) => self.answer(error.id, Err(Error::Refused(refusal(error)))),
            Down::Advice(advice) => {
                self.beat(advice.heartbeat_ms);
                if advice.after_ms.is_some() || advice.spread_ms.is_some() {
                    let ms = |ms: Option<u64>| Duration::from_millis(ms.unwrap_or_default());
                    self.advice = Some(Return { after: ms(advice.after_ms), spread: ms(advice.spread_ms) });
                }
                self.carrier.advise(&advice);
            }
            Down::Goodbye(goodbye) => return Err(Error::Goodbye(goodbye)),
            // A sign of life, or of a later version.
            _ => {}
        }
        Ok(())
    }

    fn beat(&mut self, ms: Option<u64>) {
        if let Some(ms) = ms.filter(|&ms| ms > 0) {
            self.heartbeat = Duration::from_millis(ms);
        }
    }

    fn place(&mut self, cursor: Option<String>) {
        self.held.extend(cursor.map(|cursor| Item::Place { cursor, caught_up: false }));
    }

    fn answer(&mut self, id: Option<u64>, answer: Result<OkFrame, Error>) {
        if let Some(waits) = id.and_then(|id| self.pending.remove(&id)) {
            // The caller may have given up.
            drop(waits.send(answer));
        }
    }
}

/// What an error frame says.
pub(crate) fn refusal(frame: ErrorFrame) -> Refusal {
    let status = sosik_wire::Code::from_name(&frame.code).map_or(0, sosik_wire::Code::http_status);
    Refusal {
        code: frame.code.into_owned(),
        message: frame.message,
        status,
        retry: frame.retry,
        retry_after: frame.retry.then(|| Duration::from_millis(frame.retry_after_ms)),
        expected: frame.expected,
    }
}

fn set_id(up: &mut Up, id: u64) {
    match up {
        Up::Subscribe(frame) => frame.id = Some(id),
        Up::Unsubscribe(frame) => frame.id = Some(id),
        Up::Publish(frame) => frame.id = Some(id),
        Up::History(frame) => frame.id = Some(id),
        Up::Ping(frame) => frame.id = Some(id),
        _ => {}
    }
}

/// How many items wait for a reader that is slow; then the socket waits too, and the server.
const HELD_MAX: usize = 64;
/// The same while a call waits for its answer.
const HELD_MAX_IN_CALL: usize = 8_192;

#[cfg(test)]
mod tests;
