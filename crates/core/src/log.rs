//! One log at work: follows its store, commits what is published, and starts again when the store begins a new life.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
};

use parking_lot::RwLock;
use tokio::sync::Notify;

use crate::{
    append::{Appender, Published},
    capacity::Capacity,
    cursor::{LogId, Position},
    error::Error,
    herald::Herald,
    life::Life,
    name::ChannelName,
    once::Publish,
    retention::{Removal, Retention},
    space::Namespace,
    store::{Change, Follow, Followed, Store, StoreError},
};

/// An ordered sequence of events of many channels with its own epoch, positions and head.
#[derive(Debug)]
pub struct Log {
    id: LogId,
    store: Arc<dyn Store>,
    namespaces: Arc<[Namespace]>,
    herald: Arc<dyn Herald>,
    watches: Arc<AtomicU64>,
    life: RwLock<Arc<Life>>,
    appender: Appender,
    capacity: Capacity,
    pub(crate) retention: Retention,
    pulse: Notify,
    counts: Counts,
    tidied_at: AtomicU64,
}

#[derive(Debug, Default)]
struct Counts {
    published: AtomicU64,
    duplicates: AtomicU64,
    trimmed: AtomicU64,
    lives: AtomicU64,
}

/// Figures of one log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogFigures {
    /// Events stored and acknowledged since the start.
    pub published: u64,
    /// Events acknowledged since the start that had been stored by an earlier call.
    pub duplicates: u64,
    /// Times a channel was trimmed.
    pub trims: u64,
    /// Times the log began a new life while running.
    pub new_epochs: u64,
    /// Stored records that could not be read, and places in the order of all events that retention went on behind.
    pub unreadable: u64,
    /// Publishes that wait for their append.
    pub waiting: usize,
    /// Channels held in memory.
    pub channels: usize,
    /// What is kept, as it counts against [`Capacity::bytes_max`], bytes.
    pub kept_bytes: u64,
    /// [`Capacity::bytes_max`]: from [`LogFigures::NEARLY_FULL`] of it on an operator should look.
    pub kept_bytes_max: u64,
}

impl LogFigures {
    /// The share of `kept_bytes_max` that is nearly full.
    pub const NEARLY_FULL: f64 = 0.8;

    /// Whether the log is nearly full.
    pub fn is_nearly_full(&self) -> bool {
        self.kept_bytes as f64 >= self.kept_bytes_max as f64 * Self::NEARLY_FULL
    }
}

impl Log {
    /// Opens `store` as the log `id`. `seed` makes its batch ids unique to this process.
    #[expect(clippy::too_many_arguments, reason = "what a log is made of, said once")]
    pub(crate) async fn open(
        id: LogId,
        store: Arc<dyn Store>,
        namespaces: Arc<[Namespace]>,
        herald: Arc<dyn Herald>,
        watches: Arc<AtomicU64>,
        seed: u64,
        queue_max: usize,
        capacity: Capacity,
    ) -> Result<Self, StoreError> {
        let opened = store.open().await?;
        let life = Arc::new(Life::new(id, store.clone(), opened, &namespaces, watches.clone()));
        Ok(Self {
            id,
            store,
            namespaces,
            herald,
            watches,
            life: RwLock::new(life),
            appender: Appender::new(seed, queue_max),
            capacity,
            retention: Retention::new(capacity),
            pulse: Notify::new(),
            counts: Counts::default(),
            tidied_at: AtomicU64::new(0),
        })
    }

    /// Runs the log until the future is dropped. The server spawns one per log.
    pub async fn run(&self) {
        loop {
            let life = self.life();
            self.live(&life).await;
            life.end();
            self.counts.lives.fetch_add(1, Ordering::Relaxed);
            while let Err(error) = self.reopen().await {
                // Publishers and readers are told by their own calls; here only time helps.
                let _: StoreError = error;
                self.pulse.notified().await;
            }
            // Not before there is a life to come back to.
            life.followed().into_iter().for_each(|watch| self.herald.changed(watch));
        }
    }

    /// Time goes on, `now` in milliseconds since 1970. The server calls it several times a second.
    pub fn tick(&self, now: u64) {
        self.appender.tick(now);
        self.retention.tick(now);
        self.pulse.notify_waiters();
        if self.tidied_at.fetch_max(now, Ordering::Relaxed) / TIDY_EACH_MS != now / TIDY_EACH_MS {
            self.life().tidy(now);
        }
    }

    /// The log's figures.
    pub fn figures(&self) -> LogFigures {
        LogFigures {
            published: self.counts.published.load(Ordering::Relaxed),
            duplicates: self.counts.duplicates.load(Ordering::Relaxed),
            trims: self.counts.trimmed.load(Ordering::Relaxed),
            new_epochs: self.counts.lives.load(Ordering::Relaxed),
            unreadable: self.life().unreadable(),
            waiting: self.appender.waiting(),
            channels: self.life().known(),
            kept_bytes: self.capacity.used(&self.store.figures()),
            kept_bytes_max: self.capacity.bytes_max,
        }
    }

