//! The whole core over a store that fails in every way that a store may. Time goes on by hand.
#![allow(clippy::unwrap_used)]

#[path = "../kit/mod.rs"]
mod kit;

mod once;
mod single;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex},
};

use fastrand::Rng;
use sosik_core::{
    Budget, ChannelName, Cursor, Data, Draft, Epoch, Error, LogId, Look, Namespace, Node, Page, Position,
    Published, Reader, Start, Store, What, record,
};
use sosik_testkit::Memory;
use sosik_testkit::{
    faulty::{FOREIGN, FaultPlan, Faulty},
    seed::seeds,
};
use tokio::task::JoinSet;

use self::kit::{Recorded, Running, Truth, channel, grant, patterns, settle};

/// Publishers, alone and in batches, several at once, on two nodes over one store; readers that change nodes.
// Mutants, each planted and seen to fail here: after an attempt of unknown fate a new batch is numbered, at once or when
// the next one is refused -> stored twice.
#[tokio::test]
async fn what_is_acknowledged_is_stored_once_and_reaches_everybody_once_and_in_order() {
    for seed in seeds(900) {
        Run::new(seed.rng()).await.run().await;
    }
}

/// What became of one publish.
type Outcome = (Vec<u64>, Result<Vec<Published>, Error>);

struct Run {
    rng: Rng,
    now: u64,
    number: u64,
    faulty: Faulty,
    truth: Arc<Mutex<Truth>>,
    plan: FaultPlan,
    nodes: Vec<(Running, Arc<Mutex<Position>>)>,
    /// Stopped, with publishes that may still wait for their answer.
    stopped: Vec<Arc<Node>>,
    publishes: JoinSet<Outcome>,
    outcomes: Vec<Outcome>,
    clients: Vec<Client>,
}

/// A reader that comes back when it is sent away.
struct Client {
    node: usize,
    reader: Option<Reader>,
    cursor: Option<Cursor>,
    seen: HashMap<ChannelName, u64>,
    events: Vec<(Position, ChannelName, u64)>,
    page: Page,
}

impl Run {
    async fn new(mut rng: Rng) -> Self {
        let mut plan = FaultPlan::everything();
        plan.behind = *[0, 0, 20].get(rng.usize(..3)).unwrap();
        if rng.bool() {
            plan.foreign = 0;
            plan.old_head = 0;
        }
        let truth = Arc::new(Mutex::new(Truth::new(Epoch::new(1))));
        let mut steps = rng.fork();
        let memory = Memory::with_steps(Epoch::new(1), move || steps.u64(1..4));
        let inner = Recorded::new(Arc::new(memory), truth.clone(), rng.fork(), 0);
        let faulty = Faulty::new(Arc::new(inner), rng.u64(..), FaultPlan::none());
        let mut nodes = Vec::new();
        // A store that is alone has one node.
        let alone = plan.foreign == 0;
        let faulty = if alone { faulty } else { Faulty::new(Arc::new(faulty), rng.u64(..), plan) };
        for _ in 0..if alone { 1 } else { 2 } {
            nodes.push(start(&faulty, plan, &mut rng).await);
        }
        let clients = (0..3).map(|_| Client::new(rng.usize(..nodes.len()))).collect();
        let (publishes, outcomes, stopped) = Default::default();
        Self { rng, now: 1_000, number: 0, faulty, truth, plan, nodes, stopped, publishes, outcomes, clients }
    }

    async fn run(mut self) {
        for _ in 0..40 {
            for _ in 0..self.rng.usize(..3) {
                self.publish();
            }
            self.time(self.rng.clone().u64(..200)).await;
            let index = self.rng.usize(..self.clients.len());
            self.look(index).await;
            if self.rng.u8(..20) == 0 {
                self.restart().await;
            }
        }
        self.faulty.set_plan(FaultPlan::none());
        self.faulty.settle().await;
        let mut ticks = 0;
        while !self.publishes.is_empty() {
            self.time(100).await;
            ticks += 1;
            assert!(ticks < 400, "{} publishes hang", self.publishes.len());
        }
        self.check_outcomes();
        for index in 0..self.clients.len() {
            self.drain(index).await;
        }
    }

