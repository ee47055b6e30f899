//! Filling a hole: what follows the last place is read again, by polls, up to the event that showed it.

use std::{fmt, sync::Arc};

use futures_util::future::BoxFuture;
use sosik_wire::{Down, EventFrame, GapFrame, GapReason, decode::Page};
use tokio::time::timeout;

use crate::{
    error::Error,
    start::{Ask, Start},
    target::Target,
    transports::read_page,
};

/// A hole that is being filled.
pub(crate) struct Healing {
    to: Arc<Target>,
    ask: Ask,
    /// The event behind the hole.
    event: EventFrame,
    reading: BoxFuture<'static, Result<Page, Error>>,
}

/// Part of what follows the last place.
#[derive(Debug)]
pub(crate) struct Healed {
    /// Events and gaps that stand before the event behind the hole.
    pub(crate) frames: Vec<Down>,
    /// Whether that event, or the end of what there is, was reached.
    pub(crate) reached: bool,
}

impl Healing {
    /// Begins to read what `ask` asks for.
    pub(crate) fn new(to: Arc<Target>, ask: Ask, event: EventFrame) -> Self {
        let reading = read(to.clone(), ask.clone());
        Self { to, ask, event, reading }
    }

    /// The next part. Dropped while it waits, it has lost nothing.
    pub(crate) async fn next(&mut self) -> Result<Healed, Error> {
        let page = (&mut self.reading).await?;
        let all = page.frames.len();
        let frames: Vec<_> = page.frames.into_iter().take_while(|frame| !self.is_reached_by(frame)).collect();
        let reached = frames.len() < all || !page.more;
        if !reached {
            self.ask.from = Start::After(page.cursor);
            self.reading = read(self.to.clone(), self.ask.clone());
        }
        Ok(Healed { frames, reached })
    }

    /// The event behind the hole.
    pub(crate) fn into_event(self) -> EventFrame {
        self.event
    }

    fn is_reached_by(&self, frame: &Down) -> bool {
        matches!(frame, Down::Event(event) if event.channel == self.event.channel
            && event.epoch == self.event.epoch
            && event.seq >= self.event.seq)
    }
}

impl fmt::Debug for Healing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Healing").field("ask", &self.ask).field("event", &self.event).finish_non_exhaustive()
    }
}

/// What is told of a hole that stays: the events from `expected` up to `event` are gone, whoever lost them.
pub(crate) fn left(event: &EventFrame, expected: u64) -> GapFrame {
    GapFrame {
        channel: event.channel.clone(),
        reason: GapReason::Trimmed,
        epoch: event.epoch.clone(),
        next_seq: Some(event.seq),
        lost: Some(event.seq - expected),
        cursor: event.cursor.clone(),
    }
}

fn read(to: Arc<Target>, ask: Ask) -> BoxFuture<'static, Result<Page, Error>> {
    Box::pin(async move {
        let limit = to.timers.answer;
        timeout(limit, read_page(to, ask)).await.unwrap_or(Err(Error::Silent(limit)))
    })
}
