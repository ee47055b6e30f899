//! News through faults: late and in pieces, never out of order.

use std::{collections::VecDeque, sync::Arc};

use sosik_core::{
    cursor::Position,
    store::{Answer, Change, Follow, Followed},
};
use tokio::sync::watch;

use super::{Control, Shared, one_poll};

pub(super) struct FaultyFollow {
    shared: Arc<Shared>,
    inner: Box<dyn Follow>,
    control: watch::Receiver<Control>,
    life: u64,
    /// Told so far.
    head: Position,
    /// Taken from the inner store, at most one answer of it, and held back for so many polls more.
    held: VecDeque<Followed>,
    polls: usize,
    end: Option<Followed>,
}

impl FaultyFollow {
    pub(super) fn new(shared: Arc<Shared>, after: Position) -> Self {
        let control = shared.control.subscribe();
        let life = control.borrow().life;
        let inner = shared.inner().follow(after);
        Self { shared, inner, control, life, head: after, held: VecDeque::new(), polls: 0, end: None }
    }

    async fn tell(&mut self) -> Followed {
        loop {
            let control = *self.control.borrow_and_update();
            if control.life != self.life {
                self.end = Some(Followed::Epoch);
            }
            if let Some(end) = &self.end {
                return end.clone();
            }
            if control.held {
                // The sender lives in `shared`, so this waits for a change and cannot fail.
                let _ = self.control.changed().await;
            } else if self.polls > 0 {
                // Counted before the wait: a caller that gives up each time gets on nevertheless.
                self.polls -= 1;
                one_poll().await;
            } else if let Some(news) = self.held.pop_front() {
                self.told(&news);
                return news;
            } else {
                tokio::select! {
                    biased;
                    _ = self.control.changed() => {}
                    news = self.inner.next() => self.hold(news),
                }
            }
        }
    }

    fn hold(&mut self, news: Followed) {
        let mut state = self.shared.state.lock();
        let plan = state.plan;
        if state.roll("stalled", plan.stalled) {
            self.held.push_back(Followed::Stalled);
        }
        if state.roll("behind", plan.behind) {
            self.end = Some(Followed::Behind);
        }
        self.polls = state.rng.usize(..=plan.news_polls);
        match news {
            Followed::News { changes, head }
                if changes.len() > 1 && state.roll("split_news", plan.split_news) =>
            {
                let at = state.rng.usize(1..changes.len());
                self.held.extend(split(changes, at, self.head, head));
            }
            whole => self.held.push_back(whole),
        }
    }

    fn told(&mut self, news: &Followed) {
        if let Followed::News { head, .. } = news {
            self.head = *head;
            self.shared.tell(*head);
        }
        self.polls = {
            let mut state = self.shared.state.lock();
            let most = state.plan.news_polls;
            state.rng.usize(..=most)
        };
    }
}

/// News in two pieces. The head of the first is its last event if only events follow, or what was told before if it holds
/// none; between these a notice would come too late, so that the news stays whole.
fn split(mut changes: Vec<Change>, at: usize, told: Position, head: Position) -> Vec<Followed> {
    let is_event = |change: &Change| matches!(change, Change::Event(_));
    let first = match &changes[at - 1] {
        Change::Event(last) if changes[at..].iter().all(is_event) => last.position,
        _ if !changes[..at].iter().any(is_event) => told,
        _ => return vec![Followed::News { changes, head }],
    };
    let rest = changes.split_off(at);
    vec![Followed::News { changes, head: first }, Followed::News { changes: rest, head }]
}

impl Follow for FaultyFollow {
    fn next(&mut self) -> Answer<'_, Followed> {
        Box::pin(self.tell())
    }
}
