//! Publishers that send again until they know, over the store that fails in every way, and nodes that are started anew.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
};

use fastrand::Rng;
use sosik_core::{
    Data, Draft, Epoch, Error, Grant, Key, LogId, NodeOptions, Once, Position, Producer, Publish, Published,
    Store, record,
};
use sosik_testkit::{
    Memory,
    faulty::{FOREIGN, FaultPlan, Faulty},
    seed::seeds,
};
use tokio::task::{AbortHandle, Id, JoinSet};

use crate::{
    kit::{Recorded, Running, Truth, channel, grant},
    namespaces,
};

/// What a publisher numbers or names is stored once, in its order where it has one, and every answer says the same places,
/// whatever the store answers, over two nodes, across starts.
// Mutants, each planted and seen to fail here: places taken from what is known after the memos were read; not judged again
// after a conflict -> stored twice; `since` not asked -> a key that was pushed out is stored again.
#[tokio::test]
async fn what_is_sent_again_is_stored_once_and_answered_alike() {
    let mut told = Told::default();
    for seed in seeds(150) {
        let mut run = Run::new(seed.rng()).await;
        run.run().await;
        told.add(&run.told);
    }
    assert!(
        told.duplicates > 1_000 && told.gaps > 500 && told.unknown > 500 && told.expired > 50,
        "{told:?}"
    );
}

/// How often it was told, so that nothing of it is left out by chance.
#[derive(Debug, Default)]
struct Told {
    duplicates: usize,
    gaps: usize,
    unknown: usize,
    expired: usize,
}

impl Told {
    fn add(&mut self, other: &Self) {
        self.duplicates += other.duplicates;
        self.gaps += other.gaps;
        self.unknown += other.unknown;
        self.expired += other.expired;
    }
}

/// One publish, sent until it is known to be stored.
struct Item {
    publish: Publish,
    /// Of a producer: its number, and whose.
    of: Option<(usize, u64)>,
    /// What is in the stored events, one for each draft.
    texts: Vec<String>,
    state: State,
    places: Option<Vec<(Position, u64)>>,
    under_way: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Known,
    /// Nobody can say any more: not stored, or once.
    GivenUp,
}

struct Run {
    rng: Rng,
    now: u64,
    faulty: Faulty,
    plan: FaultPlan,
    truth: Arc<Mutex<Truth>>,
    keys_max: u64,
    nodes: Vec<Running>,
    starts: u64,
    items: Vec<Item>,
    attempts: JoinSet<Result<Vec<Published>, Error>>,
    /// Which publish an attempt is of, and on which node it is.
    attempt_of: HashMap<Id, (usize, usize, AbortHandle)>,
    told: Told,
}

impl Run {
    async fn new(mut rng: Rng) -> Self {
        let mut plan = FaultPlan::everything();
        plan.behind = *[0, 0, 20].get(rng.usize(..3)).unwrap();
        plan.full = *[0, 30].get(rng.usize(..2)).unwrap();
        let truth = Arc::new(Mutex::new(Truth::new(Epoch::new(1))));
        let mut steps = rng.fork();
        let memory = Memory::with_steps(Epoch::new(1), move || steps.u64(1..4));
        let inner = Recorded::new(Arc::new(memory), truth.clone(), rng.fork(), 0);
        let faulty = Faulty::new(Arc::new(inner), rng.u64(..), plan);
        let keys_max = if rng.bool() { 1_000 } else { 3 };
        let mut run = Self {
            now: 1_000_000,
            faulty,
            plan,
            truth,
            keys_max,
            nodes: Vec::new(),
            starts: 0,
            items: Vec::new(),
            attempts: JoinSet::new(),
            attempt_of: HashMap::new(),
            told: Told::default(),
            rng,
        };
        for _ in 0..2 {
            let node = run.start().await;
            run.nodes.push(node);
        }
        run
    }

    async fn start(&mut self) -> Running {
        let nothing = Arc::new(Mutex::new(Truth::new(Epoch::new(1))));
        let disk = Recorded::new(Arc::new(self.faulty.clone()), nothing, self.rng.fork(), 0);
        let stores: [Arc<dyn Store>; 2] = [Arc::new(disk), Arc::new(Memory::new(Epoch::new(2)))];
        let mut spaces = namespaces();
        spaces.iter_mut().for_each(|space| space.idempotency_keys_max = self.keys_max);
        self.starts += 1;
        // The double may refuse to open.
        self.faulty.set_plan(FaultPlan { read_unavailable: 0, ..self.plan });
        let running = Running::open(NodeOptions::new(spaces, self.starts), stores).await;
        self.faulty.set_plan(self.plan);
        running
    }

    async fn run(&mut self) {
        for _ in 0..40 {
            self.more();
            for _ in 0..self.rng.usize(1..5) {
                self.send_any();
            }
            if self.rng.u8(..12) == 0 {
                self.restart().await;
            }
            let ms = self.rng.u64(..300);
            self.time(ms).await;
        }
        self.plan = FaultPlan::none();
        self.faulty.set_plan(self.plan);
        self.faulty.settle().await;
        for _ in 0..4_000 {
            if self.items.iter().all(|item| item.state != State::Open) && self.attempts.is_empty() {
                return self.check();
            }
            self.send_any();
            self.time(100).await;
        }
        let open = self.items.iter().filter(|item| item.state == State::Open).count();
        panic!("{open} of {} publishes never come to an end", self.items.len());
    }

