//! A place in the order from which news is told.

use std::{
    ops::Bound::{Excluded, Included},
    sync::Arc,
};

use sosik_core::{
    cursor::Position,
    store::{Answer, Change, Follow, Followed, Page, PageLimit, StoreError, Stored},
};
use tokio::sync::{oneshot, watch};

use super::{Handle, state::State};
use crate::held::{NEWS_CHANGES_MAX, NoticePlace};

/// Two places, and while it is behind what is in memory one page of the tables.
pub(super) struct Follower {
    handle: Arc<Handle>,
    changed: watch::Receiver<()>,
    /// Everything up to here was told.
    head: Position,
    notices: NoticePlace,
    reading: Option<oneshot::Receiver<Result<Page, StoreError>>>,
    page: Option<Page>,
    /// The tables could not be read: the next try waits for a change.
    stalled: bool,
}

impl Follower {
    pub(super) fn new(handle: Arc<Handle>, after: Position) -> Self {
        let changed = handle.shelf.changed.subscribe();
        let notices = {
            let state = handle.shelf.state.lock();
            state.notices.place(after, state.tail.head)
        };
        Self { handle, changed, head: after, notices, reading: None, page: None, stalled: false }
    }

    /// Notices come first, and the head rests until all of them are told: an event that is missing because it was
    /// trimmed or forgotten must not be passed before its mark is known.
    fn take(&mut self) -> Taken {
        let shelf = &self.handle.shelf;
        let state = shelf.state.lock();
        let mut changes = Vec::new();
        let Some(all) = state.notices.tell(&mut self.notices, NEWS_CHANGES_MAX, &mut changes) else {
            return Taken::News(Followed::Behind);
        };
        if let Some(page) = &mut self.page {
            page.events.retain(|event| !changes.iter().any(|change| covers(change, event)));
        }
        let mut head = self.head;
        if all && let Some(page) = self.page.take() {
            head = merge(&page.events, page.complete_to, &state, head, &mut changes);
        } else if all && head >= state.recent_above {
            let recent = state.recent.held().range((Excluded(head), Included(state.tail.head)));
            let recent = recent.map(|(_, event)| event);
            head = merge(recent, state.tail.head, &state, head, &mut changes);
        } else if all && changes.is_empty() {
            return Taken::Behind;
        }
        if changes.is_empty() && head == self.head {
            return Taken::Nothing;
        }
        self.head = head;
        Taken::News(Followed::News { changes, head })
    }

    fn read(&self) -> oneshot::Receiver<Result<Page, StoreError>> {
        let after = self.head;
        self.handle.records.begin(move |seen| seen.view.all((after, seen.head), NEWS_PAGE))
    }

    async fn told(&mut self) -> Followed {
        loop {
            if self.stalled {
                let _ = self.changed.changed().await;
                self.stalled = false;
            }
            if let Some(reading) = &mut self.reading {
                let answer = reading.await;
                self.reading = None;
                let Ok(Ok(page)) = answer else {
                    self.stalled = true;
                    return Followed::Stalled;
                };
                self.page = Some(page);
            }
            self.changed.mark_unchanged();
            match self.take() {
                Taken::News(news) => return news,
                Taken::Behind => self.reading = Some(self.read()),
                // The sender lives in the handle, so this waits for a change and cannot fail.
                Taken::Nothing => drop(self.changed.changed().await),
            }
        }
    }
}

impl Follow for Follower {
    fn next(&mut self) -> Answer<'_, Followed> {
        Box::pin(self.told())
    }
}

enum Taken {
    News(Followed),
    /// What follows is only in the tables.
    Behind,
    Nothing,
}

/// Tells `kept` and the signals among them, and answers the new head: `up_to`, or where there was no more room.
fn merge<'a>(
    kept: impl IntoIterator<Item = &'a Stored>,
    up_to: Position,
    state: &State,
    mut head: Position,
    changes: &mut Vec<Change>,
) -> Position {
    let mut kept = kept.into_iter().peekable();
    let signals = (head < up_to).then(|| state.signals.held().range((Excluded(head), Included(up_to))));
    let mut signals = signals.into_iter().flatten().map(|(_, event)| event).peekable();
    loop {
        let next = match (kept.peek(), signals.peek()) {
            (Some(own), Some(other)) if own.position < other.position => kept.next(),
            (_, Some(_)) => signals.next(),
            (_, None) => kept.next(),
        };
        let Some(event) = next else { return up_to };
        if changes.len() >= NEWS_CHANGES_MAX {
            return head;
        }
        changes.push(Change::Event(event.clone()));
        head = event.position;
    }
}

/// Whether `change` says that `event` is gone.
fn covers(change: &Change, event: &Stored) -> bool {
    match change {
        Change::Trimmed { channel, to: mark, .. } | Change::Forgotten { channel, mark } => {
            event.channel == *channel && event.position <= *mark
        }
        Change::Event(_) => false,
    }
}

/// What a follower reads of the tables at once.
const NEWS_PAGE: PageLimit = PageLimit { events: NEWS_CHANGES_MAX, bytes: 1024 * 1024 };
