//! A following: one ordered row of deliveries over whatever connections it takes.

mod filling;

use std::{collections::VecDeque, sync::Arc, time::Duration};

use sosik_wire::{CaughtUp, EventFrame, GapFrame, TransportName};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep_until},
};

use crate::{
    backoff::Backoff,
    client::Client,
    dedupe::{Dedupe, Verdict},
    delivery::{Counts, Delivery, Interruption},
    error::Error,
    gap::{GapPolicy, OnGap},
    heal::{Healed, Healing},
    line::{self, Call, End, Item},
    start::{Ask, Start},
    uplink::Uplink,
};

/// The events of a set of channels, in order and each once; made by [`Client::follow`]. Dropping it closes its
/// connections.
#[derive(Debug)]
pub struct Following {
    client: Client,
    channels: Arc<[String]>,
    on_gap: Box<dyn OnGap>,
    dedupe: Dedupe,
    backoff: Backoff,
    uplink: Uplink,
    counts: Counts,
    /// The place up to which everything was delivered.
    cursor: Option<String>,
    /// The connection that is the client's; `None` between two attempts.
    current: Option<Link>,
    /// The connection that is to take its place.
    coming: Option<Link>,
    /// What the next attempt does: over which transport, from where, and when.
    transport: TransportName,
    from: Start,
    due: Instant,
    /// A hole that is being filled; until it is, nothing else is taken.
    healing: Option<(Side, Box<Healing>)>,
    /// Deliveries in front of what the connections bring.
    ready: VecDeque<Ready>,
    ended: Option<Error>,
    tasks: JoinSet<()>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Side {
    Current,
    Coming,
}

/// The following's end of a connection.
#[derive(Debug)]
struct Link {
    transport: TransportName,
    /// Where it began, then its own place: only its own frames move it.
    place: Start,
    caught_up: bool,
    /// Whether anything came over it.
    open: bool,
    items: mpsc::Receiver<Item>,
    calls: mpsc::Sender<Call>,
}

#[derive(Debug)]
enum Ready {
    Tell(Delivery),
    Gap(GapFrame),
    /// The place moves and nothing is delivered.
    Place(String),
    Fail(Error),
}

enum Turn {
    Item(Side, Option<Item>),
    Healed(Result<Healed, Error>),
    Reopen,
}

impl Following {
    pub(crate) fn new(
        client: Client,
        channels: Arc<[String]>,
        from: Start,
        transport: TransportName,
        on_gap: Box<dyn OnGap>,
    ) -> Self {
        let uplink = Uplink::new(client.clone());
        Self {
            client,
            channels,
            on_gap,
            dedupe: Dedupe::new(),
            backoff: Backoff::default(),
            uplink,
            counts: Counts::default(),
            cursor: if let Start::After(cursor) = &from { Some(cursor.clone()) } else { None },
            current: None,
            coming: None,
            transport,
            from,
            due: Instant::now(),
            healing: None,
            ready: VecDeque::new(),
            ended: None,
            tasks: JoinSet::new(),
        }
    }

    /// The next delivery. It may be dropped while it waits, as in `select!`: nothing is lost. Errors are final: the
    /// server refused for good ([`Error::Refused`], [`Error::Goodbye`]), or a gap met [`GapPolicy::Stop`]; asking again
    /// gives the same one. Everything else is told by [`Delivery::Interrupted`] and tried again.
    pub async fn next(&mut self) -> Result<Delivery, Error> {
        loop {
            if let Some(error) = &self.ended {
                return Err(error.clone());
            }
            if let Some(ready) = self.ready.pop_front() {
                if let Some(delivery) = self.deliver(ready) {
                    return Ok(delivery);
                }
                continue;
            }
            match self.turn().await {
                Turn::Reopen => self.current = Some(self.open(self.transport)),
                Turn::Item(side, Some(item)) => self.take(side, item),
                Turn::Item(side, None) => {
                    let error = Error::Lost("its task ended".to_owned());
                    self.end(side, End { error, advice: None, lived: Duration::ZERO });
                }
                Turn::Healed(healed) => self.healed(healed),
            }
        }
    }

