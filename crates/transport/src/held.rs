//! One answer of whatever follows a cursor, now or as soon as there is something: poll and long-poll.

use std::{future::poll_fn, sync::Arc, task::Poll};

use bytes::Bytes;
use sosik_core::{
    Asked, Budget, Cursor, Error, Look, Page, Reader, What,
    limits::{PAGE_BYTES_MAX, PAGE_EVENTS_MAX, SIGNAL_TTL_MS},
};
use sosik_wire::{Answer, Down, Hints, TransportName as Transport};

use crate::{clock::Now, figures::Open, hub::Hub, sweep::Seat};

/// A question that is answered once; an empty answer is an answer too.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) hub: Arc<Hub>,
    open: Open,
    reader: Reader,
    hints: Hints,
    /// When it is answered without news, on the steady clock.
    deadline: u64,
    /// Its place among those who leave a server that stops.
    turn: u16,
    /// What was found before the store had to be asked.
    partly: Option<Box<Partly>>,
}

/// What a look came to.
#[derive(Debug)]
pub(crate) enum Step {
    /// This is the answer.
    Answer(Made),
    /// Nothing follows. Look again when there is news, and not later than this, on the steady clock.
    Wait(u64),
    /// Await [`Held::fetch`], then look again.
    Below,
}

/// An answer as bytes.
#[derive(Debug, Clone)]
pub(crate) struct Made {
    pub(crate) body: Bytes,
    /// What it hands back.
    pub(crate) cursor: Cursor,
    events: u64,
    /// Until when it would be made in the same way, milliseconds since 1970.
    pub(crate) until: u64,
    /// Whether gaps are told in it. Each is counted for who is told it.
    pub(crate) gaps: bool,
}

impl Held {
    /// Waits for at most `wait_ms`.
    pub(crate) fn new(
        hub: &Arc<Hub>,
        transport: Transport,
        reader: Reader,
        wait_ms: u64,
        hints: Hints,
    ) -> Self {
        let open = Open::new(&hub.figures, transport);
        let deadline = hub.clock.steady_ms() + wait_ms;
        Self { hub: hub.clone(), open, reader, hints, deadline, turn: fastrand::u16(..), partly: None }
    }

    /// What there is at once; `None` when it has to be waited for.
    pub(crate) async fn begin(&mut self) -> Result<Option<Made>, Error> {
        loop {
            match self.look()? {
                Step::Answer(made) => return Ok(Some(made)),
                Step::Wait(_) => return Ok(None),
                Step::Below => self.fetch().await?,
            }
        }
    }

    /// The answer, as soon as there is one.
    pub(crate) async fn answer(&mut self) -> Result<Made, Error> {
        let seat = self.sit();
        loop {
            let step = poll_fn(|cx| {
                seat.register(cx);
                match self.look() {
                    Ok(Step::Wait(due)) => {
                        seat.due(due);
                        Poll::Pending
                    }
                    done => Poll::Ready(done),
                }
            });
            if let Step::Answer(made) = step.await? {
                return Ok(made);
            }
            self.fetch().await?;
        }
    }

    /// A place in the lists of all that it follows. Look once more after it was taken.
    pub(crate) fn sit(&self) -> Seat {
        let mut seat = self.hub.sweep.sit();
        seat.follow(self.reader.watches());
        seat
    }

    /// Never waits. Whoever asks the same at the same moment is given the same bytes.
    pub(crate) fn look(&mut self) -> Result<Step, Error> {
        let hub = self.hub.clone();
        let now = Now::of(&*hub.clock);
        let step = match self.reader.asks(now.wall_ms)? {
            Asked::Same(question, moment) if self.partly.is_none() && !hub.is_draining() => {
                hub.sweep.groups.answer(question, self.hints, moment, now.wall_ms, || self.make(now))?
            }
            _ => self.make(now)?,
        };
        if let Step::Answer(made) = &step {
            self.open.delivered(made.events);
        }
        Ok(step)
    }

    /// Reads what the last look found below memory.
    pub(crate) async fn fetch(&mut self) -> Result<(), Error> {
        self.reader.fetch().await
    }

    fn make(&mut self, now: Now) -> Result<Step, Error> {
        let mut partly = self.partly.take().unwrap_or_default();
        match partly.collect(&self.hub, &mut self.reader, now)? {
            Look::Below => {
                self.partly = Some(partly);
                Ok(Step::Below)
            }
            Look::Nothing if partly.answer.frames() == 0 && self.waits(now) => {
                let due = self.reader.due().map_or(u64::MAX, |wall| now.steady_at(wall));
                let deadline = if self.reader.is_ahead() { u64::MAX } else { self.deadline };
                Ok(Step::Wait(deadline.min(due).min(self.hub.leaves_at(self.turn))))
            }
            Look::Nothing | Look::Found => {
                self.hub.figures.answers_made();
                let Partly { answer, events, more, until, gaps } = *partly;
                let cursor = self.reader.cursor().unwrap_or_default();
                let mut hints = self.hints;
                if self.hub.is_draining() {
                    // A list of answers has no goodbye: this spreads the return.
                    hints.rearm_ms = hints.rearm_ms.map(|_| fastrand::u64(0..=self.hub.spread_ms()));
                }
                let body = answer.poll(&cursor, more, hints);
                Ok(Step::Answer(Made { body, cursor, events, until, gaps }))
            }
        }
    }

    fn waits(&self, now: Now) -> bool {
        (now.steady_ms < self.deadline || self.reader.is_ahead())
            && now.steady_ms < self.hub.leaves_at(self.turn)
    }
}

/// An answer as it grows.
#[derive(Debug)]
struct Partly {
    answer: Answer,
    events: u64,
    more: bool,
    until: u64,
    gaps: bool,
}

impl Default for Partly {
    fn default() -> Self {
        Self { answer: Answer::new(), events: 0, more: false, until: u64::MAX, gaps: false }
    }
}

impl Partly {
    /// Takes what is there: `Found` when the answer is full, else why it stopped.
    fn collect(&mut self, hub: &Hub, reader: &mut Reader, now: Now) -> Result<Look, Error> {
        let mut page = Page::default();
        loop {
            let left = Budget {
                events: PAGE_EVENTS_MAX.saturating_sub(self.events as usize),
                bytes: PAGE_BYTES_MAX.saturating_sub(self.answer.bytes()),
            };
            if left.events == 0 || left.bytes == 0 {
                self.more = true;
                return Ok(Look::Found);
            }
            match reader.look(now.wall_ms, left, &mut page)? {
                Look::Found => self.take(hub, reader, &page),
                stop => return Ok(stop),
            }
        }
    }

    fn take(&mut self, hub: &Hub, reader: &mut Reader, page: &Page) {
        for item in &page.items {
            match (&item.what, &item.cursor) {
                (What::Event(event), None) => self.answer.push_event(event),
                (What::Event(event), Some(cursor)) => self.answer.push_event_with(event, cursor),
                (What::Gap(gap), Some(cursor)) => {
                    hub.figures.gap(gap.reason);
                    self.gaps = true;
                    self.answer.push(&Down::gap(gap, cursor));
                }
                // `more` says as much; an answer holds no frame of its connection, so that it can be shared.
                (What::Gap(_) | What::CaughtUp | What::Joined(_), _) => {}
            }
            if let What::Event(event) = &item.what {
                self.events += 1;
                if event.signal {
                    self.until = self.until.min(event.time + SIGNAL_TTL_MS);
                }
            }
        }
        reader.took(page, page.items.len());
    }
}
