//! A store that fails in every way that a store may, by seed: the double under which the core must keep its promises.
//!
//! It wraps any store and never breaks the trait: whatever it answers is true, it only answers late, incompletely, or
//! with the errors that the trait allows. Time is counted in polls and in calls, so that thousands of seeds run in
//! seconds and each repeats exactly on a runtime of one thread.

mod append;
mod follow;
mod plan;
mod reads;

use std::{
    collections::{BTreeMap, BTreeSet, HashSet, VecDeque},
    fmt,
    future::poll_fn,
    sync::Arc,
    task::Poll,
};

use fastrand::Rng;
use parking_lot::Mutex;
use sosik_core::{
    cursor::Position,
    figures::StoreFigures,
    name::ChannelName,
    store::{
        Answer, AppendError, Appended, Batch, ChannelHead, Follow, MemoKey, MemoKind, MemosHeld,
        NamespaceHead, Opened, Page, PageLimit, Remembered, Scope, Store, StoreError,
    },
};
use tokio::sync::watch;

pub use append::FOREIGN;
pub use plan::{AppendFault, FaultPlan, PER};

/// Any store, seen through faults. Clones are the same double.
#[derive(Clone)]
pub struct Faulty {
    shared: Arc<Shared>,
}

impl Faulty {
    /// `inner` with the faults of `plan`, chosen by `seed`. Two doubles over one store are two nodes of a cluster.
    pub fn new(inner: Arc<dyn Store>, seed: u64, plan: FaultPlan) -> Self {
        let state = State {
            inner,
            alone: plan.foreign == 0 && plan.old_head == 0,
            plan,
            rng: Rng::with_seed(seed),
            made: BTreeMap::new(),
            script: VecDeque::new(),
            damaged: BTreeSet::new(),
            late: VecDeque::new(),
            maybe: HashSet::new(),
            heads: VecDeque::new(),
            told: Position::START,
        };
        let (control, _) = watch::channel(Control::default());
        Self { shared: Arc::new(Shared { state: Mutex::new(state), control }) }
    }

    /// Other faults from now on; [`FaultPlan::none`] lets a test come to its end.
    pub fn set_plan(&self, plan: FaultPlan) {
        self.shared.state.lock().plan = plan;
    }

    /// The next appends suffer these faults, in order, before chance decides again. A fault that would make an answer
    /// untrue is left out: nothing is denied that was stored before.
    pub fn script(&self, faults: impl IntoIterator<Item = AppendFault>) {
        self.shared.state.lock().script.extend(faults);
    }

    /// What the store has of `channel` cannot be read from now on: its record and its namespace's records are `Failed`, and
    /// a batch with an entry of it `Unreadable`, unless that is stored or may yet be.
    pub fn damage(&self, channel: ChannelName) {
        self.shared.state.lock().damaged.insert(channel);
    }

    /// No follower is told anything until [`Faulty::release_news`]: the head rests, while reads and appends go on.
    pub fn hold_news(&self) {
        self.shared.control.send_modify(|control| control.held = true);
    }

    /// Ends [`Faulty::hold_news`]; what was held back comes in order.
    pub fn release_news(&self) {
        self.shared.control.send_modify(|control| control.held = false);
    }

    /// Stores the batches that were to be stored late.
    pub async fn settle(&self) {
        self.shared.arrive(usize::MAX).await;
    }

    /// The log begins a new life with `inner`: followers are answered `Epoch`, appends that are under way `Unknown`.
    pub fn replace(&self, inner: Arc<dyn Store>) {
        let mut state = self.shared.state.lock();
        state.inner = inner;
        (state.told, state.late, state.heads) = Default::default();
        state.maybe.clear();
        drop(state);
        self.shared.control.send_modify(|control| control.life += 1);
    }

    /// How often each fault was made, by the name of its field in the plan.
    pub fn made(&self) -> BTreeMap<&'static str, u64> {
        self.shared.state.lock().made.clone()
    }
}

