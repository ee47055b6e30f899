//! Pages: what a look hands out, and how much.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::{
    cursor::{Cursor, Part, Position},
    event::{Event, Gap},
};

/// The most that one look may put into a page. A page holds at least one event if there is one.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// Events.
    pub events: usize,
    /// Bytes of data.
    pub bytes: usize,
}

impl Budget {
    /// How many of `events` fit, at least one.
    pub(crate) fn fits(self, events: &[Arc<Event>]) -> usize {
        let mut bytes = 0;
        let fits = events.iter().take(self.events).take_while(|event| {
            bytes += event.data.bytes().len();
            bytes <= self.bytes
        });
        fits.count().max(1)
    }
}

/// Items for the client, in order.
#[derive(Debug, Default)]
pub struct Page {
    /// What to write.
    pub items: SmallVec<[Item; 1]>,
    pub(crate) source: Source,
}

/// One thing to tell the client.
#[derive(Debug)]
pub struct Item {
    /// What it is.
    pub what: What,
    /// The cursor that the client holds afterwards; `None` when it is the event's own place and nothing else, so that
    /// bytes made once serve every such reader.
    pub cursor: Option<Cursor>,
    /// The place that the client has seen afterwards, in the log of the page.
    pub(crate) part: Option<Part>,
}

impl Item {
    /// Whether the next item stands at the same place, so that no cursor lies between the two: a page must not be cut
    /// here, or the reader would come back to the first of them for ever.
    pub fn is_tied_to_next(&self) -> bool {
        match &self.what {
            What::Event(event) => self.part.is_some_and(|part| part != event.part()),
            What::Gap(gap) => self.part.is_some_and(|part| part != gap.part),
            What::CaughtUp | What::Joined(_) => false,
        }
    }
}

/// Kinds of items.
#[derive(Debug)]
pub enum What {
    /// An event.
    Event(Arc<Event>),
    /// Events that are gone.
    Gap(Gap),
    /// The head that was seen when the reader was opened, or last joined, has been passed.
    CaughtUp,
    /// The backlog of the join with this token is done: its channels are part of the set now.
    Joined(u64),
}

/// Where the items of a page come from, and how far it looked.
#[derive(Debug, Default)]
pub(crate) enum Source {
    #[default]
    Nothing,
    Half {
        at: usize,
        up_to: Position,
    },
    CaughtUp,
    Joined,
    Backlog {
        up_to: Position,
        at: usize,
    },
}