    /// A node stops in the middle of whatever it does, and starts again: its readers come back with their cursors.
    async fn restart(&mut self) {
        let index = self.rng.usize(..self.nodes.len());
        let node = start(&self.faulty, self.plan, &mut self.rng).await;
        let (stopped, _) = std::mem::replace(&mut self.nodes[index], node);
        self.stopped.push(stopped.node.clone());
        for client in self.clients.iter_mut().filter(|client| client.node == index) {
            client.reader = None;
        }
    }

    async fn time(&mut self, ms: u64) {
        self.now += ms;
        self.nodes.iter().for_each(|(running, _)| running.node.tick(self.now));
        self.stopped.iter().for_each(|node| node.tick(self.now));
        for _ in 0..self.rng.usize(1..40) {
            tokio::task::yield_now().await;
        }
        while let Some(done) = self.publishes.try_join_next() {
            self.outcomes.push(done.unwrap());
        }
    }

    fn publish(&mut self) {
        let count = if self.rng.bool() { 1 } else { self.rng.usize(2..6) };
        let numbers: Vec<_> = (0..count).map(|i| self.number + 1 + i as u64).collect();
        self.number += count as u64;
        let draft = |number: &u64| {
            let name = format!("room:{}", self.rng.clone().usize(..3) + *number as usize % 2);
            Draft::json(channel(&name), number.to_string())
        };
        let drafts: Vec<_> = numbers.iter().map(draft).collect();
        let node: Arc<Node> = self.rng.choice(&self.nodes).unwrap().0.node.clone();
        let now = self.now;
        self.publishes.spawn(async move { (numbers, node.publish(&grant(&["room"]), drafts, now).await) });
    }

    async fn look(&mut self, index: usize) -> bool {
        let client = &mut self.clients[index];
        let (running, told) = &self.nodes[client.node];
        let again = client.look(running, &mut self.rng, self.now).await;
        let head = *told.lock().unwrap();
        let above = client.events.last().filter(|(position, ..)| *position > head);
        assert_eq!(above, None, "told above the committed head {head:?}");
        if again.is_none() {
            client.node = self.rng.usize(..self.nodes.len());
        }
        again == Some(true)
    }

    /// Everything reaches the reader once, in order, without a gap: nothing was removed.
    async fn drain(&mut self, index: usize) {
        let all: Vec<_> = {
            let truth = self.truth.lock().unwrap();
            let one = |fact: &kit::truth::Fact| {
                (fact.stored.position, fact.stored.channel.clone(), fact.stored.seq)
            };
            truth.facts.iter().map(one).collect()
        };
        for _ in 0..5_000 {
            if !self.look(index).await && self.clients[index].events.len() >= all.len() {
                assert_eq!(self.clients[index].events, all);
                return;
            }
            self.time(100).await;
        }
        panic!("{} of {} events reach the reader", self.clients[index].events.len(), all.len());
    }

    fn check_outcomes(&self) {
        let truth = self.truth.lock().unwrap();
        let mut stored: HashMap<u64, Vec<usize>> = HashMap::new();
        for (at, fact) in truth.facts.iter().enumerate() {
            let event = record::decode(LogId::Disk, truth.epoch, &fact.stored).unwrap();
            let Data::Json(text) = &event.data else { panic!("{event:?}") };
            if *event.name != *FOREIGN {
                let number = std::str::from_utf8(text).unwrap().parse().unwrap();
                stored.entry(number).or_default().push(at);
            }
        }
        let mut acknowledged = HashSet::new();
        for (numbers, outcome) in &self.outcomes {
            let places: Vec<usize> =
                numbers.iter().flat_map(|number| stored.get(number).cloned().unwrap_or_default()).collect();
            match outcome {
                Ok(published) => {
                    assert_eq!(places.len(), numbers.len(), "{numbers:?} acknowledged, stored at {places:?}");
                    for (&at, published) in places.iter().zip(published) {
                        let fact = &truth.facts[at].stored;
                        assert_eq!((fact.position, fact.seq), (published.position, published.seq));
                        assert!(acknowledged.insert(fact.position), "two have one place");
                    }
                }
                Err(Error::Unavailable) => {
                    assert!(places.is_empty() || places.len() == numbers.len(), "half a batch, or twice");
                }
                Err(_) => assert!(places.is_empty(), "{numbers:?} refused with {outcome:?}, but stored"),
            }
            assert!(places.windows(2).all(|two| two[0] + 1 == two[1]), "something within a batch");
        }
    }
}

