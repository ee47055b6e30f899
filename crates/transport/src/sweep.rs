//! Wait lists, and the sweepers that wake who waits.
//!
//! A feed sits in the list of everything it follows from its first look to its end. When the core says that something
//! changed, the watch goes into the inbox of each shard once, and the shard's sweeper wakes the seats of its list. The
//! heartbeat round wakes seats whose time has come: there is no timer per connection.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Waker},
    time::Duration,
};

use parking_lot::Mutex;
use slab::Slab;
use sosik_core::{Herald, WatchId};
use tokio::sync::Notify;

use crate::clock::Clock;

/// All shards of a node: its herald.
#[derive(Debug)]
pub struct Sweep {
    shards: Vec<Arc<Shard>>,
    dealt: AtomicUsize,
}

#[derive(Debug, Default)]
struct Shard {
    lists: Mutex<HashMap<WatchId, Slab<Arc<Waiter>>>>,
    all: Mutex<Slab<Arc<Waiter>>>,
    inbox: Mutex<Inbox>,
    wake: Notify,
}

/// What changed since the sweeper last looked, each watch once.
#[derive(Debug, Default)]
struct Inbox {
    changed: Vec<WatchId>,
    listed: HashSet<WatchId>,
}

/// The waiting side of one feed.
#[derive(Debug, Default)]
struct Waiter {
    waker: Mutex<Option<Waker>>,
    due: AtomicU64,
}

impl Sweep {
    /// `shards` lists, each swept by one task; as many as there are workers.
    pub fn new(shards: usize) -> Arc<Self> {
        let shards = (0..shards.max(1)).map(|_| Arc::default()).collect();
        Arc::new(Self { shards, dealt: AtomicUsize::new(0) })
    }

    /// How many sweepers to run.
    pub fn shards(&self) -> usize {
        self.shards.len()
    }

    /// Sweeps one shard until the future is dropped. Ends only by a panic, and then the process should end too: half of
    /// the readers would hear nothing any more.
    pub async fn run(&self, shard: usize, clock: Arc<dyn Clock>) {
        let shard = self.shards[shard % self.shards.len()].clone();
        let mut round = tokio::time::interval(Duration::from_millis(ROUND_MS));
        round.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shard.wake.notified() => shard.sweep().await,
                _ = round.tick() => shard.round(clock.steady_ms()).await,
            }
        }
    }

    /// Wakes every feed, to let it find out by itself what has changed for all.
    pub fn wake_all(&self) {
        for shard in &self.shards {
            let wakers: Vec<_> =
                shard.all.lock().iter().filter_map(|(_, waiter)| waiter.waker.lock().take()).collect();
            wakers.into_iter().for_each(Waker::wake);
        }
    }

    /// A place for one feed, in the next shard.
    pub fn sit(&self) -> Seat {
        let shard = self.shards[self.dealt.fetch_add(1, Ordering::Relaxed) % self.shards.len()].clone();
        let waiter = Arc::new(Waiter::default());
        waiter.due.store(u64::MAX, Ordering::Relaxed);
        let key = shard.all.lock().insert(waiter.clone());
        Seat { shard, waiter, key, lists: Vec::new() }
    }
}

impl Herald for Sweep {
    fn changed(&self, watch: WatchId) {
        for shard in &self.shards {
            let mut inbox = shard.inbox.lock();
            let was_empty = inbox.changed.is_empty();
            if inbox.listed.insert(watch) {
                inbox.changed.push(watch);
            }
            drop(inbox);
            if was_empty {
                shard.wake.notify_one();
            }
        }
    }
}

impl Shard {
    /// Wakes the lists of everything that changed. A watch leaves the inbox *before* its list is swept, so that a change
    /// during the sweep brings another one.
    async fn sweep(&self) {
        let changed = {
            let mut inbox = self.inbox.lock();
            inbox.listed.clear();
            std::mem::take(&mut inbox.changed)
        };
        for watch in changed {
            let mut from = 0;
            while let Some(next) = self.wake_some(watch, from) {
                from = next;
                tokio::task::yield_now().await;
            }
        }
    }

    /// Wakes the seats at `from` and after; answers where to go on. Keys are stable, so a seat cannot move to a place
    /// that the sweep has passed, and a list that shrank meanwhile only has holes.
    fn wake_some(&self, watch: WatchId, from: usize) -> Option<usize> {
        let lists = self.lists.lock();
        let list = lists.get(&watch)?;
        let to = from + SEATS_PER_TURN;
        let more = (to < list.capacity()).then_some(to);
        let wakers: Vec<_> =
            (from..to.min(list.capacity())).filter_map(|key| list.get(key)?.waker.lock().take()).collect();
        drop(lists);
        wakers.into_iter().for_each(Waker::wake);
        more
    }

    /// Wakes every seat whose time has come.
    async fn round(&self, now: u64) {
        let mut from = 0;
        while let Some(next) = self.wake_due(from, now) {
            from = next;
            tokio::task::yield_now().await;
        }
    }

    fn wake_due(&self, from: usize, now: u64) -> Option<usize> {
        let all = self.all.lock();
        let to = from + SEATS_PER_TURN;
        let more = (to < all.capacity()).then_some(to);
        let due = (from..to.min(all.capacity())).filter_map(|key| all.get(key));
        let due = due.filter(|waiter| waiter.due.load(Ordering::Relaxed) <= now);
        let wakers: Vec<_> = due.filter_map(|waiter| waiter.waker.lock().take()).collect();
        drop(all);
        wakers.into_iter().for_each(Waker::wake);
        more
    }
}

/// One feed's place in the wait lists; given back on drop.
#[derive(Debug)]
pub struct Seat {
    shard: Arc<Shard>,
    waiter: Arc<Waiter>,
    key: usize,
    lists: Vec<(WatchId, usize)>,
}

impl Seat {
    /// Waits in the lists of exactly these watches. Call it before the look that finds nothing.
    pub fn follow(&mut self, watches: impl Iterator<Item = WatchId>) {
        self.leave();
        let mut lists = self.shard.lists.lock();
        self.lists.extend(
            watches.map(|watch| (watch, lists.entry(watch).or_default().insert(self.waiter.clone()))),
        );
    }

    /// Remembers whom to wake. Call it before looking, so that no change falls between the look and the waiting.
    pub fn register(&self, cx: &Context<'_>) {
        let mut waker = self.waiter.waker.lock();
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
    }

    /// When to be woken even without news, on the steady clock; up to a round late.
    pub fn due(&self, at: u64) {
        self.waiter.due.store(at, Ordering::Relaxed);
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

impl Drop for Seat {
    fn drop(&mut self) {
        self.leave();
        self.shard.all.lock().try_remove(self.key);
    }
}

/// Seats looked at under the lock before others get a turn.
const SEATS_PER_TURN: usize = 256;
/// Distance of two heartbeat rounds, milliseconds: how late a deadline can be noticed.
const ROUND_MS: u64 = 250;
