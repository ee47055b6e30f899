//! A place in the order from which news is told.

use std::{
    ops::Bound::{Excluded, Unbounded},
    sync::Arc,
};

use sosik_core::{
    cursor::Position,
    store::{Answer, Change, Follow, Followed},
};
use tokio::sync::watch;

use super::{NEWS_CHANGES_MAX, Shared};
use crate::held::NoticePlace;

/// All that a follower is: two places, so that nothing is kept for it however slow it is.
pub(super) struct Follower {
    shared: Arc<Shared>,
    changed: watch::Receiver<()>,
    /// Everything up to here was told.
    head: Position,
    notices: NoticePlace,
}

impl Follower {
    pub(super) fn new(shared: Arc<Shared>, after: Position) -> Self {
        let notices = shared.state.lock().notice_place(after);
        let changed = shared.changed.subscribe();
        Self { shared, changed, head: after, notices }
    }

    /// Notices come first, and the head rests until all of them are told: an event that is missing because it was
    /// trimmed or forgotten must not be passed before its mark is known.
    fn take(&mut self) -> Option<Followed> {
        let state = self.shared.state.lock();
        let mut changes = Vec::new();
        let Some(all) = state.notices().tell(&mut self.notices, NEWS_CHANGES_MAX, &mut changes) else {
            return Some(Followed::Behind);
        };
        let mut head = self.head;
        if all {
            let above = (Excluded(self.head), Unbounded);
            let mut kept = state.order().range(above).peekable();
            let mut signals = state.signals().range(above).peekable();
            head = loop {
                let next = match (kept.peek(), signals.peek()) {
                    (Some((own, _)), Some((other, _))) if own < other => kept.next(),
                    (_, Some(_)) => signals.next(),
                    (_, None) => kept.next(),
                };
                let Some((&position, event)) = next else { break state.given() };
                if changes.len() >= NEWS_CHANGES_MAX {
                    break head;
                }
                changes.push(Change::Event(event.clone()));
                head = position;
            };
        }
        if changes.is_empty() && head == self.head {
            return None;
        }
        self.head = head;
        Some(Followed::News { changes, head })
    }
}

impl Follow for Follower {
    fn next(&mut self) -> Answer<'_, Followed> {
        Box::pin(async {
            loop {
                self.changed.mark_unchanged();
                if let Some(news) = self.take() {
                    return news;
                }
                // The sender lives in `shared`, so this waits for a change and cannot fail.
                let _ = self.changed.changed().await;
            }
        })
    }
}