/// A node over the double, and the highest head that it was told.
async fn start(faulty: &Faulty, plan: FaultPlan, rng: &mut Rng) -> (Running, Arc<Mutex<Position>>) {
    let nothing = Arc::new(Mutex::new(Truth::new(Epoch::new(1))));
    let disk = Recorded::new(Arc::new(faulty.clone()), nothing, rng.fork(), 0);
    let told = disk.told.clone();
    let stores: [Arc<dyn Store>; 2] = [Arc::new(disk), Arc::new(Memory::new(Epoch::new(2)))];
    let mut options = sosik_core::NodeOptions::new(namespaces(), rng.u64(..));
    options.append_queue_max = 1_000;
    // The double may refuse to open.
    faulty.set_plan(FaultPlan { read_unavailable: 0, ..plan });
    let running = Running::open(options, stores).await;
    faulty.set_plan(plan);
    (running, told)
}

impl Client {
    fn new(node: usize) -> Self {
        let (reader, cursor, seen, events, page) = Default::default();
        Self { node, reader, cursor, seen, events, page }
    }

    /// Whether there was something; `None` when it was sent away.
    async fn look(&mut self, running: &Running, rng: &mut Rng, now: u64) -> Option<bool> {
        if self.reader.is_none() {
            let start = self.cursor.clone().map_or(Start::Beginning, Start::After);
            let set =
                patterns(if rng.bool() { &["room:*"] } else { &["room:0", "room:1", "room:2", "room:3"] });
            match running.node.read(grant(&["room"]), &set, start, now).await {
                Ok(reader) => self.reader = Some(reader),
                Err(Error::Unavailable) => return None,
                Err(other) => panic!("{other}"),
            }
        }
        let reader = self.reader.as_mut().unwrap();
        let budget = Budget { events: rng.usize(1..20), bytes: 1_000 };
        match reader.look(now, budget, &mut self.page) {
            Ok(Look::Nothing) => return Some(false),
            Ok(Look::Below) => match reader.fetch().await {
                Ok(()) | Err(Error::Unavailable) => return Some(true),
                Err(other) => panic!("{other}"),
            },
            Ok(Look::Found) => {}
            Err(Error::Rebalance) => {
                self.reader = None;
                return None;
            }
            Err(other) => panic!("{other}"),
        }
        let count = rng.usize(1..=self.page.items.len());
        for item in &self.page.items[..count] {
            match &item.what {
                What::Event(event) => {
                    let seen = self.seen.entry(event.channel.clone()).or_default();
                    if event.seq > *seen {
                        assert_eq!(event.seq, *seen + 1, "a hole before {event:?}");
                        *seen = event.seq;
                        self.events.push((event.position, event.channel.clone(), event.seq));
                    }
                }
                What::Gap(gap) => panic!("nothing is gone, but {gap:?}"),
                What::CaughtUp | What::Joined(_) => {}
            }
        }
        reader.took(&self.page, count);
        self.cursor = reader.cursor();
        if rng.u8(..10) == 0 {
            self.reader = None;
        }
        Some(true)
    }
}

fn namespaces() -> Vec<Namespace> {
    let mut room = Namespace::new("room");
    room.log = LogId::Disk;
    let mut shot = Namespace::new("shot");
    (shot.log, shot.forgettable) = (LogId::Disk, true);
    vec![room, shot]
}

/// Lets the runtime rest, for the tests of one thing.
async fn rest() {
    settle().await;
}
