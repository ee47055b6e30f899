//! A conversation on a socket.

use std::{collections::VecDeque, io, time::Duration};

use sosik_lab::checker::{CursorFrom, Event, Gap, Observed};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::{Instant, sleep_until, timeout},
};

use super::{Ask, Begin, Carrier, Heard, Place, Refusal, Talk, Transcript};

/// A reader's connection over one carrier, or its sequence of requests over a one-shot one.
pub struct Line {
    carrier: &'static dyn Carrier,
    talk: Box<dyn Talk>,
    socket: TcpStream,
    buffer: Box<[u8]>,
    /// Bytes not yet written.
    out: VecDeque<u8>,
    /// What came and was not asked for yet.
    heard: VecDeque<Heard>,
    ask: Ask,
    /// When to ask again, over a one-shot carrier.
    again: Option<Instant>,
    transcript: Transcript,
    /// The number of the open connection in the transcript.
    connection: Option<u64>,
    cursor: Option<String>,
    /// How long a one-shot carrier waits after an answer that had nothing more.
    pub interval: Duration,
}

/// What a line has to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// Something was seen.
    Seen(Observed),
    /// A one-shot answer is complete.
    Answered,
    /// The request was refused.
    Refused(Refusal),
    /// The connection is over.
    Ended,
}

/// How long anything may take before the test fails: the only time that is looked at.
pub const WITHIN: Duration = Duration::from_secs(30);

impl Line {
    /// Connects and asks.
    ///
    /// # Errors
    /// Nobody listens there.
    pub async fn open(carrier: &'static dyn Carrier, place: &Place, ask: Ask, seed: u64) -> io::Result<Self> {
        Self::open_noting(carrier, place, ask, seed, Transcript::default()).await
    }

    /// [`Line::open`] that notes in a transcript of the reader's own.
    ///
    /// # Errors
    /// Nobody listens there.
    pub async fn open_noting(
        carrier: &'static dyn Carrier,
        place: &Place,
        ask: Ask,
        seed: u64,
        transcript: Transcript,
    ) -> io::Result<Self> {
        let mut line = Self::connect(carrier, place, ask, seed, transcript).await?;
        line.ask();
        Ok(line)
    }

    /// Connects and sends these bytes instead of what the carrier would; what comes is still read its way.
    pub async fn raw(carrier: &'static dyn Carrier, place: &Place, bytes: &[u8]) -> Self {
        let ask = Ask::new(&[], Begin::Now);
        let mut line = Self::connect(carrier, place, ask, 1, Transcript::default()).await.unwrap();
        line.socket.write_all(bytes).await.unwrap();
        line
    }

