//! Pages of one channel's past. They never move a reader's cursor.

use std::sync::Arc;

use crate::{
    cursor::{Cursor, Part, Position},
    error::Error,
    event::{Event, Gap, GapReason},
    grant::{Grant, Verb},
    life::Life,
    limits::{PAGE_BYTES_MAX, PAGE_EVENTS_MAX},
    name::{ChannelName, Pattern},
    node::Node,
    store::{Page, PageLimit, Stored},
};

/// Which page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Side {
    /// The newest events below this place; without a cursor, the newest of all.
    Before(Option<Cursor>),
    /// The oldest events above this place.
    After(Cursor),
}

/// One page of a channel's past, oldest event first.
#[derive(Debug)]
pub struct History {
    /// Events that the page would begin with and that are gone.
    pub gap: Option<Gap>,
    /// What is kept, oldest first.
    pub events: Vec<Arc<Event>>,
    /// Where to go on in the same direction.
    pub cursor: Cursor,
    /// Whether there is more in that direction.
    pub more: bool,
}

impl Node {
    /// Reads a page of `channel`'s kept events, at most `limit` (1 to 256) of them.
    pub async fn history(
        &self,
        grant: &Grant,
        channel: &ChannelName,
        side: Side,
        limit: usize,
        now: u64,
    ) -> Result<History, Error> {
        grant.allows_channel(Verb::History, channel, now)?;
        let life = self.log_of(channel.namespace(), Verb::History, channel)?.life();
        let asked = match &side {
            Side::Before(cursor) => cursor.as_ref(),
            Side::After(cursor) => Some(cursor),
        };
        let asked = asked.map(|cursor| cursor.part(life.log).ok_or(Error::Request(OTHER_LOG))).transpose()?;
        let nowhere = Part { log: life.log, epoch: life.epoch, position: Position::START };
        let space = life.space(channel.namespace());
        if space.is_some_and(|space| space.options.signal) {
            return Ok(History {
                gap: None,
                events: Vec::new(),
                cursor: Cursor::new([nowhere]),
                more: false,
            });
        }
        let head = life.head();
        let limit = PageLimit { events: limit.clamp(1, PAGE_EVENTS_MAX), bytes: PAGE_BYTES_MAX };
        let foreign = asked.is_some_and(|part| part.epoch != life.epoch);
        let from = if foreign { life.base } else { asked.map_or(Position::END, |part| part.position) };
        let _permit = self.page_reads().acquire().await;
        let forgettable = space.is_some_and(|space| space.options.forgettable);
        let past = match side {
            Side::After(_) => {
                let page = life.store.page(channel, from, head, limit).await?;
                forward(&life, page, from, head, forgettable)
            }
            Side::Before(_) => {
                let mut page = life.store.before(channel, from, limit).await?;
                // A page of nothing but events that are not visible yet is none.
                while let Some(oldest) = page.events.last().filter(|oldest| oldest.position > head) {
                    page = life.store.before(channel, oldest.position, limit).await?;
                }
                page.events.retain(|stored| stored.position <= head);
                backward(&life, page, forgettable)
            }
        };
        let part = |position: Position| Part { log: life.log, epoch: life.epoch, position };
        let gone = match past.gone {
            None if foreign => {
                Some((life.base, past.events.first().map_or(past.next_seq, |first| first.seq)))
            }
            Some((at, next_seq)) if foreign => Some((at.max(life.base), next_seq)),
            gone => gone,
        };
        let gap = gone.map(|(at, next_seq)| Gap {
            of: Pattern::Channel(channel.clone()),
            reason: if foreign { GapReason::Epoch } else { GapReason::Trimmed },
            part: part(at),
            next_seq: Some(next_seq).filter(|&seq| seq > 0),
            lost: None,
        });
        let cursor = past.goes_on.map(part).or(asked).unwrap_or(nowhere);
        Ok(History { gap, events: past.events, cursor: Cursor::new([cursor]), more: past.more })
    }
}

/// What a page of the store comes to. It ends where something is missing, so that a gap stands where it begins and
/// nowhere else; a page of nothing but what cannot be read is a gap, and goes on behind it.
#[derive(Debug, Default)]
struct Past {
    /// Where events are gone, and the first number behind that.
    gone: Option<(Position, u64)>,
    /// The first number still kept, when there is no event to say it.
    next_seq: u64,
    /// Oldest first.
    events: Vec<Arc<Event>>,
    goes_on: Option<Position>,
    more: bool,
}

/// From `from` up, as it was read: what is missing before the first event is the gap.
fn forward(life: &Life, page: Page, from: Position, head: Position, forgettable: bool) -> Past {
    let mut past = Past { next_seq: page.first_seq, more: page.complete_to < head, ..Past::default() };
    let mut place = from.max(page.trimmed_to);
    if place > from {
        (past.gone, past.goes_on) = (Some((place, page.first_seq)), Some(place));
    }
    for stored in page.events.iter().filter(|stored| stored.position > page.trimmed_to) {
        let linked = stored.prev <= place || past.events.is_empty() && is_first(stored, forgettable);
        let readable = life.read(stored).ok();
        if !past.events.is_empty() && (!linked || readable.is_none()) {
            past.more = true;
            break;
        }
        if !linked {
            past.gone = Some((stored.prev, stored.seq));
        }
        place = stored.position;
        past.goes_on = Some(place);
        match readable {
            Some(event) => past.events.push(event),
            None => past.gone = Some((place, stored.seq + 1)),
        }
    }
    past
}

/// Down from where it was asked, newest first as it was read: what is missing below the last event is the gap.
fn backward(life: &Life, page: Page, forgettable: bool) -> Past {
    let more = page.complete_to > page.trimmed_to && !page.events.is_empty();
    let mut past = Past { next_seq: page.first_seq, more, ..Past::default() };
    // What the event above says of the one that stands before it.
    let mut below = None;
    for stored in page.events.iter().filter(|stored| stored.position > page.trimmed_to) {
        if let Some((prev, seq)) = below.filter(|(prev, _)| *prev > stored.position) {
            past.gone.get_or_insert((prev, seq));
            (past.goes_on, past.more) = (Some(prev), true);
            past.events.reverse();
            return past;
        }
        match life.read(stored) {
            Ok(_) if past.gone.is_some() => {
                past.more = true;
                break;
            }
            Ok(event) => past.events.push(event),
            // All that follows and cannot be read either is one gap with it.
            Err(_) => _ = past.gone.get_or_insert((stored.position, stored.seq + 1)),
        }
        past.goes_on = Some(stored.position);
        below = Some((if is_first(stored, forgettable) { page.trimmed_to } else { stored.prev }, stored.seq));
    }
    past.events.reverse();
    if !past.more {
        let lowest = below.unwrap_or((page.trimmed_to, page.first_seq));
        let (at, next_seq) = (lowest.0.max(page.trimmed_to), lowest.1);
        if at > Position::START {
            past.gone.get_or_insert((at, next_seq));
        }
    }
    past
}

/// Whether nothing of the channel's own stood before: its `prev` is the mark of others.
fn is_first(stored: &Stored, forgettable: bool) -> bool {
    forgettable && stored.seq == stored.position.number()
}

const OTHER_LOG: &str =
    "the cursor does not belong to the channel's log; use one from an event or an ok of this channel";