    /// Removes a channel's events at or below `to`, the position of one of them; `first_seq` is the first number kept.
    /// Done by [`Log::run`], also if the caller leaves.
    pub async fn trim(&self, channel: &ChannelName, to: Position, first_seq: u64) -> Result<(), Error> {
        self.retention.ask(self.life(), channel.clone(), Removal::Events(to, first_seq)).await
    }

    /// Removes a channel with its record. Only for namespaces whose channels may be forgotten. As [`Log::trim`].
    pub async fn forget(&self, channel: &ChannelName) -> Result<(), Error> {
        let life = self.life();
        if !life.space(channel.namespace()).is_some_and(|space| space.options.forgettable) {
            return Err(Error::Request(UNFORGETTABLE));
        }
        self.retention.ask(life, channel.clone(), Removal::Channel).await
    }

    /// Held while nothing may be appended.
    pub(crate) async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.appender.turn.lock().await
    }

    pub(crate) fn trimmed_one(&self) {
        self.counts.trimmed.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn life(&self) -> Arc<Life> {
        self.life.read().clone()
    }

    /// Stores a publish into this log as one batch, acknowledged once this node's head has passed them.
    pub(crate) async fn publish(
        &self,
        publish: Publish,
        from: Arc<str>,
        now: u64,
    ) -> Result<Vec<Published>, Error> {
        let life = self.life();
        let room = self.retention.has_room(&life, &publish.drafts);
        let outcome = self.appender.push(life, publish, room, from, now)?;
        let published = outcome.await.unwrap_or(Err(Error::Unavailable))?;
        let duplicate = published.iter().any(|one| one.duplicate);
        let count = if duplicate { &self.counts.duplicates } else { &self.counts.published };
        count.fetch_add(published.len() as u64, Ordering::Relaxed);
        Ok(published)
    }

    /// One life: until the store says that it is over.
    async fn live(&self, life: &Life) {
        let mut follow = self.store.follow(life.head());
        let mut commit: Option<Job<'_>> = None;
        let mut keep: Job<'_> = Box::pin(self.keep(life));
        self.retention.measure(&*self.store);
        loop {
            if commit.is_none() && self.appender.waiting() > 0 {
                commit = Some(Box::pin(async { _ = self.appender.commit(life).await }));
            }
            match self.step(&mut *follow, &mut commit, &mut keep).await {
                Step::Followed(Followed::News { changes, head }) => {
                    self.news(life, changes, head);
                }
                Step::Followed(Followed::Stalled) | Step::Woken => {}
                Step::Followed(Followed::Epoch | Followed::Behind) => return,
            }
        }
    }

    /// Waits for whichever comes first. Finished jobs are taken out.
    async fn step<'a>(
        &self,
        follow: &mut dyn Follow,
        commit: &mut Option<Job<'a>>,
        keep: &mut Job<'a>,
    ) -> Step {
        let mut next = follow.next();
        let mut woken = pin!(self.appender.wake.notified());
        poll_fn(|cx| {
            if commit.as_mut().is_some_and(|job| job.as_mut().poll(cx).is_ready()) {
                *commit = None;
                return Poll::Ready(Step::Woken);
            }
            let _never_ends: Poll<()> = keep.as_mut().poll(cx);
            if let Poll::Ready(followed) = next.as_mut().poll(cx) {
                return Poll::Ready(Step::Followed(followed));
            }
            if commit.is_some() {
                // What comes meanwhile is looked for when it ends.
                return Poll::Pending;
            }
            woken.as_mut().poll(cx).map(|()| Step::Woken)
        })
        .await
    }

    /// Everything visible first, then the head, then the acknowledgements, then the readers.
    fn news(&self, life: &Life, changes: Vec<Change>, head: Position) {
        let told: Vec<(ChannelName, Option<u64>)> = if self.appender.ahead.is_empty() {
            Vec::new()
        } else {
            changes.iter().filter_map(told).collect()
        };
        let applied = life.apply(changes, head);
        for (channel, seq) in told {
            match seq {
                Some(seq) => self.appender.ahead.followed(&channel, seq),
                None => self.appender.ahead.forgotten(&channel),
            }
        }
        self.appender.head_moved(head);
        for watch in applied.watches {
            self.herald.changed(watch);
        }
        self.retention.look_at(applied.over);
        self.retention.measure(&*self.store);
    }

    async fn reopen(&self) -> Result<(), StoreError> {
        let opened = self.store.open().await?;
        let life = Life::new(self.id, self.store.clone(), opened, &self.namespaces, self.watches.clone());
        *self.life.write() = Arc::new(life);
        Ok(())
    }
}

/// The channel that `change` moves, and the number it moved to; `None` if it is gone.
fn told(change: &Change) -> Option<(ChannelName, Option<u64>)> {
    match change {
        Change::Event(stored) => Some((stored.channel.clone(), Some(stored.seq))),
        Change::Forgotten { channel, .. } => Some((channel.clone(), None)),
        Change::Trimmed { .. } => None,
    }
}

type Job<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

enum Step {
    Followed(Followed),
    Woken,
}

const TIDY_EACH_MS: u64 = 10_000;
const UNFORGETTABLE: &str = "the channels of this namespace are not forgotten; to allow it, the operator sets \
     `forget_after_s` for it in sosik.toml";
