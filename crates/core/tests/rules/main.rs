//! The rules of `docs/protocol/rules.md`, one clause per test. Each names the planted bug that it was seen to catch.
#![allow(clippy::unwrap_used)]

#[path = "../kit/mod.rs"]
mod kit;

mod begin;
mod capacity;
mod cursors;
mod epochs;
mod forgotten;
mod gaps;
mod head;
mod join;
mod keys;
mod pages;
mod producers;
mod publishing;
mod removal;
mod retention;

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use sosik_core::{
    Budget, Cursor, Draft, Epoch, Error, GapReason, Grant, Joined, Key, LogId, Look, Namespace, NodeOptions,
    Once, Page, Part, Pattern, Position, Producer, Publish, Published, Reader, Start, Store, What,
    limits::APPEND_QUEUE_BYTES_MAX,
};
use sosik_testkit::Memory;
use tokio::task::JoinSet;

use self::kit::{Recorded, Running, Truth, channel, draft, grant, is_ready, pattern, patterns, settle};

type Outcome = Result<Vec<Published>, Error>;

const SPACES: &[&str] = &["room", "game", "shot", "typing", "disk"];
const ALL: Budget = Budget { events: 1_000, bytes: 1 << 20 };

/// A node over two memory stores, with everything that they were asked.
struct Rig {
    running: Running,
    spaces: Vec<Namespace>,
    stores: [Recorded; 2],
    now: u64,
}

impl Rig {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl Fn(&mut Namespace)) -> Self {
        let mut spaces: Vec<_> = SPACES.iter().map(|name| Namespace::new(*name)).collect();
        for space in &mut spaces {
            space.forgettable = *space.name == *"shot";
            space.signal = *space.name == *"typing";
            space.log = if *space.name == *"disk" { LogId::Disk } else { LogId::Memory };
            change(space);
        }
        let stores = [1, 2].map(|epoch| {
            let epoch = Epoch::new(epoch);
            let truth = Arc::new(Mutex::new(Truth::new(epoch)));
            Recorded::new(Arc::new(Memory::new(epoch)), truth, fastrand::Rng::with_seed(1), 0)
        });
        let running = open(&spaces, &stores).await;
        Self { running, spaces, stores, now: 1_000_000 }
    }

    /// The node again, over the same stores: its tails are empty, everything comes from pages.
    async fn restart(&mut self) {
        settle().await;
        self.running = open(&self.spaces, &self.stores).await;
    }

    /// As after a restart of the process: the memory log is empty and has another epoch.
    async fn lose_memory(&mut self) {
        self.stores[1].inner = Arc::new(Memory::new(Epoch::new(9)));
        self.stores[1].truth = Arc::new(Mutex::new(Truth::new(Epoch::new(9))));
        self.restart().await;
    }

    async fn publish(&self, names: &[&str]) -> Vec<Published> {
        let drafts: Vec<_> = names.iter().map(|name| draft(name, "1")).collect();
        let published = self.running.node.publish(&grant(SPACES), drafts, self.now).await.unwrap();
        settle().await;
        published
    }

    /// With what tells a second attempt, by `subject`.
    async fn publish_once(&self, subject: &str, drafts: Vec<Draft>, once: Once) -> Outcome {
        let grant = Grant { subject: subject.into(), ..grant(SPACES) };
        let publish = Publish { drafts, once: Some(once) };
        let published = self.running.node.publish(&grant, publish, self.now).await;
        settle().await;
        published
    }

    /// One event after the other.
    async fn publish_each(&self, names: &[&str]) -> Vec<Published> {
        let mut all = Vec::new();
        for name in names {
            all.extend(self.publish(&[*name]).await);
        }
        all
    }

    async fn trim(&self, name: &str, at: &Published) {
        self.running.node.log(at.log).trim(&channel(name), at.position, at.seq + 1).await.unwrap();
        settle().await;
    }

    async fn forget(&self, name: &str) {
        self.running.node.log(LogId::Memory).forget(&channel(name)).await.unwrap();
        settle().await;
    }

    async fn read(&self, set: &[&str], start: Start) -> Reader {
        self.running.node.read(grant(SPACES), &patterns(set), start, self.now).await.unwrap()
    }

    /// Everything that follows, `caught up` left out.
    async fn drain(&self, reader: &mut Reader) -> Vec<String> {
        self.drain_by(reader, ALL, usize::MAX).await
    }

    async fn drain_by(&self, reader: &mut Reader, budget: Budget, step: usize) -> Vec<String> {
        let (mut page, mut told) = (Page::default(), Vec::new());
        for _ in 0..100_000 {
            match reader.look(self.now, budget, &mut page).unwrap() {
                Look::Nothing => return told,
                Look::Below => reader.fetch().await.unwrap(),
                Look::Found => {
                    // Those of one place go together: no cursor lies between them.
                    let tied = page.items.iter().position(|item| !item.is_tied_to_next()).unwrap_or(0);
                    let count = page.items.len().min(step.max(tied + 1));
                    told.extend(page.items[..count].iter().filter_map(|item| text(&item.what)));
                    reader.took(&page, count);
                }
            }
        }
        panic!("looks for ever");
    }

    async fn told(&self, set: &[&str], start: Start) -> Vec<String> {
        self.drain(&mut self.read(set, start).await).await
    }
}

async fn open(spaces: &[Namespace], stores: &[Recorded; 2]) -> Running {
    let stores = stores.clone().map(|store| Arc::new(store) as Arc<dyn Store>);
    // Batch ids must differ from those of the node before.
    let running = Running::open(NodeOptions::new(spaces.to_vec(), fastrand::u64(..)), stores).await;
    settle().await;
    running
}

fn text(what: &What) -> Option<String> {
    Some(match what {
        What::Event(event) => format!("{}#{}", event.channel, event.seq),
        What::Gap(gap) => {
            let reason = match gap.reason {
                GapReason::Trimmed => "trimmed",
                GapReason::Epoch => "epoch",
                GapReason::Forgotten => "forgotten",
            };
            let number =
                |number: Option<u64>| number.map_or_else(|| "?".to_owned(), |number| number.to_string());
            let (next, lost) = (number(gap.next_seq), number(gap.lost));
            format!("{} {reason} at {} next {next} lost {lost}", gap.of, gap.part.position.number())
        }
        What::CaughtUp => return None,
        What::Joined(token) => format!("joined {token}"),
    })
}

fn producer(id: &str, epoch: u64, seq: u64) -> Once {
    Once::Producer(Producer { id: id.into(), epoch, seq })
}

fn key(text: &str, made_at: Option<u64>) -> Once {
    Once::Key(Key { text: text.into(), made_at })
}

/// Number, position and whether it was there before, of each event of an acknowledged publish.
fn places(outcome: &Outcome) -> Vec<(u64, u64, bool)> {
    let place = |one: &Published| (one.seq, one.position.number(), one.duplicate);
    outcome.as_ref().unwrap().iter().map(place).collect()
}

fn after(log: LogId, epoch: u64, position: u64) -> Start {
    Start::After(Cursor::new([Part { log, epoch: Epoch::new(epoch), position: Position::new(position) }]))
}

/// In the memory log of a [`Rig`].
fn behind(position: u64) -> Start {
    after(LogId::Memory, 2, position)
}
