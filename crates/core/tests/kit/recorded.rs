//! A store that writes down what is done to it.

use std::{
    collections::BTreeSet,
    future::Future,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use fastrand::Rng;
use sosik_core::{
    ChannelName, Position, Store,
    figures::StoreFigures,
    store::{
        Answer, AppendError, Appended, Batch, ChannelHead, Follow, Followed, MemoKey, MemoKind, MemosHeld,
        NamespaceHead, Opened, Page, PageLimit, Place, Remembered, Scope, StoreError, Stored,
    },
};

use super::{
    on_the_spot,
    truth::{Fact, Truth},
};

/// Writes down what happens to `inner`, and dawdles now and then so that everything meets everything.
#[derive(Debug, Clone)]
pub struct Recorded {
    pub inner: Arc<dyn Store>,
    pub truth: Arc<Mutex<Truth>>,
    /// Appends as this store was asked for them: how many entries each had.
    pub batches: Arc<Mutex<Vec<usize>>>,
    /// The highest head that a follower was told.
    pub told: Arc<Mutex<Position>>,
    /// Done to the next page: what a store may answer that is trimmed while it reads.
    pub edit: Arc<Mutex<Option<Edit>>>,
    /// Removals from channels whose name begins so are refused for good.
    pub refusing: Arc<Mutex<Option<&'static str>>>,
    /// Removals wait for whoever holds it.
    pub trimming: Arc<tokio::sync::Mutex<()>>,
    /// Events of which every page says that they cannot be read.
    pub damaged: Arc<Mutex<BTreeSet<Position>>>,
    /// The first and the last place of the order that no range can read.
    pub lost: Arc<Mutex<Option<(Position, Position)>>>,
    /// Pages, both ways, and ranges that were asked for.
    pub reads: Arc<AtomicUsize>,
    /// Records that are being read, and the most that ever were.
    pub records: Arc<(AtomicUsize, AtomicUsize)>,
    /// Pages, both ways, and ranges wait for whoever holds it.
    pub reading: Arc<tokio::sync::RwLock<()>>,
    /// Whether each answer is waited for on the spot: a store with threads of its own then looks like one without.
    pub prompt: bool,
    rng: Arc<Mutex<Rng>>,
    dawdle: u8,
}

/// What becomes of a page.
pub type Edit = fn(&mut Page);

impl Recorded {
    /// `dawdle` is a chance in 256 to wait once, before and after each call.
    pub fn new(inner: Arc<dyn Store>, truth: Arc<Mutex<Truth>>, rng: Rng, dawdle: u8) -> Self {
        let (batches, told, trimming, edit) = Default::default();
        let (damaged, reads, records, reading, refusing, lost) = Default::default();
        let rng = Arc::new(Mutex::new(rng));
        Self {
            inner,
            truth,
            batches,
            told,
            edit,
            refusing,
            trimming,
            damaged,
            lost,
            reads,
            records,
            reading,
            prompt: false,
            rng,
            dawdle,
        }
    }

    async fn dawdle(&self) {
        while self.rng.lock().unwrap().u8(..) < self.dawdle {
            tokio::task::yield_now().await;
        }
    }

    async fn around<T>(&self, answer: impl Future<Output = T>) -> T {
        self.dawdle().await;
        let answer = self.answer(answer).await;
        self.dawdle().await;
        answer
    }

    async fn answer<T>(&self, answer: impl Future<Output = T>) -> T {
        if self.prompt { on_the_spot(answer) } else { answer.await }
    }

    async fn read(&self, answer: impl Future<Output = Result<Page, StoreError>>) -> Result<Page, StoreError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let _reading = self.reading.read().await;
        let mut page = self.around(answer).await?;
        let damaged = self.damaged.lock().unwrap();
        let lost = page.events.iter_mut().filter(|event| damaged.contains(&event.position));
        lost.for_each(|event| event.body.clear());
        if let Some(edit) = self.edit.lock().unwrap().take() {
            edit(&mut page);
        }
        Ok(page)
    }

    fn write_down(&self, batch: Batch, appended: &Appended) {
        let mut truth = self.truth.lock().unwrap();
        truth.clock += 1;
        for (entry, placed) in batch.entries.into_iter().zip(&appended.placed) {
            let prev = match entry.place {
                Place::After { prev, .. } | Place::First { prev } => prev,
                Place::Behind(of) => appended.placed[of as usize].position,
            };
            let stored = Stored {
                position: placed.position,
                channel: entry.channel,
                seq: placed.seq,
                prev,
                body: entry.body,
                kept: entry.kept,
            };
            assert!(stored.position > truth.head(), "positions rise");
            truth.facts.push(Fact { stored, removed: None, forgotten: false });
        }
    }
}