    async fn connect(
        carrier: &'static dyn Carrier,
        place: &Place,
        ask: Ask,
        seed: u64,
        transcript: Transcript,
    ) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        if ask.narrow {
            socket.set_recv_buffer_size(4 * 1024)?;
        }
        let socket = timeout(WITHIN, socket.connect(carrier.addr(place))).await??;
        socket.set_nodelay(true)?;
        let cursor = match &ask.begin {
            Begin::After(cursor) => Some(cursor.clone()),
            _ => None,
        };
        Ok(Self {
            carrier,
            talk: carrier.talk(place, seed),
            socket,
            buffer: vec![0; 16 * 1024].into(),
            out: VecDeque::new(),
            heard: VecDeque::new(),
            ask,
            again: None,
            transcript,
            connection: None,
            cursor,
            interval: Duration::from_millis(if carrier.name() == "poll" { 5 } else { 0 }),
        })
    }

    /// Asks for something else on the same connection, after a refusal.
    pub fn ask_again(&mut self, ask: Ask) {
        self.close();
        self.cursor = None;
        self.ask = ask;
        self.ask();
    }

    fn ask(&mut self) {
        self.connection = Some(self.transcript.opened(self.ask.after()));
        self.out.extend(self.talk.ask(&self.ask));
    }

    /// The carrier it goes over.
    pub fn carrier(&self) -> &'static dyn Carrier {
        self.carrier
    }

    /// The cursor last handed out on it, or the one it was opened with.
    pub fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref()
    }

    /// Sends a frame; two-way carriers only.
    pub fn say(&mut self, frame: &str) {
        self.out.extend(self.talk.say(frame));
    }

    /// Publishes in the conversation; two-way carriers only.
    pub fn publish(&mut self, id: u64, channel: &str, data: &str) {
        self.out.extend(self.talk.publish(id, channel, data));
    }

    /// Sends bytes as they are.
    pub fn push(&mut self, bytes: &[u8]) {
        self.out.extend(bytes);
    }

    /// The next news. Nothing is lost when the future is dropped before it is ready.
    pub async fn next(&mut self) -> News {
        loop {
            if let Some(heard) = self.heard.pop_front() {
                return self.tell(heard);
            }
            if let Some(at) = self.again {
                sleep_until(at).await;
                self.again = None;
                self.ask();
            }
            match timeout(WITHIN, self.turn()).await {
                Ok(Ok(heard)) => self.heard.extend(heard),
                Ok(Err(_)) => {
                    self.close();
                    return News::Ended;
                }
                Err(_) => panic!("nothing came over {} within {WITHIN:?}", self.carrier.name()),
            }
        }
    }

    /// Writes and reads until something came.
    async fn turn(&mut self) -> io::Result<Vec<Heard>> {
        loop {
            let (mut read, mut write) = self.socket.split();
            let count = tokio::select! {
                count = read.read(&mut self.buffer) => count?,
                wrote = write.write(self.out.as_slices().0), if !self.out.is_empty() => {
                    self.out.drain(..wrote?);
                    continue;
                }
            };
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let heard = self.talk.read(&self.buffer[..count]);
            let heard = heard.unwrap_or_else(|torn| panic!("{} {torn}", self.carrier.name()));
            if !heard.is_empty() {
                return Ok(heard);
            }
        }
    }

    fn tell(&mut self, heard: Heard) -> News {
        match heard {
            Heard::Seen(observed) => {
                if let Some(connection) = self.connection {
                    self.transcript.note(connection, observed.clone());
                }
                if let Some(cursor) = cursor_of(&observed) {
                    self.cursor = Some(cursor.to_owned());
                }
                News::Seen(observed)
            }
            Heard::Answered { more } => {
                self.close();
                let begin = self.cursor.clone().map_or_else(|| self.ask.begin.clone(), Begin::After);
                self.ask.begin = begin;
                self.again = Some(Instant::now() + if more { Duration::ZERO } else { self.interval });
                News::Answered
            }
            Heard::Refused(refusal) => {
                self.close();
                News::Refused(refusal)
            }
        }
    }

    fn close(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.transcript.note(connection, Observed::Closed);
        }
    }

    /// The next event; everything else but a gap is passed over.
    pub async fn event(&mut self) -> Event {
        loop {
            match self.next().await {
                News::Seen(Observed::Event(event)) => return event,
                News::Seen(Observed::Gap(gap)) => panic!("a gap where an event was due: {gap:?}"),
                News::Seen(_) | News::Answered => {}
                other => panic!("{other:?} where an event was due"),
            }
        }
    }

    /// The next `count` events.
    pub async fn events(&mut self, count: usize) -> Vec<Event> {
        let mut events = Vec::with_capacity(count);
        while events.len() < count {
            events.push(self.event().await);
        }
        events
    }

    /// The next gap; everything but an event is passed over.
    pub async fn gap(&mut self) -> Gap {
        loop {
            match self.next().await {
                News::Seen(Observed::Gap(gap)) => return gap,
                News::Seen(Observed::Event(event)) => panic!("an event where a gap was due: {event:?}"),
                News::Seen(_) | News::Answered => {}
                other => panic!("{other:?} where a gap was due"),
            }
        }
    }

    /// The next frame of this type that is no event, gap or cursor, as JSON.
    pub async fn frame(&mut self, kind: &str) -> serde_json::Value {
        loop {
            match self.next().await {
                News::Seen(Observed::Other { kind: own, frame }) if own == kind => {
                    return serde_json::from_str(&frame).unwrap_or_default();
                }
                News::Seen(_) | News::Answered => {}
                other => panic!("{other:?} where a {kind} was due"),
            }
        }
    }

    /// Waits until a cursor of this frame was handed out, passing over what comes before.
    pub async fn handed(&mut self, wanted: CursorFrom) -> String {
        loop {
            match self.next().await {
                News::Seen(Observed::Cursor { from, cursor }) if from == wanted => return cursor,
                News::Seen(_) | News::Answered => {}
                other => panic!("{other:?} where a cursor of {wanted:?} was due"),
            }
        }
    }

    /// Waits until the feed is live: it has said so, or its first answer has come.
    pub async fn live(&mut self) {
        loop {
            match self.next().await {
                News::Answered | News::Seen(Observed::Cursor { from: CursorFrom::CaughtUp, .. }) => return,
                News::Seen(_) => {}
                other => panic!("{other:?} where a feed was due"),
            }
        }
    }

    /// What refuses the request: a problem, an `error` frame or a goodbye.
    pub async fn refusal(&mut self) -> Refusal {
        loop {
            match self.next().await {
                News::Refused(refusal) => return refusal,
                News::Seen(Observed::Other { kind, frame }) => {
                    if let Some(refusal) = Refusal::of(&kind, &frame) {
                        return refusal;
                    }
                }
                News::Seen(Observed::Cursor { from: CursorFrom::Welcome, .. }) => {}
                other => panic!("{other:?} where a refusal was due over {}", self.carrier.name()),
            }
        }
    }

    /// Ends with a reset: the peer learns nothing before the error.
    pub fn cut(mut self) {
        self.close();
        self.socket.set_zero_linger().unwrap();
    }

    /// Ends in order, and over WebSocket waits until the server has ended too.
    pub async fn leave(mut self) {
        let mut last: Vec<u8> = self.out.drain(..).collect();
        let farewell = self.talk.farewell();
        last.extend(&farewell);
        let _ = self.socket.write_all(&last).await;
        let _ = self.socket.shutdown().await;
        self.close();
        // Over TCP a client that has sent its last byte may still listen: only closing tells that it does not.
        if !farewell.is_empty() {
            while timeout(WITHIN, self.socket.read(&mut self.buffer))
                .await
                .unwrap()
                .is_ok_and(|count| count > 0)
            {}
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.close();
    }
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at {:?}", self.carrier.name(), self.cursor)
    }
}

fn cursor_of(observed: &Observed) -> Option<&str> {
    match observed {
        Observed::Event(event) => event.cursor.as_deref(),
        Observed::Gap(gap) => gap.cursor.as_deref(),
        Observed::Cursor { cursor, .. } => Some(cursor),
        Observed::Opened { .. } | Observed::Other { .. } | Observed::Closed => None,
    }
}