    /// Goes over to another transport without a pause: it is opened from the present place, both may deliver for a
    /// while, repeats are dropped, and the old connection is closed when the new one has delivered an event or is caught
    /// up. Then [`Delivery::Connected`] comes, or [`Delivery::NotChanged`] if it failed. Between two attempts to
    /// connect, the next one takes the new transport, at once. A change that is under way is given up for this one.
    pub fn change(&mut self, to: TransportName) {
        self.coming = None;
        if matches!(self.healing, Some((Side::Coming, _))) {
            self.healing = None;
        }
        match &self.current {
            None => {
                self.transport = to;
                self.due = Instant::now();
            }
            Some(_) => self.coming = Some(self.open(to)),
        }
    }

    /// The transport in use, or to be used by the next attempt to connect.
    pub fn transport(&self) -> TransportName {
        self.transport
    }

    /// The place up to which everything was delivered, for [`Start::After`]; `None` before the server has told one.
    /// Stored together with what the application makes of the events, it makes each count once even over a restart.
    pub fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref()
    }

    /// What happened so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// A handle to publish with, over the same connection where it carries frames up.
    pub fn uplink(&self) -> Uplink {
        self.uplink.clone()
    }

    /// Says farewell and closes; waits at most 1 s for the peer.
    pub async fn close(mut self) {
        (self.current, self.coming) = (None, None);
        let all = async { while self.tasks.join_next().await.is_some() {} };
        drop(tokio::time::timeout(FAREWELL, all).await);
    }

    async fn turn(&mut self) -> Turn {
        if let Some((_, healing)) = &mut self.healing {
            return Turn::Healed(healing.next().await);
        }
        let (no_current, no_coming) = (self.current.is_none(), self.coming.is_none());
        tokio::select! {
            item = recv(&mut self.current), if !no_current => Turn::Item(Side::Current, item),
            item = recv(&mut self.coming), if !no_coming => Turn::Item(Side::Coming, item),
            () = sleep_until(self.due), if no_current && no_coming => Turn::Reopen,
        }
    }

    fn open(&mut self, transport: TransportName) -> Link {
        while self.tasks.try_join_next().is_some() {}
        let place = self.current.as_ref().map_or(&self.from, |link| &link.place).clone();
        let ask = Ask { channels: self.channels.clone(), from: place.clone() };
        let (put, items) = mpsc::channel(1);
        let (calls, called) = mpsc::channel(CALLS_MAX);
        self.tasks.spawn(line::run(self.client.target().clone(), transport, ask, put, called));
        Link { transport, place, caught_up: false, open: false, items, calls }
    }

    fn link(&mut self, side: Side) -> Option<&mut Link> {
        match side {
            Side::Current => self.current.as_mut(),
            Side::Coming => self.coming.as_mut(),
        }
    }

    fn take(&mut self, side: Side, item: Item) {
        if let Item::End(end) = item {
            return self.end(side, end);
        }
        self.opened(side);
        match item {
            Item::Event(event) => match self.dedupe.event(&event) {
                Verdict::New => self.event(side, event),
                Verdict::Repeat => self.counts.repeats += 1,
                Verdict::Hole { .. } => self.heal(side, event),
            },
            Item::Gap(gap) => {
                if self.dedupe.gap(&gap) {
                    self.moved(side, gap.cursor.clone());
                    self.promote(side);
                    self.ready.push_back(Ready::Gap(gap));
                }
            }
            Item::Place { cursor, caught_up } => {
                self.moved(side, cursor.clone());
                if caught_up {
                    self.caught_up(side, cursor);
                } else if side == Side::Current {
                    self.ready.push_back(Ready::Place(cursor));
                }
            }
            Item::End(_) => {}
        }
    }