impl Store for Recorded {
    fn open(&self) -> Answer<'_, Result<Opened, StoreError>> {
        Box::pin(async {
            let opened = self.inner.open().await?;
            let mut told = self.told.lock().unwrap();
            *told = (*told).max(opened.head);
            Ok(opened)
        })
    }

    fn append(&self, batch: Batch) -> Answer<'_, Result<Appended, AppendError>> {
        Box::pin(async move {
            self.batches.lock().unwrap().push(batch.entries.len());
            self.dawdle().await;
            let answer = self.answer(self.inner.append(batch.clone())).await;
            if let Ok(appended) = &answer {
                self.write_down(batch, appended);
            }
            self.dawdle().await;
            answer
        })
    }

    fn follow(&self, after: Position) -> Box<dyn Follow> {
        Box::new(Listening { inner: self.inner.follow(after), told: self.told.clone() })
    }

    fn channel(&self, channel: &ChannelName) -> Answer<'_, Result<Option<ChannelHead>, StoreError>> {
        let channel = channel.clone();
        Box::pin(async move {
            let under_way = self.records.0.fetch_add(1, Ordering::Relaxed) + 1;
            self.records.1.fetch_max(under_way, Ordering::Relaxed);
            let head = self.around(self.inner.channel(&channel)).await;
            self.records.0.fetch_sub(1, Ordering::Relaxed);
            head
        })
    }

    fn namespace(&self, namespace: &str) -> Answer<'_, Result<NamespaceHead, StoreError>> {
        let namespace = namespace.to_owned();
        Box::pin(async move { self.around(self.inner.namespace(&namespace)).await })
    }

    fn page(
        &self,
        channel: &ChannelName,
        after: Position,
        up_to: Position,
        limit: PageLimit,
    ) -> Answer<'_, Result<Page, StoreError>> {
        let channel = channel.clone();
        Box::pin(async move { self.read(self.inner.page(&channel, after, up_to, limit)).await })
    }

    fn before(
        &self,
        channel: &ChannelName,
        before: Position,
        limit: PageLimit,
    ) -> Answer<'_, Result<Page, StoreError>> {
        let channel = channel.clone();
        Box::pin(async move { self.read(self.inner.before(&channel, before, limit)).await })
    }

    fn range(
        &self,
        scope: Scope,
        after: Position,
        up_to: Position,
        limit: PageLimit,
    ) -> Answer<'_, Result<Page, StoreError>> {
        let lost = self.lost.lock().unwrap().filter(|(first, last)| *last > after && *first <= up_to);
        let below = lost.map_or(up_to, |(first, _)| Position::new(first.number() - 1));
        Box::pin(async move {
            if below <= after && lost.is_some() {
                self.reads.fetch_add(1, Ordering::Relaxed);
                return Err(StoreError::Failed("the order cannot be read".into()));
            }
            self.read(self.inner.range(scope, after, below, limit)).await
        })
    }

    fn trim(&self, channel: &ChannelName, to: Position) -> Answer<'_, Result<(), StoreError>> {
        let channel = channel.clone();
        let removing = Removing::new(&self.truth);
        Box::pin(async move {
            let _removing = removing;
            let _trimming = self.trimming.lock().await;
            self.dawdle().await;
            if self.refusing.lock().unwrap().is_some_and(|begin| channel.as_str().starts_with(begin)) {
                return Err(StoreError::Failed("refused".into()));
            }
            let answer = self.answer(self.inner.trim(&channel, to)).await;
            // Not before: what is told to be gone must be gone.
            if answer.is_ok() {
                self.truth.lock().unwrap().remove(&channel, to, false);
            }
            self.dawdle().await;
            answer
        })
    }

    fn forget(&self, channel: &ChannelName) -> Answer<'_, Result<Position, StoreError>> {
        let channel = channel.clone();
        let removing = Removing::new(&self.truth);
        Box::pin(async move {
            let _removing = removing;
            let _trimming = self.trimming.lock().await;
            self.dawdle().await;
            if self.refusing.lock().unwrap().is_some_and(|begin| channel.as_str().starts_with(begin)) {
                return Err(StoreError::Failed("refused".into()));
            }
            let mark = self.answer(self.inner.forget(&channel)).await;
            if let Ok(mark) = &mark {
                let mut truth = self.truth.lock().unwrap();
                truth.marks.push((channel.namespace().to_owned(), *mark));
                truth.remove(&channel, Position::END, true);
            }
            self.dawdle().await;
            mark
        })
    }

    fn recall(&self, keys: Vec<MemoKey>) -> Answer<'_, Result<Vec<Option<Remembered>>, StoreError>> {
        Box::pin(async move { self.around(self.inner.recall(keys)).await })
    }

    fn memos_held(&self, kind: MemoKind, namespace: &str) -> MemosHeld {
        self.inner.memos_held(kind, namespace)
    }

    fn given(&self) -> Option<Position> {
        self.inner.given()
    }

    fn figures(&self) -> StoreFigures {
        self.inner.figures()
    }
}

struct Removing(Arc<Mutex<Truth>>);

impl Removing {
    fn new(truth: &Arc<Mutex<Truth>>) -> Self {
        truth.lock().unwrap().removing += 1;
        Self(truth.clone())
    }
}

impl Drop for Removing {
    fn drop(&mut self) {
        self.0.lock().unwrap().removing -= 1;
    }
}

/// Writes down which heads are told.
struct Listening {
    inner: Box<dyn Follow>,
    told: Arc<Mutex<Position>>,
}

impl Follow for Listening {
    fn next(&mut self) -> Answer<'_, Followed> {
        Box::pin(async {
            let followed = self.inner.next().await;
            if let Followed::News { head, .. } = &followed {
                let mut told = self.told.lock().unwrap();
                *told = (*told).max(*head);
            }
            followed
        })
    }
}
