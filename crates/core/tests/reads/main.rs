//! What lies below the tails: read once for all who come near it, and never more than it takes.
#![allow(clippy::unwrap_used)]

#[path = "../kit/mod.rs"]
mod kit;

mod damage;
mod many;
mod shared;

use std::sync::{Arc, Mutex, atomic::Ordering};

use sosik_core::{
    Budget, Cursor, Epoch, Event, LogId, Look, Namespace, NodeOptions, Page, Part, Position, Published,
    Reader, Start, Store, What,
};
use sosik_testkit::{Memory, Scratch};

use self::kit::{Recorded, Running, Truth, channel, draft, grant, patterns, settle};

const SPACES: &[&str] = &["room", "shot"];
const ALL: Budget = Budget { events: 1_000, bytes: 1 << 20 };

/// A node over stores that count what is read.
struct Rig {
    running: Running,
    stores: [Recorded; 2],
}

impl Rig {
    async fn new() -> Self {
        Self::with(0).await
    }

    /// Its stores take their time, so that readers meet.
    async fn dawdling() -> Self {
        Self::with(100).await
    }

    async fn with(dawdle: u8) -> Self {
        let memory = |epoch| recorded(Memory::new(Epoch::new(epoch)), dawdle);
        Self::over([memory(1), memory(2)]).await
    }

    /// Over what is in `scratch`, with an empty log in memory.
    async fn on(scratch: &Scratch) -> Self {
        Self::over([recorded(scratch.open(), 0), recorded(Memory::new(Epoch::new(2)), 0)]).await
    }

    async fn over(stores: [Recorded; 2]) -> Self {
        Self { running: open(&stores).await, stores }
    }

    /// The node again, over the same stores: its tails are empty.
    async fn restart(&mut self) {
        settle().await;
        self.running = open(&self.stores).await;
    }

    async fn publish(&self, names: &[&str]) -> Vec<Published> {
        let mut all = Vec::new();
        for names in names.chunks(1_000) {
            let drafts: Vec<_> = names.iter().map(|name| draft(name, "1")).collect();
            all.extend(self.running.node.publish(&grant(SPACES), drafts, 1).await.unwrap());
        }
        settle().await;
        all
    }

    async fn read(&self, set: &[&str], start: Start) -> Reader {
        self.running.node.read(grant(SPACES), &patterns(set), start, 1).await.unwrap()
    }

    /// How often the memory log's store was asked for a page since the last time.
    fn reads(&self) -> usize {
        self.reads_of(LogId::Memory)
    }

    fn reads_of(&self, log: LogId) -> usize {
        self.stores[log.index()].reads.swap(0, Ordering::Relaxed)
    }
}

fn recorded(store: impl Store, dawdle: u8) -> Recorded {
    let truth = Arc::new(Mutex::new(Truth::new(Epoch::new(1))));
    Recorded::new(Arc::new(store), truth, fastrand::Rng::with_seed(1), dawdle)
}

/// `room` and `shot` live in the memory log, unless it is empty and the other one is not.
async fn open(stores: &[Recorded; 2]) -> Running {
    let on_disk = stores[0].inner.open().await.unwrap().head > Position::START;
    let mut spaces = vec![Namespace::new("room"), Namespace::new("shot")];
    spaces[1].forgettable = true;
    for space in &mut spaces {
        space.events_max = 100_000;
        space.log = if on_disk { LogId::Disk } else { LogId::Memory };
    }
    let stores = stores.clone().map(|store| Arc::new(store) as Arc<dyn Store>);
    let running = Running::open(NodeOptions::new(spaces, fastrand::u64(..)), stores).await;
    settle().await;
    running
}

/// Everything that follows.
async fn drain(reader: &mut Reader) -> (Vec<Arc<Event>>, usize) {
    let (mut page, mut events, mut gaps) = (Page::default(), Vec::new(), 0);
    loop {
        match reader.look(1, ALL, &mut page).unwrap() {
            Look::Nothing => return (events, gaps),
            Look::Below => reader.fetch().await.unwrap(),
            Look::Found => {
                for item in &page.items {
                    match &item.what {
                        What::Event(event) => events.push(event.clone()),
                        What::Gap(_) => gaps += 1,
                        What::CaughtUp | What::Joined(_) => {}
                    }
                }
                reader.took(&page, page.items.len());
            }
        }
    }
}

/// Behind an event of the memory log.
fn behind(published: &Published) -> Start {
    Start::After(Cursor::new([Part { position: published.position, ..published.part() }]))
}
