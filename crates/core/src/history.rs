//! Pages of one channel's past. They never move a reader's cursor.

use std::sync::Arc;

use crate::{
    cursor::{Cursor, Part, Position},
    error::Error,
    event::{Event, Gap, GapReason},
    grant::{Grant, Verb},
    limits::{PAGE_BYTES_MAX, PAGE_EVENTS_MAX},
    name::{ChannelName, Pattern},
    node::Node,
    store::PageLimit,
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
        let forward = matches!(side, Side::After(_));
        let _permit = self.page_reads().acquire().await;
        let (page, more) = if forward {
            let page = life.store.page(channel, from, head, limit).await?;
            let more = page.complete_to < head;
            (page, more)
        } else {
            let mut page = life.store.before(channel, from, limit).await?;
            // A page of nothing but events that are not visible yet is none.
            while let Some(oldest) = page.events.last().filter(|oldest| oldest.position > head) {
                page = life.store.before(channel, oldest.position, limit).await?;
            }
            let more = page.complete_to > page.trimmed_to.max(Position::START) && !page.events.is_empty();
            (page, more)
        };
        let mut events: Vec<_> = page.events.iter().filter_map(|stored| life.read(stored).ok()).collect();
        events.retain(|event| event.position <= head);
        if !forward {
            events.reverse();
        }
        let edge = if forward { events.last() } else { events.first() };
        let part = |position: Position| Part { log: life.log, epoch: life.epoch, position };
        let cursor = Cursor::new([edge.map(|event| event.part()).or(asked).unwrap_or(nowhere)]);
        let start = if forward { from } else { Position::START };
        let gone = page.trimmed_to > start && (forward || !more);
        let reason = if foreign { GapReason::Epoch } else { GapReason::Trimmed };
        let gap = (foreign || gone).then(|| Gap {
            of: Pattern::Channel(channel.clone()),
            reason,
            part: part(if foreign { life.base } else { page.trimmed_to }),
            next_seq: events.first().map(|event| event.seq).or(Some(page.first_seq)).filter(|&seq| seq > 0),
            lost: None,
        });
        Ok(History { gap, events, cursor, more })
    }
}

const OTHER_LOG: &str =
    "the cursor does not belong to the channel's log; use one from an event or an ok of this channel";