    /// Another publish, of one of three producers or under a key.
    fn more(&mut self) {
        let number = self.items.len();
        let which = self.rng.usize(..5);
        let name = |number: usize| format!("room:{}", number % 3);
        let (names, once, of) = if which < 3 {
            let last = self.items.iter().filter_map(|item| item.of.filter(|of| of.0 == which)).count() as u64;
            let producer = Producer { id: format!("p{which}").into(), epoch: 1, seq: last + 1 };
            (vec![name(which)], Once::Producer(producer), Some((which, last + 1)))
        } else {
            let names = (0..self.rng.usize(1..4)).map(|_| name(self.rng.usize(..3))).collect();
            let key = Key { text: format!("k{number}").into(), made_at: Some(self.now) };
            (names, Once::Key(key), None)
        };
        let texts: Vec<_> = (0..names.len()).map(|at| format!("{}", number * 10 + at)).collect();
        let drafts = names.iter().zip(&texts).map(|(name, text)| Draft::json(channel(name), text.clone()));
        let publish = Publish { drafts: drafts.collect(), once: Some(once) };
        self.items.push(Item { publish, of, texts, state: State::Open, places: None, under_way: 0 });
    }

    /// Sends one that is not known, or one that is once more; maybe over two nodes at once.
    fn send_any(&mut self) {
        let open: Vec<_> = (0..self.items.len()).filter(|at| self.items[*at].state == State::Open).collect();
        // A producer keeps few under way, oldest first.
        let first = open.iter().copied().take(6).collect::<Vec<_>>();
        let at = match self.rng.choice(&first) {
            Some(at) if self.rng.u8(..5) > 0 => *at,
            _ => self.rng.usize(..self.items.len()),
        };
        if self.items[at].under_way < 3 {
            let node = self.rng.usize(..self.nodes.len());
            self.send(at, node);
        }
    }

    fn send(&mut self, at: usize, on: usize) {
        self.items[at].under_way += 1;
        let (publish, now) = (self.items[at].publish.clone(), self.now);
        let node = self.nodes[on].node.clone();
        let grant = Grant { subject: "alice".into(), ..grant(&["room"]) };
        let attempt = self.attempts.spawn(async move { node.publish(&grant, publish, now).await });
        self.attempt_of.insert(attempt.id(), (at, on, attempt));
    }

    /// One node ends in the middle of everything, and starts again.
    async fn restart(&mut self) {
        let on = self.rng.usize(..self.nodes.len());
        for (_, node, attempt) in self.attempt_of.values() {
            if *node == on {
                attempt.abort();
            }
        }
        self.nodes[on] = self.start().await;
    }

    async fn time(&mut self, ms: u64) {
        self.now += ms;
        for running in &self.nodes {
            running.node.tick(self.now);
        }
        for _ in 0..self.rng.usize(1..40) {
            tokio::task::yield_now().await;
        }
        while let Some(done) = self.attempts.try_join_next_with_id() {
            let (id, outcome) = match done {
                Ok((id, outcome)) => (id, Some(outcome)),
                Err(cancelled) => (cancelled.id(), None),
            };
            let (at, ..) = self.attempt_of.remove(&id).unwrap();
            self.answered(at, outcome);
        }
    }

    fn answered(&mut self, at: usize, outcome: Option<Result<Vec<Published>, Error>>) {
        let item = &mut self.items[at];
        item.under_way -= 1;
        match outcome {
            Some(Ok(published)) => {
                let places: Vec<_> = published.iter().map(|one| (one.position, one.seq)).collect();
                assert_eq!(*item.places.get_or_insert_with(|| places.clone()), places, "another place");
                self.told.duplicates += usize::from(published[0].duplicate);
                assert_ne!(item.state, State::GivenUp, "nobody knew, and now somebody does");
                item.state = State::Known;
            }
            Some(Err(Error::Unavailable | Error::StorageFull)) | None => self.told.unknown += 1,
            Some(Err(Error::ProducerGap { expected })) => {
                let (_, seq) = item.of.unwrap();
                assert!(expected < seq, "{seq} is no gap before {expected}");
                self.told.gaps += 1;
            }
            Some(Err(Error::KeyExpired)) if self.keys_max < 1_000 => {
                self.told.expired += 1;
                if item.state == State::Open && item.under_way == 0 {
                    item.state = State::GivenUp;
                }
            }
            // All but the newest 64 are forgotten; a run has fewer.
            Some(Err(other)) => panic!("{other}"),
        }
    }

    fn check(&self) {
        let truth = self.truth.lock().unwrap();
        let mut stored: BTreeMap<String, Vec<(Position, u64)>> = BTreeMap::new();
        for fact in &truth.facts {
            let event = record::decode(LogId::Disk, truth.epoch, &fact.stored).unwrap();
            let Data::Json(text) = &event.data else { panic!("{event:?}") };
            if *event.name != *FOREIGN {
                let text = String::from_utf8(text.to_vec()).unwrap();
                stored.entry(text).or_default().push((event.position, event.seq));
            }
        }
        let mut last_of: HashMap<usize, Position> = HashMap::new();
        for item in &self.items {
            let places: Vec<_> =
                item.texts.iter().flat_map(|text| stored.remove(text).unwrap_or_default()).collect();
            match &item.places {
                Some(told) => {
                    assert_eq!(places, *told, "{:?} is stored elsewhere, or again", item.publish.once)
                }
                None => assert!(places.is_empty() || places.len() == item.texts.len(), "{places:?}"),
            }
            if let Some((producer, _)) = item.of {
                let last = last_of.entry(producer).or_default();
                assert!(places[0].0 > *last, "a producer's order is not kept");
                *last = places[0].0;
            }
        }
        assert!(stored.is_empty(), "{stored:?}");
    }
}