    fn event(&mut self, side: Side, event: EventFrame) {
        self.moved(side, event.cursor.clone());
        self.promote(side);
        self.ready.push_back(Ready::Tell(Delivery::Event(event)));
    }

    fn moved(&mut self, side: Side, cursor: String) {
        if let Some(link) = self.link(side) {
            link.place = Start::After(cursor);
        }
    }

    fn caught_up(&mut self, side: Side, cursor: String) {
        let first = self.link(side).is_some_and(|link| !std::mem::replace(&mut link.caught_up, true));
        self.promote(side);
        let told =
            if first { Ready::Tell(Delivery::CaughtUp(CaughtUp { cursor })) } else { Ready::Place(cursor) };
        self.ready.push_back(told);
    }

    /// The first sign of a connection.
    fn opened(&mut self, side: Side) {
        let Some(link) = self.link(side) else { return };
        let first = !std::mem::replace(&mut link.open, true);
        if first && side == Side::Current {
            self.lead();
        }
    }

    /// The coming connection takes over: it has delivered, or is caught up.
    fn promote(&mut self, side: Side) {
        if side == Side::Coming
            && let Some(link) = self.coming.take()
        {
            self.current = Some(link);
            self.lead();
        }
    }

    /// Makes the current connection the one that is told of and published over.
    fn lead(&mut self) {
        let Some(link) = &self.current else { return };
        self.transport = link.transport;
        self.uplink.lead_over(link.transport.two_way().then(|| link.calls.clone()));
        self.ready.push_back(Ready::Tell(Delivery::Connected(link.transport)));
    }

    fn end(&mut self, side: Side, end: End) {
        let End { error, advice, lived } = end;
        match side {
            Side::Coming => {
                if let Some(link) = self.coming.take() {
                    let told = Interruption { transport: link.transport, error, again_in: Duration::ZERO };
                    self.ready.push_back(Ready::Tell(Delivery::NotChanged(told)));
                }
                if self.current.is_none() {
                    self.due = Instant::now() + self.backoff.delay(advice, fastrand::f64());
                }
            }
            Side::Current => {
                let Some(link) = self.current.take() else { return };
                self.uplink.lead_over(None);
                self.from = link.place;
                if !error.retry() {
                    self.ready.push_back(Ready::Fail(error));
                    return;
                }
                self.counts.interruptions += 1;
                self.backoff.lived(lived);
                let again_in = self.backoff.delay(advice, fastrand::f64());
                self.due = Instant::now() + again_in;
                let told = Interruption { transport: link.transport, error, again_in };
                self.ready.push_back(Ready::Tell(Delivery::Interrupted(told)));
            }
        }
    }

    fn deliver(&mut self, ready: Ready) -> Option<Delivery> {
        match ready {
            Ready::Tell(delivery) => {
                match &delivery {
                    Delivery::Event(event) => {
                        self.counts.events += 1;
                        self.cursor = Some(event.cursor.clone());
                    }
                    Delivery::CaughtUp(frame) => self.cursor = Some(frame.cursor.clone()),
                    _ => {}
                }
                Some(delivery)
            }
            Ready::Place(cursor) => {
                self.cursor = Some(cursor);
                None
            }
            Ready::Fail(error) => {
                self.ended = Some(error);
                None
            }
            Ready::Gap(gap) => {
                self.counts.gaps += 1;
                self.cursor = Some(gap.cursor.clone());
                match self.on_gap.on_gap(&gap) {
                    GapPolicy::Tell => Some(Delivery::Gap(gap)),
                    GapPolicy::Skip => None,
                    GapPolicy::Stop => {
                        (self.current, self.coming) = (None, None);
                        self.ended = Some(Error::Gap(gap));
                        None
                    }
                }
            }
        }
    }
}

async fn recv(link: &mut Option<Link>) -> Option<Item> {
    link.as_mut()?.items.recv().await
}

/// How many calls wait to be sent over a connection.
const CALLS_MAX: usize = 64;
const FAREWELL: Duration = Duration::from_secs(1);