impl Store for Faulty {
    fn open(&self) -> Answer<'_, Result<Opened, StoreError>> {
        Box::pin(self.shared.open())
    }

    fn append(&self, batch: Batch) -> Answer<'_, Result<Appended, AppendError>> {
        Box::pin(self.shared.append(batch))
    }

    fn follow(&self, after: Position) -> Box<dyn Follow> {
        Box::new(follow::FaultyFollow::new(self.shared.clone(), after))
    }

    fn channel(&self, channel: &ChannelName) -> Answer<'_, Result<Option<ChannelHead>, StoreError>> {
        Box::pin(self.shared.channel(channel.clone()))
    }

    fn namespace(&self, namespace: &str) -> Answer<'_, Result<NamespaceHead, StoreError>> {
        Box::pin(self.shared.namespace(namespace.to_owned()))
    }

    fn page(
        &self,
        channel: &ChannelName,
        after: Position,
        up_to: Position,
        limit: PageLimit,
    ) -> Answer<'_, Result<Page, StoreError>> {
        Box::pin(self.shared.page(channel.clone(), after, up_to, limit))
    }

    fn before(
        &self,
        channel: &ChannelName,
        before: Position,
        limit: PageLimit,
    ) -> Answer<'_, Result<Page, StoreError>> {
        Box::pin(self.shared.before(channel.clone(), before, limit))
    }

    fn range(
        &self,
        scope: Scope,
        after: Position,
        up_to: Position,
        limit: PageLimit,
    ) -> Answer<'_, Result<Page, StoreError>> {
        Box::pin(self.shared.range(scope, after, up_to, limit))
    }

    fn trim(&self, channel: &ChannelName, to: Position) -> Answer<'_, Result<(), StoreError>> {
        Box::pin(self.shared.trim(channel.clone(), to))
    }

    fn forget(&self, channel: &ChannelName) -> Answer<'_, Result<Position, StoreError>> {
        Box::pin(self.shared.forget(channel.clone()))
    }

    fn recall(&self, keys: Vec<MemoKey>) -> Answer<'_, Result<Vec<Option<Remembered>>, StoreError>> {
        Box::pin(self.shared.recall(keys))
    }

    fn memos_held(&self, kind: MemoKind, namespace: &str) -> MemosHeld {
        self.shared.inner().memos_held(kind, namespace)
    }

    /// `None` if the first plan had foreign events or old heads: then another node may be ahead.
    fn given(&self) -> Option<Position> {
        let state = self.shared.state.lock();
        if state.alone { state.inner.given() } else { None }
    }

    fn figures(&self) -> StoreFigures {
        self.shared.inner().figures()
    }
}

impl fmt::Debug for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared.state.lock();
        write!(f, "faulty {:?}, faults {:?}", state.inner, state.made)
    }
}

struct Shared {
    state: Mutex<State>,
    control: watch::Sender<Control>,
}

struct State {
    inner: Arc<dyn Store>,
    alone: bool,
    plan: FaultPlan,
    rng: Rng,
    made: BTreeMap<&'static str, u64>,
    script: VecDeque<AppendFault>,
    /// Channels that cannot be read.
    damaged: BTreeSet<ChannelName>,
    /// Batches that were answered `Unknown` and are stored before the so many-th call from now.
    late: VecDeque<(usize, Batch)>,
    /// Batches that are stored or may yet be: nobody is told that they are not. As long as the double lives.
    maybe: HashSet<u128>,
    /// Heads that were there once, the newest [`HEADS_HELD_MAX`].
    heads: VecDeque<Position>,
    /// The highest head that anybody was told.
    told: Position,
}

/// What followers must notice at once.
#[derive(Debug, Clone, Copy, Default)]
struct Control {
    held: bool,
    life: u64,
}

impl State {
    /// Decides by chance, and counts.
    fn roll(&mut self, name: &'static str, chance: u16) -> bool {
        let happens = self.rng.u16(..PER) < chance;
        if happens {
            self.count(name);
        }
        happens
    }

    fn count(&mut self, name: &'static str) {
        *self.made.entry(name).or_default() += 1;
    }
}

impl Shared {
    fn inner(&self) -> Arc<dyn Store> {
        self.state.lock().inner.clone()
    }

    /// Waits for up to so many polls.
    async fn dawdle(&self, most: impl FnOnce(&FaultPlan) -> usize) {
        let polls = {
            let mut state = self.state.lock();
            let most = most(&state.plan);
            state.rng.usize(..=most)
        };
        for _ in 0..polls {
            one_poll().await;
        }
    }

    fn roll(&self, name: &'static str, chance: impl FnOnce(&FaultPlan) -> u16) -> bool {
        let mut state = self.state.lock();
        let chance = chance(&state.plan);
        state.roll(name, chance)
    }
}

/// Lets everybody else run once.
async fn one_poll() {
    let mut polled = false;
    poll_fn(|context| {
        if polled {
            return Poll::Ready(());
        }
        polled = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Heads that an opening may go back to.
const HEADS_HELD_MAX: usize = 64;
