//! Keeping a log within its limits: what is over is found here, and taken away little by little.
//!
//! One future per life does it all: removals that somebody asked for, channels that hold too many events or bytes, room
//! for the log as a whole, and each second what is too old and which channels may be forgotten.

use std::{
    collections::{HashMap, HashSet},
    future::{Future, poll_fn},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
};

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use crate::{
    aging::Aging,
    capacity::{Capacity, Full},
    channel::Channel,
    cursor::Position,
    error::Error,
    event::Draft,
    idle::Idle,
    life::Life,
    log::Log,
    name::ChannelName,
    oldest::oldest,
    space::Namespace,
    steady::{Moment, Steady},
    store::{ChannelHead, PageLimit, Store, Stored},
};

/// What waits to be taken away from one log.
#[derive(Debug)]
pub(crate) struct Retention {
    capacity: Capacity,
    /// What is kept, as it counts against the capacity.
    used: AtomicU64,
    asked: Mutex<Vec<Asked>>,
    /// Channels that may hold more than they should.
    over: Mutex<HashSet<ChannelName>>,
    /// Channels that the store could not be asked about; looked at again each second. They hold nobody else up.
    failing: Mutex<HashSet<ChannelName>>,
    steady: Mutex<Steady>,
    wake: Notify,
    /// Woken by each tick: the pause before the store is asked again.
    pub(crate) pulse: Notify,
}

/// A removal that somebody waits for. It is done here, so that whoever leaves meanwhile leaves nothing half known.
#[derive(Debug)]
struct Asked {
    life: Arc<Life>,
    channel: ChannelName,
    what: Removal,
    reply: oneshot::Sender<Result<(), Error>>,
}

/// What to remove.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Removal {
    /// The events at or below the position of one of them; the number is the first one kept.
    Events(Position, u64),
    /// The channel with its record.
    Channel,
}

impl Retention {
    pub(crate) fn new(capacity: Capacity) -> Self {
        Self {
            capacity,
            used: AtomicU64::new(0),
            asked: Mutex::default(),
            over: Mutex::default(),
            failing: Mutex::default(),
            steady: Mutex::default(),
            wake: Notify::new(),
            pulse: Notify::new(),
        }
    }

    /// Time goes on.
    pub(crate) fn tick(&self, now: u64) {
        self.steady.lock().tick(now);
        self.pulse.notify_waiters();
        self.wake.notify_one();
    }

    /// Has something removed, and waits until the store has said so.
    pub(crate) async fn ask(
        &self,
        life: Arc<Life>,
        channel: ChannelName,
        what: Removal,
    ) -> Result<(), Error> {
        let (reply, answer) = oneshot::channel();
        self.asked.lock().push(Asked { life, channel, what, reply });
        self.wake.notify_one();
        answer.await.unwrap_or(Err(Error::Unavailable))
    }

    /// These channels have changed and may hold too much.
    pub(crate) fn look_at(&self, over: Vec<Arc<Channel>>) {
        if !over.is_empty() {
            self.over.lock().extend(over.into_iter().map(|channel| channel.name.clone()));
            self.wake.notify_one();
        }
    }

    fn look_again(&self) {
        let failing = std::mem::take(&mut *self.failing.lock());
        if !failing.is_empty() {
            self.over.lock().extend(failing);
            self.wake.notify_one();
        }
    }

    /// Asks the store how much it keeps.
    pub(crate) fn measure(&self, store: &dyn Store) {
        self.used.store(self.capacity.used(&store.figures()), Ordering::Relaxed);
        if self.wants_room() {
            self.wake.notify_one();
        }
    }

