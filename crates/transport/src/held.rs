//! One answer of whatever follows a cursor, now or as soon as there is something: poll and long-poll.

use std::{future::poll_fn, sync::Arc, task::Poll};

use axum::response::Response;
use sosik_core::{
    Budget, Error, Look, Page, Reader, What,
    limits::{PAGE_BYTES_MAX, PAGE_EVENTS_MAX},
};
use sosik_wire::{Answer, Down, Hints, Refused, TransportName as Transport};

use crate::{figures::Open, http::json, hub::Hub};

/// Collects what follows, for at most `wait_ms`; an empty answer is an answer too.
pub(crate) async fn answer(
    hub: &Arc<Hub>,
    transport: Transport,
    mut reader: Reader,
    wait_ms: u64,
    mut hints: Hints,
    cache: &'static str,
) -> Result<(Response, String), Refused> {
    let open = Open::new(&hub.figures, transport);
    let mut held = Held { answer: Answer::new(), events: 0, more: false };
    let mut seat = hub.sweep.sit();
    seat.follow(reader.watches());
    let deadline = hub.clock.steady_ms() + wait_ms;
    let turn = fastrand::u16(..);
    loop {
        let step = poll_fn(|cx| {
            seat.register(cx);
            let steady = hub.clock.steady_ms();
            let found = held.collect(hub, &mut reader);
            match found {
                Ok(Look::Nothing)
                    if held.answer.frames() == 0
                        && (steady < deadline || reader.is_ahead())
                        && steady < hub.leaves_at(turn) =>
                {
                    let due = reader.due().map(|wall| steady + wall.saturating_sub(hub.clock.wall_ms()));
                    let deadline = if reader.is_ahead() { u64::MAX } else { deadline };
                    seat.due(deadline.min(due.unwrap_or(u64::MAX)).min(hub.leaves_at(turn)));
                    Poll::Pending
                }
                found => Poll::Ready(found),
            }
        });
        match step.await.map_err(|error| Refused::by_core(None, &error))? {
            Look::Below => reader.fetch().await.map_err(|error| Refused::by_core(None, &error))?,
            Look::Nothing | Look::Found => break,
        }
    }
    open.delivered(held.events);
    if hub.is_draining() {
        // A list of answers has no goodbye: this spreads the return.
        hints.rearm_ms = hints.rearm_ms.map(|_| fastrand::u64(0..=hub.spread_ms()));
    }
    let cursor = reader.cursor().unwrap_or_default();
    Ok((json(held.answer.poll(&cursor, held.more, hints), cache), cursor.to_string()))
}

struct Held {
    answer: Answer,
    events: u64,
    more: bool,
}

impl Held {
    /// Takes what is there: `Found` when the answer is full, else why it stopped.
    fn collect(&mut self, hub: &Hub, reader: &mut Reader) -> Result<Look, Error> {
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
            match reader.look(hub.clock.wall_ms(), left, &mut page)? {
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
                    self.answer.push(&Down::gap(gap, cursor));
                }
                // `more` says as much; an answer holds no frame of its connection, so that it can be shared.
                (What::Gap(_) | What::CaughtUp | What::Joined(_), _) => {}
            }
            self.events += u64::from(matches!(item.what, What::Event(_)));
        }
        reader.took(page, page.items.len());
    }
}
