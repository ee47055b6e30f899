//! The sweepers: who follows what, and who looks again when it has changed.
//!
//! A waiter stands in the list of everything it follows from its first look to its end. When the core says that something
//! changed, the watch goes into the inbox of each shard once, and the shard's sweeper asks each waiter of the list to look
//! again. The heartbeat round asks those whose time has come: there is no timer per connection.

mod rest;
mod seat;

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use slab::Slab;
use sosik_core::{Herald, WatchId};
use tokio::{sync::Notify, time::Instant};

use crate::{
    clock::{Clock, Now},
    groups::Groups,
    stand_in::Mutex,
    sweep::rest::Rests,
};

pub(crate) use seat::Listing;
pub use seat::Seat;

/// Who waits for what it follows.
pub(crate) trait Waiter: Send + Sync + fmt::Debug {
    /// Something may follow, or the time has come. Called with no lock held; does what it can without waiting, and
    /// leaves the rest to the waiter's own task.
    fn look(&self, now: Now);

    /// As [`Waiter::look`], but by its own task.
    fn wake(&self);

    /// When to look even without news, on the steady clock.
    fn due(&self) -> u64;
}

/// All shards of a node: its herald.
#[derive(Debug)]
pub struct Sweep {
    shards: Vec<Arc<Shard>>,
    /// Answers for those who are woken together.
    pub(crate) groups: Groups,
    dealt: AtomicUsize,
}

#[derive(Debug, Default)]
struct Shard {
    lists: Mutex<HashMap<WatchId, Slab<Arc<dyn Waiter>>>>,
    all: Mutex<Slab<Arc<dyn Waiter>>>,
    inbox: Mutex<Inbox>,
    news: Notify,
}

/// What changed since the sweeper last looked, each watch once.
#[derive(Debug, Default)]
struct Inbox {
    changed: Vec<WatchId>,
    listed: HashSet<WatchId>,
}

impl Sweep {
    /// `shards` lists, each swept by one task; as many as there are workers.
    pub fn new(shards: usize) -> Arc<Self> {
        let shards = (0..shards.max(1)).map(|_| Arc::default()).collect();
        Arc::new(Self { shards, groups: Groups::default(), dealt: AtomicUsize::new(0) })
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
        let mut rests = Rests::<WatchId>::default();
        loop {
            let rested = tokio::select! {
                () = shard.news.notified() => shard.changed(),
                over = rests.over() => over,
                _ = round.tick() => {
                    shard.round(&*clock).await;
                    self.groups.tidy();
                    continue;
                }
            };
            for watch in rested {
                if !rests.defer(watch) {
                    let began = Instant::now();
                    shard.sweep(watch, &*clock).await;
                    rests.rest(watch, began);
                }
            }
        }
    }

    /// Wakes the task of every waiter, to let it find out by itself what has changed for all.
    pub fn wake_all(&self) {
        for shard in &self.shards {
            let waiters: Vec<_> = shard.all.lock().iter().map(|(_, waiter)| waiter.clone()).collect();
            waiters.iter().for_each(|waiter| waiter.wake());
        }
    }

    /// A place for a task that looks for itself, in the next shard.
    pub fn sit(&self) -> Seat {
        Seat::new(self)
    }

    /// Lists `waiter` in the next shard.
    pub(crate) fn list(&self, waiter: Arc<dyn Waiter>) -> Listing {
        let shard = self.shards[self.dealt.fetch_add(1, Ordering::Relaxed) % self.shards.len()].clone();
        Listing::new(shard, waiter)
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
                shard.news.notify_one();
            }
        }
    }
}

impl Shard {
    /// Empties the inbox. A watch leaves it *before* its list is swept, so that a change during the sweep brings another
    /// one.
    fn changed(&self) -> Vec<WatchId> {
        let mut inbox = self.inbox.lock();
        inbox.listed.clear();
        std::mem::take(&mut inbox.changed)
    }

    /// Lets everybody who follows `watch` look again, a turn at a time. Keys are stable, so nobody can move to a place
    /// that the sweep has passed, and a list that shrank meanwhile only has holes.
    async fn sweep(&self, watch: WatchId, clock: &dyn Clock) {
        let mut from = Some(0);
        while let Some(start) = from {
            let (waiters, next) = match self.lists.lock().get(&watch) {
                Some(list) => turn(list, start, |_| true),
                None => return,
            };
            let now = Now::of(clock);
            waiters.iter().for_each(|waiter| waiter.look(now));
            from = next;
            if from.is_some() {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Lets everybody look whose time has come.
    async fn round(&self, clock: &dyn Clock) {
        let mut from = Some(0);
        while let Some(start) = from {
            let now = Now::of(clock);
            let (waiters, next) = turn(&self.all.lock(), start, |waiter| waiter.due() <= now.steady_ms);
            waiters.iter().for_each(|waiter| waiter.look(now));
            from = next;
            if from.is_some() {
                tokio::task::yield_now().await;
            }
        }
    }
}

/// The waiters at keys from `start` that are `wanted`, and where to go on.
fn turn(
    list: &Slab<Arc<dyn Waiter>>,
    start: usize,
    wanted: impl Fn(&dyn Waiter) -> bool,
) -> (Vec<Arc<dyn Waiter>>, Option<usize>) {
    let end = start + WAITERS_PER_TURN;
    let keys = start..end.min(list.capacity());
    let waiters = keys.filter_map(|key| list.get(key)).filter(|waiter| wanted(&***waiter)).cloned().collect();
    (waiters, (end < list.capacity()).then_some(end))
}

/// Waiters that look before other tasks get a turn.
const WAITERS_PER_TURN: usize = 256;
/// Distance of two heartbeat rounds, milliseconds: how late a deadline can be noticed.
const ROUND_MS: u64 = 250;
