//! One random history: publishers, trims, forgetting, restarts, and clients that come, go and change their minds.

use std::sync::{Arc, Mutex};

use fastrand::Rng;
use sosik_core::{
    Capacity, ChannelName, Cut, Draft, Error, LogId, Namespace, Pattern, Published, Start, Store,
};
use sosik_testkit::Scratch;
use tokio::task::JoinSet;

use crate::{
    client::Client,
    ground::{RESTS, SMALL, SPACES, capacity, disk, fresh, namespaces, open},
    kit::{Running, Truth, channel, grant, on_the_spot, pattern, settle},
};

/// What kind of history.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Profile {
    /// Chance in 256 that the store takes its time, before and after each call.
    pub(crate) dawdle: u8,
    /// Whether most events fill the tails quickly.
    pub(crate) big: bool,
    pub(crate) steps: usize,
    /// Whether the first log lies on a real disk, closed and opened again by each restart.
    pub(crate) on_disk: bool,
}

pub(crate) struct World {
    pub(crate) rng: Rng,
    profile: Profile,
    pub(crate) now: u64,
    next_epoch: u64,
    pub(crate) truths: [Arc<Mutex<Truth>>; 2],
    stores: [Arc<dyn Store>; 2],
    scratch: Scratch,
    pub(crate) running: Running,
    clients: Vec<Client>,
    publishes: JoinSet<Result<Vec<Published>, Error>>,
    others: JoinSet<()>,
    number: u64,
    pub(crate) namespaces: Vec<Namespace>,
    capacities: [Capacity; 2],
    story: Mutex<Vec<String>>,
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let story = self.story.lock().unwrap();
            println!("{}", story[story.len().saturating_sub(STORY_LINES)..].join("\n"));
        }
    }
}

impl World {
    pub(crate) async fn new(mut rng: Rng, profile: Profile) -> Self {
        let namespaces = namespaces(&mut rng, profile.big);
        let (a, b) = (fresh(&mut rng, profile, 1), fresh(&mut rng, profile, 2));
        let (truths, mut stores) = ([a.0, b.0], [a.1, b.1]);
        let scratch = Scratch::new();
        if profile.on_disk {
            stores[0] = disk(&mut rng, profile, &scratch, &truths[0]);
            let epoch = on_the_spot(stores[0].open()).unwrap().epoch;
            truths[0].lock().unwrap().epoch = epoch;
        }
        let capacities = LogId::ALL.map(|log| capacity(&mut rng, profile.big, log));
        let running = open(&namespaces, capacities, &stores).await;
        Self {
            rng,
            profile,
            now: 1_000_000,
            next_epoch: 3,
            truths,
            stores,
            scratch,
            running,
            clients: Vec::new(),
            publishes: JoinSet::new(),
            others: JoinSet::new(),
            number: 0,
            namespaces,
            capacities,
            story: Mutex::default(),
        }
    }

    /// Written down for the reader of a failure.
    pub(crate) fn tell(&self, line: impl FnOnce() -> String) {
        self.story.lock().unwrap().push(line());
    }

    pub(crate) async fn run(mut self) {
        for _ in 0..self.profile.steps {
            self.step().await;
            self.reap(false).await;
        }
        self.end().await;
    }

    async fn step(&mut self) {
        match self.rng.u8(..100) {
            0..30 => self.publish(),
            30..36 => self.trim().await,
            36..40 => self.forget().await,
            40..43 => self.operate().await,
            43..45 => self.let_time_pass().await,
            45..48 => self.restart(self.rng.clone().bool()).await,
            48..52 => {
                self.now += self.rng.u64(..4_000);
                self.running.node.tick(self.now);
            }
            52..58 => self.come().await,
            _ => self.client().await,
        }
        for _ in 0..self.rng.usize(..3) {
            tokio::task::yield_now().await;
        }
    }

    pub(crate) fn truth(&self, log: LogId) -> &Arc<Mutex<Truth>> {
        &self.truths[log.index()]
    }

    pub(crate) fn space(&self, name: &str) -> &Namespace {
        self.namespaces.iter().find(|own| *own.name == *name).unwrap()
    }

    fn any_channel(&mut self) -> ChannelName {
        let space = self.rng.choice(SPACES).unwrap();
        channel(&format!("{space}:{}", self.rng.choice(RESTS).unwrap()))
    }

