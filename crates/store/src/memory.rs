//! The engine that keeps a log in the memory of one process: gone after a restart, and the model of every other engine.

mod follower;
mod memos;
mod state;

use std::{fmt, future::poll_fn, sync::Arc, task::Poll};

use parking_lot::Mutex;
use sosik_core::{
    cursor::{Epoch, Position},
    figures::StoreFigures,
    name::ChannelName,
    store::{
        Answer, AppendError, Appended, Batch, ChannelHead, Follow, Level, MemoKey, MemoKind, MemosHeld,
        NamespaceHead, Opened, Page, PageLimit, Remembered, Scope, Store, StoreError,
    },
};
use tokio::sync::watch;

pub use crate::held::{
    BATCHES_HELD_MAX, FORGOTTEN_HELD_MAX, NEWS_CHANGES_MAX, SIGNALS_HELD_BYTES_MAX, SIGNALS_HELD_MAX,
    TRIMMED_HELD_MAX,
};

use self::{
    follower::Follower,
    state::{State, Trimmed},
};

/// A log in memory. One mutex over plain maps; every answer is ready at once.
///
/// A restart is a new `Memory` with a new epoch: nothing of the old one is left, so its base is 0. Opening the same
/// value again continues the same epoch. Nothing is removed unless [`Store::trim`] or [`Store::forget`] says so.
#[derive(Clone)]
pub struct Memory {
    shared: Arc<Shared>,
}

impl Memory {
    /// An empty log. `epoch` must be random and fresh: it is what tells readers of an earlier life that it is gone.
    pub fn new(epoch: Epoch) -> Self {
        Self::with_steps(epoch, || 1)
    }

    /// As [`Memory::new`], but each position lies `step()` above the one before (0 counts as 1).
    ///
    /// For tests: holes are normal in other engines, and nothing may rely on their absence here.
    pub fn with_steps(epoch: Epoch, step: impl FnMut() -> u64 + Send + 'static) -> Self {
        let (changed, _) = watch::channel(());
        Self { shared: Arc::new(Shared { epoch, state: Mutex::new(State::new(step)), changed }) }
    }
}

impl Memory {
    /// Lets go of the lock after each step: whoever appends or reads waits for no more than one.
    async fn trim_by_steps(&self, channel: &ChannelName, to: Position) {
        loop {
            let step = self.shared.state.lock().trim(channel, to);
            if step != Trimmed::Nothing {
                self.shared.changed.send_replace(());
            }
            if step != Trimmed::Some {
                return;
            }
            one_poll().await;
        }
    }
}

impl Store for Memory {
    fn open(&self) -> Answer<'_, Result<Opened, StoreError>> {
        Box::pin(async {
            let state = self.shared.state.lock();
            Ok(Opened {
                epoch: self.shared.epoch,
                base: Position::START,
                head: state.given(),
                level: Level::Memory,
                last_time: state.last_time(self.shared.epoch),
            })
        })
    }

    fn append(&self, batch: Batch) -> Answer<'_, Result<Appended, AppendError>> {
        Box::pin(async move {
            let placed = self.shared.state.lock().append(batch, self.shared.epoch)?;
            self.shared.changed.send_replace(());
            Ok(Appended { placed, level: Level::Memory })
        })
    }

    /// Bounded news: at most [`NEWS_CHANGES_MAX`] changes each. Marks that explain missing events are told before the
    /// events above them. Needs no state in the store: dropping the follower is all there is to do.
    fn follow(&self, after: Position) -> Box<dyn Follow> {
        Box::new(Follower::new(self.shared.clone(), after))
    }

    fn channel(&self, channel: &ChannelName) -> Answer<'_, Result<Option<ChannelHead>, StoreError>> {
        let channel = channel.clone();
        Box::pin(async move { Ok(self.shared.state.lock().head(&channel)) })
    }

    fn namespace(&self, namespace: &str) -> Answer<'_, Result<NamespaceHead, StoreError>> {
        let namespace = namespace.to_owned();
        Box::pin(async move { Ok(self.shared.state.lock().namespace(&namespace)) })
    }

    fn page(
        &self,
        channel: &ChannelName,
        after: Position,
        up_to: Position,
        limit: PageLimit,
    ) -> Answer<'_, Result<Page, StoreError>> {
        let channel = channel.clone();
        Box::pin(async move { Ok(self.shared.state.lock().page(&channel, after, up_to, limit)) })
    }

    fn before(
        &self,
        channel: &ChannelName,
        before: Position,
        limit: PageLimit,
    ) -> Answer<'_, Result<Page, StoreError>> {
        let channel = channel.clone();
        Box::pin(async move { Ok(self.shared.state.lock().before(&channel, before, limit)) })
    }

    fn range(
        &self,
        scope: Scope,
        after: Position,
        up_to: Position,
        limit: PageLimit,
    ) -> Answer<'_, Result<Page, StoreError>> {
        Box::pin(async move { Ok(self.shared.state.lock().range(&scope, after, up_to, limit)) })
    }

    fn trim(&self, channel: &ChannelName, to: Position) -> Answer<'_, Result<(), StoreError>> {
        let channel = channel.clone();
        Box::pin(async move {
            self.trim_by_steps(&channel, to).await;
            Ok(())
        })
    }

    fn forget(&self, channel: &ChannelName) -> Answer<'_, Result<Position, StoreError>> {
        let channel = channel.clone();
        Box::pin(async move {
            let last = self.shared.state.lock().head(&channel).map(|head| head.position);
            if let Some(last) = last {
                self.trim_by_steps(&channel, last).await;
            }
            let mark = self.shared.state.lock().forget(&channel);
            self.shared.changed.send_replace(());
            Ok(mark)
        })
    }

    fn recall(&self, keys: Vec<MemoKey>) -> Answer<'_, Result<Vec<Option<Remembered>>, StoreError>> {
        Box::pin(async move {
            let state = self.shared.state.lock();
            Ok(keys.iter().map(|key| state.memos.recall(key)).collect())
        })
    }

    fn memos_held(&self, kind: MemoKind, namespace: &str) -> MemosHeld {
        self.shared.state.lock().memos.held(kind, namespace)
    }

    fn given(&self) -> Option<Position> {
        Some(self.shared.state.lock().given())
    }

    fn figures(&self) -> StoreFigures {
        self.shared.state.lock().figures()
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let given = self.shared.state.lock().given().number();
        write!(f, "memory log {:?} at {given}", self.shared.epoch)
    }
}

/// What the handles of one log and its followers have in common.
struct Shared {
    epoch: Epoch,
    state: Mutex<State>,
    changed: watch::Sender<()>,
}

/// Lets everybody else on the thread run once.
async fn one_poll() {
    let mut polled = false;
    poll_fn(|context| {
        if std::mem::replace(&mut polled, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Events taken away at once: what an append or a read waits for at most.
const REMOVED_AT_ONCE_MAX: usize = 1_000;
