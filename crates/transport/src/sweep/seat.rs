//! Places in the wait lists, given back on drop.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Waker},
};

use sosik_core::WatchId;

use super::{Shard, Sweep, Waiter};
use crate::{clock::Now, stand_in::Mutex};

/// A waiter's places in the lists of its shard.
#[derive(Debug)]
pub(crate) struct Listing {
    shard: Arc<Shard>,
    waiter: Arc<dyn Waiter>,
    key: usize,
    lists: Vec<(WatchId, usize)>,
}

impl Listing {
    pub(super) fn new(shard: Arc<Shard>, waiter: Arc<dyn Waiter>) -> Self {
        let key = shard.all.lock().insert(waiter.clone());
        Self { shard, waiter, key, lists: Vec::new() }
    }

    /// Waits in the lists of exactly these watches. Call it before the look that finds nothing.
    pub(crate) fn follow(&mut self, watches: impl Iterator<Item = WatchId>) {
        self.leave();
        let mut lists = self.shard.lists.lock();
        for watch in watches {
            self.lists.push((watch, lists.entry(watch).or_default().insert(self.waiter.clone())));
        }
        self.lists.shrink_to_fit();
    }

    fn leave(&mut self) {
        let mut lists = self.shard.lists.lock();
        for (watch, key) in self.lists.drain(..) {
            if let Some(list) = lists.get_mut(&watch) {
                list.try_remove(key);
                if list.is_empty() {
                    lists.remove(&watch);
                }
            }
        }
    }
}

impl Drop for Listing {
    fn drop(&mut self) {
        self.leave();
        self.shard.all.lock().try_remove(self.key);
    }
}

/// The place of a task that is woken and looks for itself.
#[derive(Debug)]
pub struct Seat {
    listing: Listing,
    sleeper: Arc<Sleeper>,
}

impl Seat {
    pub(super) fn new(sweep: &Sweep) -> Self {
        let sleeper = Arc::new(Sleeper { waker: Mutex::default(), due: AtomicU64::new(u64::MAX) });
        Self { listing: sweep.list(sleeper.clone()), sleeper }
    }

    /// Waits in the lists of exactly these watches. Call it before the look that finds nothing.
    pub fn follow(&mut self, watches: impl Iterator<Item = WatchId>) {
        self.listing.follow(watches);
    }

    /// Remembers whom to wake. Call it before looking, so that no change falls between the look and the waiting.
    pub fn register(&self, cx: &Context<'_>) {
        let mut waker = self.sleeper.waker.lock();
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
    }

    /// When to be woken even without news, on the steady clock; up to a round late.
    pub fn due(&self, at: u64) {
        self.sleeper.due.store(at, Ordering::Relaxed);
    }
}

#[derive(Debug)]
struct Sleeper {
    waker: Mutex<Option<Waker>>,
    due: AtomicU64,
}

impl Waiter for Sleeper {
    fn look(&self, _: Now) {
        self.wake();
    }

    fn wake(&self) {
        let waker = self.waker.lock().take();
        waker.into_iter().for_each(Waker::wake);
    }

    fn due(&self) -> u64 {
        self.due.load(Ordering::Relaxed)
    }
}
