//! The newest events of channels whose tails do not hold them: read once for all who ask for the last few.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::{OnceCell, Semaphore};

use crate::{
    channel::Channel,
    cursor::Position,
    life::Life,
    limits::{PAGE_BYTES_MAX, PAGE_EVENTS_MAX},
    name::ChannelName,
    store::{PageLimit, StoreError},
};

/// The answers of one life of a log, under way and kept.
#[derive(Debug, Default)]
pub(crate) struct Newest(Mutex<HashMap<Asked, Arc<OnceCell<Listed>>>>);

/// As many of a channel's newest events, and how the channel was then. Nothing but these decides what the answer is, so
/// that it may be kept.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Asked {
    channel: ChannelName,
    /// Number and position of the last event, and the mark.
    head: (u64, Position, Position),
    count: usize,
}

/// Positions and `prev`, newest first.
type Listed = Result<Arc<[(Position, Position)]>, StoreError>;

impl Newest {
    /// Positions and `prev` of the newest `count` kept events of `channel`, newest first, from the store.
    pub(crate) async fn read(
        &self,
        life: &Life,
        permits: &Semaphore,
        channel: &Channel,
        count: usize,
    ) -> Listed {
        let head = channel.head().unwrap_or_default();
        let head = (head.seq, head.position, head.trimmed_to);
        let asked = Asked { channel: channel.name.clone(), head, count };
        let listed = {
            let mut all = self.0.lock();
            if all.len() >= NEWEST_HELD_MAX {
                all.retain(|_, listed| !listed.initialized());
            }
            all.entry(asked.clone()).or_default().clone()
        };
        let list = async || {
            // Never closed, so there is a permit.
            let _permit = permits.acquire().await;
            asked.read(life).await
        };
        let answer = listed.get_or_init(list).await.clone();
        if answer.is_err() {
            self.0.lock().remove(&asked);
        }
        answer
    }

    /// Gives back what nobody waits for.
    pub(crate) fn tidy(&self) {
        self.0.lock().retain(|_, listed| Arc::strong_count(listed) > 1);
    }
}

impl Asked {
    async fn read(&self, life: &Life) -> Listed {
        let (mut newest, mut before) = (Vec::new(), Position::END);
        while newest.len() < self.count {
            let events = PAGE_EVENTS_MAX.min(self.count - newest.len());
            let limit = PageLimit { events, bytes: PAGE_BYTES_MAX };
            let page = life.store.before(&self.channel, before, limit).await?;
            let Some(oldest) = page.events.last() else { break };
            before = oldest.position;
            newest.extend(page.events.iter().map(|event| (event.position, event.prev)));
        }
        Ok(newest.into())
    }
}

/// Answers that are kept; with more, those that are there are dropped. Each has 16 bytes for each event, of which there
/// are at most [`crate::limits::LAST_MAX`] and one.
const NEWEST_HELD_MAX: usize = 256;