    /// Whether `drafts` may be stored. Errors: [`Error::StorageFull`]; [`Error::Overloaded`] where room is being made.
    pub(crate) fn has_room(&self, life: &Life, drafts: &[Draft]) -> Result<(), Error> {
        let fits =
            |new: u64| self.used.load(Ordering::Relaxed).saturating_add(new) <= self.capacity.bytes_max;
        if fits(drafts.iter().map(Capacity::cost).sum()) {
            return Ok(());
        }
        let is_kept =
            |draft: &&Draft| life.space(draft.channel.namespace()).is_none_or(|space| !space.options.signal);
        let new: u64 = drafts.iter().filter(is_kept).map(Capacity::cost).sum();
        if new == 0 || fits(new) {
            return Ok(());
        }
        Err(match self.capacity.full {
            Full::Refuse => Error::StorageFull,
            Full::Trim => Error::Overloaded,
        })
    }

    fn wants_room(&self) -> bool {
        self.capacity.full == Full::Trim && self.used.load(Ordering::Relaxed) > self.capacity.high()
    }

    /// Whether something waits that does not bear waiting.
    pub(crate) fn is_pressed(&self) -> bool {
        !self.asked.lock().is_empty() || !self.over.lock().is_empty() || self.wants_room()
    }
}

impl Log {
    /// Keeps the log within its limits for as long as `life` lasts.
    pub(crate) async fn keep(&self, life: &Life) {
        let retention = &self.retention;
        let (mut aging, mut idle) = (Aging::new(life), Idle::default());
        // Everything at or below was taken away to make room.
        let mut emptied = Position::START;
        loop {
            retention.wake.notified().await;
            self.do_asked(life).await;
            self.fit_all(life).await;
            self.make_room(life, &mut emptied).await;
            let moment = retention.steady.lock().second();
            if let Some(moment) = moment {
                self.each_second(life, moment, &mut aging, &mut idle).await;
            }
        }
    }

    /// What the store does not answer now is asked again when the next second is over.
    async fn each_second(&self, life: &Life, moment: Moment, aging: &mut Aging, idle: &mut Idle) {
        if moment.steady_ms >= QUIET_AT_START_MS {
            aging.pass(self, life, moment).await;
        }
        let _ = idle.pass(self, life, moment).await;
        self.retention.look_again();
        self.retention.measure(&*life.store);
    }

    async fn do_asked(&self, life: &Life) {
        loop {
            let asked: Vec<Asked> = {
                let mut asked = self.retention.asked.lock();
                let count = asked.len().min(AT_ONCE);
                asked.drain(..count).collect()
            };
            if asked.is_empty() {
                return;
            }
            all(asked.into_iter().map(|Asked { life: own, channel, what, reply }| async move {
                let done = match what {
                    _ if !std::ptr::eq(&*own, life) => Err(Error::Unavailable),
                    Removal::Events(to, first_seq) => self.trim_now(life, &channel, to, first_seq).await,
                    Removal::Channel => self.forget_now(life, &channel).await,
                };
                // Nobody waits any more when the caller has gone.
                let _ = reply.send(done);
            }))
            .await;
        }
    }

    async fn forget_now(&self, life: &Life, channel: &ChannelName) -> Result<(), Error> {
        let _turn = self.turn().await;
        life.forget(channel, &self.retention.pulse).await
    }

    pub(crate) async fn trim_now(
        &self,
        life: &Life,
        channel: &ChannelName,
        to: Position,
        first_seq: u64,
    ) -> Result<(), Error> {
        life.trim(channel, to, first_seq, &self.retention.pulse).await?;
        self.trimmed_one();
        self.retention.measure(&*life.store);
        Ok(())
    }

    async fn fit_all(&self, life: &Life) {
        let over: Vec<ChannelName> = std::mem::take(&mut *self.retention.over.lock()).into_iter().collect();
        for some in over.chunks(AT_ONCE) {
            let fitted = all(some.iter().map(|channel| self.fit(life, channel))).await;
            let again = some.iter().zip(fitted).filter(|(_, fitted)| fitted.is_err());
            self.retention.failing.lock().extend(again.map(|(channel, _)| channel.clone()));
        }
    }