    pub(crate) fn any_pattern(&mut self) -> Pattern {
        match self.rng.u8(..10) {
            0..6 => Pattern::Channel(self.any_channel()),
            6..9 => pattern(&format!("{}:*", self.rng.choice(SPACES).unwrap())),
            _ => pattern(&format!("{}:x:*", self.rng.choice(SPACES).unwrap())),
        }
    }

    fn draft(&mut self, log: LogId) -> Draft {
        let channel = loop {
            let channel = self.any_channel();
            if self.space(channel.namespace()).log == log {
                break channel;
            }
        };
        self.number += 1;
        let mut data = self.number.to_string().into_bytes();
        if self.profile.big && self.rng.u8(..4) > 0 {
            data.resize(60_000, b'0');
        }
        Draft::json(channel, data)
    }

    fn publish(&mut self) {
        let log = self.rng.choice(LogId::ALL).unwrap();
        for _ in 0..self.rng.usize(1..4) {
            let count = if self.rng.bool() { 1 } else { self.rng.usize(1..8) };
            let drafts: Vec<_> = (0..count).map(|_| self.draft(log)).collect();
            let (node, now) = (self.running.node.clone(), self.now);
            self.publishes.spawn(async move { node.publish(&grant(SPACES), drafts, now).await });
        }
    }

    async fn trim(&mut self) {
        let channel = self.any_channel();
        let log = self.space(channel.namespace()).log;
        let kept: Vec<_> = {
            let truth = self.truth(log).lock().unwrap();
            truth.of(&channel).filter(|fact| fact.removed.is_none() && fact.stored.kept).cloned().collect()
        };
        let Some(fact) = self.rng.choice(&kept).cloned() else { return };
        let log = self.running.node.log(log).clone();
        self.tell(|| format!("trim {channel} to {:?}", fact.stored.position));
        let job = async move {
            log.trim(&channel, fact.stored.position, fact.stored.seq + 1).await.unwrap();
        };
        self.do_now_or_later(job).await;
    }

    async fn forget(&mut self) {
        let channel = self.any_channel();
        let space = self.space(channel.namespace());
        if !space.forgettable {
            return;
        }
        let log = self.running.node.log(space.log).clone();
        self.tell(|| format!("forget {channel}"));
        self.do_now_or_later(async move { log.forget(&channel).await.unwrap() }).await;
    }

    /// What an operator does by name.
    async fn operate(&mut self) {
        let channel = self.any_channel();
        let cut = if self.rng.bool() { Cut::Keep(0) } else { Cut::Keep(self.rng.u64(..6)) };
        let (node, now) = (self.running.node.clone(), self.now);
        self.tell(|| format!("{channel} is cut: {cut:?}"));
        let job = async move { _ = node.trim(&grant(SPACES), &channel, cut, now).await.unwrap() };
        self.do_now_or_later(job).await;
    }

    /// A minute or so, in which what is too old goes and what is quiet is forgotten.
    async fn let_time_pass(&mut self) {
        self.reap(true).await;
        let seconds = self.rng.usize(..90);
        self.tell(|| format!("{seconds} s go by"));
        for _ in 0..seconds {
            self.now += 1_000;
            self.running.node.tick(self.now);
            for _ in 0..self.rng.usize(..20) {
                tokio::task::yield_now().await;
            }
        }
    }

    /// What the stores say they keep is what was never removed.
    fn check_kept(&self) {
        for (store, truth) in self.stores.iter().zip(&self.truths) {
            let (figures, truth) = (store.figures(), truth.lock().unwrap());
            let kept = truth.facts.iter().filter(|fact| fact.stored.kept && fact.removed.is_none());
            let bytes: Vec<_> = kept.map(|fact| fact.stored.body.len() as u64).collect();
            let said = (figures.kept_events, figures.kept_bytes);
            assert_eq!(said, (bytes.len() as u64, bytes.iter().sum()), "{:?}", truth.epoch);
        }
    }

    async fn do_now_or_later(&mut self, job: impl Future<Output = ()> + Send + 'static) {
        if self.rng.bool() { job.await } else { _ = self.others.spawn(job) }
    }

