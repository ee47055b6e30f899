//! Publishing into one log: what waits, how it is numbered and grouped, and when it is acknowledged.
//!
//! At most one append is in flight; what arrives meanwhile goes into the next one. A publish is a state machine:
//! waiting → sent → stored (or refused) → acknowledged once the head has passed it. One that asks to be stored once is
//! judged when its turn has come, so that whatever was stored before it is known by then.

mod acks;
mod ahead;
mod plan;
mod queue;

use std::{
    collections::BTreeSet,
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
};

use parking_lot::Mutex;
use tokio::sync::{MutexGuard, Notify, oneshot};

use self::{
    acks::Acks,
    ahead::Ahead,
    plan::Plan,
    queue::{Queue, Waiting},
};
use crate::{
    cursor::{Epoch, LogId, Part, Position},
    error::Error,
    life::Life,
    limits::APPEND_RETRY_MS,
    name::ChannelName,
    once::{Asked, Publish, Verdict},
    store::{AppendError, Appended, Level},
};

/// The acknowledgement of one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// The log it was stored in.
    pub log: LogId,
    /// The log's epoch.
    pub epoch: Epoch,
    /// The event's place in the log.
    pub position: Position,
    /// Its number in the channel.
    pub seq: u64,
    /// What the acknowledgement means.
    pub level: Level,
    /// Whether it was stored by an earlier call for the same publish, see [`crate::Once`].
    pub duplicate: bool,
}

impl Published {
    /// The event's own place, for `history`; never a reader's cursor.
    pub fn part(&self) -> Part {
        Part { log: self.log, epoch: self.epoch, position: self.position }
    }
}

/// The publishing side of a log.
#[derive(Debug)]
pub(crate) struct Appender {
    queue: Queue,
    acks: Acks,
    /// What numbering knows before `follow` has told it.
    pub(crate) ahead: Ahead,
    /// Woken when something waits where nothing did.
    pub(crate) wake: Notify,
    /// Woken by each tick: the pause between two attempts.
    pulse: Notify,
    /// Held by an append until it is answered, and by whoever must not be overtaken by one.
    pub(crate) turn: tokio::sync::Mutex<()>,
    now: AtomicU64,
    ids: Mutex<u128>,
}

impl Appender {
    /// `seed` makes batch ids unique to this process; `queue_max` bounds what waits.
    pub(crate) fn new(seed: u64, queue_max: usize) -> Self {
        Self {
            queue: Queue::new(queue_max),
            acks: Acks::default(),
            ahead: Ahead::default(),
            wake: Notify::new(),
            pulse: Notify::new(),
            turn: tokio::sync::Mutex::default(),
            now: AtomicU64::new(0),
            ids: Mutex::new(u128::from(seed) << 64),
        }
    }

    /// Hands in one atomic publish; the receiver gets its outcome. Without `room` only one that was stored before is
    /// answered. Errors: [`Error::Overloaded`], and why there is no room.
    pub(crate) fn push(
        &self,
        life: Arc<Life>,
        publish: Publish,
        room: Result<(), Error>,
        from: Arc<str>,
        now: u64,
    ) -> Result<oneshot::Receiver<Result<Vec<Published>, Error>>, Error> {
        let Publish { drafts, once } = publish;
        let asked = match once.and_then(|once| Asked::new(once, &from, &drafts, &room)) {
            Some(asked) => Some(Box::new(asked)),
            None => room.map(|()| None)?,
        };
        let (reply, outcome) = oneshot::channel();
        let bytes = drafts.iter().map(|draft| draft.data.bytes().len()).sum();
        let waiting = Waiting { life, drafts, channels: Vec::new(), bytes, asked, from, now, reply };
        // Whoever takes the first one takes those behind it, or looks again.
        if self.queue.push(waiting)? {
            self.wake.notify_one();
        }
        Ok(outcome)
    }

    /// How many publishes wait for their append.
    pub(crate) fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Time goes on: late acknowledgements go out, and appends that pause try again.
    pub(crate) fn tick(&self, now: u64) {
        self.now.fetch_max(now, Ordering::AcqRel);
        self.pulse.notify_waiters();
        self.acks.tick(now);
        // They were never sent.
        refuse(self.queue.take_late(now), &Error::Unavailable);
    }