    /// Takes a channel's oldest events away until it holds no more than it may, some at a time.
    async fn fit(&self, life: &Life, name: &ChannelName) -> Result<(), Error> {
        let Some(space) = life.space(name.namespace()) else { return Ok(()) };
        let channel = life.channel(name).await?;
        loop {
            let estimated = channel.bytes();
            let Some(head) = life.store.channel(name).await? else { return Ok(()) };
            channel.know_bytes(estimated, head.bytes);
            let (events, bytes) = excess(&head, &space.options);
            if (events, bytes) == (0, 0) {
                return Ok(());
            }
            let page = life.store.page(name, head.trimmed_to, life.head(), STEP).await?;
            let Some((to, first_seq)) = cut(&page.events, events, bytes) else { return Ok(()) };
            self.trim_now(life, name, to, first_seq).await?;
        }
    }

    /// Takes the oldest events of the log away, whatever their channel, until there is room again.
    async fn make_room(&self, life: &Life, emptied: &mut Position) {
        if !self.retention.wants_room() {
            return;
        }
        while let Some(excess) =
            self.retention.used.load(Ordering::Relaxed).checked_sub(self.retention.capacity.low())
            && excess > 0
        {
            let Ok((from, page)) = oldest(life, *emptied).await else { return };
            *emptied = from;
            let mut freed = 0;
            let mut last_of: HashMap<&ChannelName, (Position, u64)> = HashMap::new();
            let mut to = page.complete_to;
            for event in &page.events {
                if freed >= excess {
                    break;
                }
                freed += Capacity::cost_of(event.body.len());
                last_of.insert(&event.channel, (event.position, event.seq + 1));
                to = event.position;
            }
            if last_of.is_empty() && to <= *emptied {
                return;
            }
            let some: Vec<_> = last_of.into_iter().collect();
            for some in some.chunks(AT_ONCE) {
                let trims = some.iter().map(|&(channel, (to, next))| self.trim_now(life, channel, to, next));
                // A channel that cannot be trimmed keeps what it has; the others make room.
                if all(trims).await.iter().any(Result::is_err) && life.store.figures().failed {
                    return;
                }
            }
            *emptied = to;
            self.do_asked(life).await;
        }
    }
}

/// How many events, and how many bytes, a channel holds above what it should hold; 0 while that is bearable.
fn excess(head: &ChannelHead, options: &Namespace) -> (u64, u64) {
    let over = |has: u64, max: u64| if has > most(max) { has - max } else { 0 };
    (over(head.events(), options.events_max), over(head.bytes, options.bytes_max))
}

/// How much more than `max` is bearable.
pub(crate) fn most(max: u64) -> u64 {
    max.saturating_add(max / 10)
}

/// Where to cut so that at most so many events go, or as many as have at most so many bytes, whichever is more; with the
/// first number left.
fn cut(oldest: &[Stored], events: u64, bytes: u64) -> Option<(Position, u64)> {
    let mut sum = 0;
    let gone = oldest.iter().zip(1..).take_while(|(event, count)| {
        sum += event.body.len() as u64;
        *count <= events || sum <= bytes
    });
    gone.last().map(|(event, _)| (event.position, event.seq + 1))
}

/// Runs them side by side and answers what they came to, in order.
pub(crate) async fn all<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut running: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    poll_fn(|cx| {
        let mut all_done = true;
        for (future, output) in running.iter_mut().filter(|(_, output)| output.is_none()) {
            match future.as_mut().poll(cx) {
                Poll::Ready(done) => *output = Some(done),
                Poll::Pending => all_done = false,
            }
        }
        if all_done { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    running.into_iter().filter_map(|(_, output)| output).collect()
}

/// Removals that run at the same time, so that one sync covers them.
pub(crate) const AT_ONCE: usize = 16;
/// What is read at once to find out what goes, and so the most that goes at once.
pub(crate) const STEP: PageLimit = PageLimit { events: 1_000, bytes: 1024 * 1024 };
/// Nothing is removed for its age before the clock has had so long to be set right, milliseconds.
pub(crate) const QUIET_AT_START_MS: u64 = 60_000;