    /// The node starts again: over what is stored, or with an empty memory log.
    async fn restart(&mut self, memory_is_lost: bool) {
        self.reap(true).await;
        settle().await;
        self.tell(|| format!("restart, memory is lost: {memory_is_lost}"));
        if memory_is_lost {
            let (truth, store) = fresh(&mut self.rng, self.profile, self.next_epoch);
            self.next_epoch += 1;
            (self.truths[1], self.stores[1]) = (truth, store);
        }
        let mut clients = std::mem::take(&mut self.clients);
        clients.iter_mut().for_each(Client::cut);
        if self.profile.on_disk {
            self.reopen().await;
        }
        self.check_kept();
        self.running = open(&self.namespaces, self.capacities, &self.stores).await;
        for mut client in clients {
            client.come_back(self).await;
            self.clients.push(client);
        }
    }

    /// The log on disk is closed, which takes that nobody holds it any more, and opened again.
    async fn reopen(&mut self) {
        let nothing = || fresh(&mut self.rng.clone(), self.profile, 1).1;
        self.stores[0] = nothing();
        self.running = open(&self.namespaces, self.capacities, &[nothing(), nothing()]).await;
        settle().await;
        self.stores[0] = disk(&mut self.rng, self.profile, &self.scratch, &self.truths[0]);
        let opened = on_the_spot(self.stores[0].open()).unwrap();
        let truth = self.truths[0].lock().unwrap();
        assert_eq!((opened.epoch, opened.head), (truth.epoch, truth.head()), "the same log");
    }

    /// What was acknowledged is where the acknowledgement says.
    async fn reap(&mut self, all: bool) {
        loop {
            let done = match all {
                true => {
                    let mut rest = 100_000;
                    while self.publishes.try_join_next().map(|done| self.check(done.unwrap())).is_some()
                        || self.others.try_join_next().map(|done| done.unwrap()).is_some()
                        || !(self.publishes.is_empty() && self.others.is_empty())
                    {
                        tokio::task::yield_now().await;
                        rest -= 1;
                        assert!(rest > 0, "a publish or a trim hangs");
                    }
                    None
                }
                false => self.publishes.try_join_next(),
            };
            let Some(done) = done else { return };
            self.check(done.unwrap());
        }
    }

    fn check(&self, done: Result<Vec<Published>, Error>) {
        let published = match done {
            Err(Error::Overloaded) if self.capacities.iter().any(|own| own.bytes_max < SMALL) => return,
            done => done.unwrap(),
        };
        for placed in &published {
            let truth = self.truth(placed.log).lock().unwrap();
            if truth.epoch == placed.epoch {
                let fact = truth.at(placed.position).expect("an acknowledged event is stored");
                assert_eq!(fact.stored.seq, placed.seq);
            }
        }
        let positions: Vec<_> = published.iter().map(|placed| placed.position).collect();
        if let (Some(first), Some(last)) = (positions.first(), positions.last()) {
            let truth = self.truth(published[0].log).lock().unwrap();
            if truth.epoch == published[0].epoch {
                let between = truth
                    .facts
                    .iter()
                    .map(|fact| fact.stored.position)
                    .filter(|at| at >= first && at <= last);
                assert!(between.eq(positions.iter().copied()), "a batch is consecutive");
            }
        }
    }

    async fn come(&mut self) {
        if self.clients.len() < CLIENTS_MAX {
            let client = Client::come(self).await;
            self.clients.push(client);
        }
    }

    async fn client(&mut self) {
        if self.clients.is_empty() {
            return;
        }
        let index = self.rng.usize(..self.clients.len());
        let mut client = self.clients.swap_remove(index);
        client.act(self).await;
        self.clients.push(client);
    }

    pub(crate) fn any_start(&mut self) -> Start {
        match self.rng.u8(..4) {
            0 => Start::Now,
            1 => Start::Beginning,
            2 => Start::Last(self.rng.u64(..6)),
            _ => Start::Last(self.rng.u64(..50)),
        }
    }

    async fn end(mut self) {
        self.reap(true).await;
        settle().await;
        self.check_kept();
        for mut client in std::mem::take(&mut self.clients) {
            client.end(&mut self).await;
            client.cut();
            client.come_back(&mut self).await;
            client.end(&mut self).await;
        }
    }
}

const STORY_LINES: usize = 400;
const CLIENTS_MAX: usize = 5;
