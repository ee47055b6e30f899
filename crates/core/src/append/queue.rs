//! What waits for its append, oldest first.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use parking_lot::Mutex;

use super::acks::Reply;
use crate::{
    channel::Channel,
    error::Error,
    event::Draft,
    life::Life,
    limits::{APPEND_BYTES_MAX, APPEND_EVENTS_MAX, APPEND_QUEUE_BYTES_MAX, APPEND_RETRY_MS},
    name::ChannelName,
    once::Asked,
};

/// One atomic publish on its way.
#[derive(Debug)]
pub(super) struct Waiting {
    /// Its channels are of this life; in another they would be numbered wrongly.
    pub(super) life: Arc<Life>,
    pub(super) drafts: Vec<Draft>,
    /// One for each draft; read by the commit.
    pub(super) channels: Vec<Arc<Channel>>,
    /// Of data.
    pub(super) bytes: usize,
    pub(super) asked: Option<Box<Asked>>,
    pub(super) from: Arc<str>,
    /// When it came, milliseconds since 1970.
    pub(super) now: u64,
    pub(super) reply: Reply,
}

impl Waiting {
    /// Whether one of its events is of one of `channels`.
    pub(super) fn is_in(&self, channels: &BTreeSet<ChannelName>) -> bool {
        self.drafts.iter().any(|draft| channels.contains(&draft.channel))
    }
}

/// Publishes in the order in which they came, bounded in number and bytes.
#[derive(Debug)]
pub(super) struct Queue {
    held: Mutex<Held>,
    max: usize,
}

#[derive(Debug, Default)]
struct Held {
    all: VecDeque<Waiting>,
    bytes: usize,
}

impl Queue {
    /// At most `max` publishes wait.
    pub(super) fn new(max: usize) -> Self {
        Self { held: Mutex::default(), max }
    }

    /// Answers whether nothing else waits. Errors: [`Error::Overloaded`].
    pub(super) fn push(&self, waiting: Waiting) -> Result<bool, Error> {
        let mut held = self.held.lock();
        if held.all.len() >= self.max || held.bytes + waiting.bytes > APPEND_QUEUE_BYTES_MAX {
            return Err(Error::Overloaded);
        }
        let is_first = held.all.is_empty();
        held.bytes += waiting.bytes;
        held.all.push_back(waiting);
        Ok(is_first)
    }

    pub(super) fn len(&self) -> usize {
        self.held.lock().all.len()
    }

    /// The oldest, as many as one append may hold.
    pub(super) fn take_group(&self) -> Vec<Waiting> {
        let mut held = self.held.lock();
        let (mut events, mut bytes) = (0, 0);
        let fits = held.all.iter().take_while(|waiting| {
            events += waiting.drafts.len();
            bytes += waiting.bytes;
            events <= APPEND_EVENTS_MAX && bytes <= APPEND_BYTES_MAX
        });
        let count = fits.count().max(1).min(held.all.len());
        held.take(count)
    }

    /// Those that have waited for their turn too long.
    pub(super) fn take_late(&self, now: u64) -> Vec<Waiting> {
        let mut held = self.held.lock();
        let count = held.all.iter().take_while(|waiting| waiting.now + APPEND_RETRY_MS <= now).count();
        held.take(count)
    }
}

impl Held {
    fn take(&mut self, count: usize) -> Vec<Waiting> {
        let taken: Vec<_> = self.all.drain(..count).collect();
        self.bytes -= taken.iter().map(|waiting| waiting.bytes).sum::<usize>();
        taken
    }
}