    /// The head has moved: what it passed is acknowledged.
    pub(crate) fn head_moved(&self, head: Position) {
        self.acks.head_moved(head);
    }

    /// Takes what waits, as much as one append may hold, and stores it. Answers whether there was anything.
    ///
    /// Not before everybody else who is ready has run once: a publish that wakes the log on its own thread would
    /// otherwise be followed at once by its append, and be alone in it however many others are about to come.
    pub(crate) async fn commit(&self, life: &Life) -> bool {
        one_poll().await;
        let mut group = load(life, self.take_group(life)).await;
        let Some(first) = group.first() else { return false };
        let deadline = self.time(first.now) + APPEND_RETRY_MS;
        let Some(_turn) = self.turn_before(deadline).await else {
            refuse(group, &Error::Unavailable);
            return true;
        };
        // Once sent, a batch stays the same until a conflict proves that it was never stored: also when an attempt was
        // refused, because the one before may be under way.
        let mut plan: Option<Plan> = None;
        let mut conflicts = 0;
        let outcome = loop {
            match self.attempt(life, &group, &mut plan, conflicts > 0).await {
                Ok(appended) => break Ok(appended),
                Err(Attempt::Conflict) => {
                    conflicts += 1;
                    if conflicts > CONFLICTS_AT_ONCE_MAX {
                        self.pulse.notified().await;
                    }
                }
                Err(Attempt::Unreadable(channels)) => {
                    plan = None;
                    let is_in = |waiting: &mut Waiting| waiting.is_in(&channels);
                    let own: Vec<_> = group.extract_if(.., is_in).collect();
                    if own.is_empty() {
                        break Err(Error::StorageFailed);
                    }
                    refuse(own, &Error::StorageFailed);
                }
                Err(Attempt::Later) => self.pulse.notified().await,
                Err(Attempt::Refused(error)) => break Err(error),
            }
            if self.now.load(Ordering::Acquire) >= deadline {
                break Err(Error::Unavailable);
            }
        };
        self.settle(life, group, plan, outcome);
        true
    }

    /// Sends what is planned, or plans it first, with what the channels are by now if a conflict has shown that they are not
    /// what they were.
    async fn attempt(
        &self,
        life: &Life,
        group: &[Waiting],
        plan: &mut Option<Plan>,
        is_again: bool,
    ) -> Result<Appended, Attempt> {
        let batch = match plan {
            Some(plan) => &plan.batch,
            None => {
                if is_again {
                    self.read_again(life, group).await?;
                }
                &plan.insert(Plan::new(life, group, &self.ahead, &self.ids).await?).batch
            }
        };
        if batch.entries.is_empty() {
            return Ok(Appended { placed: Vec::new(), level: life.level });
        }
        match life.store.append(batch.clone()).await {
            Ok(appended) | Err(AppendError::Duplicate(appended)) => Ok(appended),
            Err(AppendError::Conflict) => {
                *plan = None;
                Err(Attempt::Conflict)
            }
            Err(AppendError::Unreadable(channels)) => Err(Attempt::Unreadable(channels)),
            Err(AppendError::Unknown | AppendError::Unavailable) => Err(Attempt::Later),
            Err(AppendError::Full) => Err(Attempt::Refused(Error::StorageFull)),
            Err(AppendError::Failed) => Err(Attempt::Refused(Error::StorageFailed)),
        }
    }

    /// The turn; `None` if whoever holds it waits for the store until `deadline`.
    async fn turn_before(&self, deadline: u64) -> Option<MutexGuard<'_, ()>> {
        let mut turn = pin!(self.turn.lock());
        loop {
            let mut pulse = pin!(self.pulse.notified());
            let own = poll_fn(|cx| match turn.as_mut().poll(cx) {
                Poll::Ready(own) => Poll::Ready(Some(own)),
                Poll::Pending => pulse.as_mut().poll(cx).map(|()| None),
            });
            let own = own.await;
            if own.is_some() || self.now.load(Ordering::Acquire) >= deadline {
                return own;
            }
        }
    }

    fn time(&self, now: u64) -> u64 {
        self.now.fetch_max(now, Ordering::AcqRel).max(now)
    }

    fn take_group(&self, life: &Life) -> Vec<Waiting> {
        let group = self.queue.take_group();
        let (group, of_others): (Vec<_>, Vec<_>) =
            group.into_iter().partition(|waiting| std::ptr::eq(&*waiting.life, life));
        refuse(of_others, &Error::Unavailable);
        group
    }

    async fn read_again(&self, life: &Life, group: &[Waiting]) -> Result<(), Attempt> {
        let mut unreadable = BTreeSet::new();
        for channel in group.iter().flat_map(|waiting| &waiting.channels) {
            match self.ahead.read(life, &channel.name).await {
                Ok(()) => {}
                Err(Error::StorageFailed) => _ = unreadable.insert(channel.name.clone()),
                Err(error) => return Err(error.into()),
            }
        }
        if unreadable.is_empty() { Ok(()) } else { Err(Attempt::Unreadable(unreadable)) }
    }

    fn settle(&self, life: &Life, group: Vec<Waiting>, plan: Option<Plan>, outcome: Result<Appended, Error>) {
        let Plan { judged, firsts, .. } = match plan {
            Some(plan) => plan,
            None => return refuse(group, &outcome.err().unwrap_or(Error::Unavailable)),
        };
        let places = |index: usize| firsts[index] as usize..firsts[index + 1] as usize;
        let now = self.now.load(Ordering::Acquire);
        for (index, waiting) in group.into_iter().enumerate() {
            let (placed, level, duplicate) = match (judged.verdict(index), &outcome) {
                (Verdict::Stored(placed), _) => (&placed[..], life.level, true),
                (Verdict::Store, Ok(appended)) => {
                    let placed = &appended.placed[places(index)];
                    self.ahead.stored(&waiting.channels, placed);
                    (placed, appended.level, false)
                }
                (Verdict::Same(of), Ok(appended)) => (&appended.placed[places(*of)], appended.level, true),
                (Verdict::Refuse { error, tentative: false }, _)
                | (Verdict::Refuse { error, .. }, Ok(_))
                | (_, Err(error)) => {
                    refuse(vec![waiting], error);
                    continue;
                }
            };
            let published = placed.iter().map(|place| Published {
                log: life.log,
                epoch: life.epoch,
                position: place.position,
                seq: place.seq,
                level,
                duplicate,
            });
            self.acks.push(published.collect(), waiting.reply, life.head(), now);
        }
        self.ahead.forget_what_was_told(life.head());
        self.head_moved(life.head());
    }
}

/// Lets everybody else who is ready run before.
async fn one_poll() {
    let mut polled = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut polled, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Reads the channels' records; what cannot be numbered is refused. Not before the publishes have their places in the
/// queue: one that finds its record read would overtake those that wait for it.
async fn load(life: &Life, group: Vec<Waiting>) -> Vec<Waiting> {
    let mut loaded = Vec::with_capacity(group.len());
    for mut waiting in group {
        let channels = async {
            for draft in &waiting.drafts {
                waiting.channels.push(life.channel(&draft.channel).await?);
            }
            Ok(())
        };
        match channels.await {
            Ok(()) => loaded.push(waiting),
            Err(error) => refuse(vec![waiting], &error),
        }
    }
    loaded
}

/// Why an attempt has not stored its batch.
enum Attempt {
    /// Its guards did not hold, nothing was stored: the channels are read again.
    Conflict,
    /// These channels cannot be read, nothing was stored: the others go without them.
    Unreadable(BTreeSet<ChannelName>),
    /// Maybe it has: the same again, after a pause.
    Later,
    Refused(Error),
}

impl From<Error> for Attempt {
    fn from(error: Error) -> Self {
        match error {
            Error::Unavailable => Self::Later,
            error => Self::Refused(error),
        }
    }
}

fn refuse(group: Vec<Waiting>, error: &Error) {
    for waiting in group {
        // Nobody waits any more when the publisher has gone.
        let _ = waiting.reply.send(Err(error.clone()));
    }
}

/// Conflicts after which an append waits for time to go on instead of trying again at once.
const CONFLICTS_AT_ONCE_MAX: u32 = 8;
