//! What a history happens on: a node, its stores, and namespaces with their bounds.

use std::sync::{Arc, Mutex};

use fastrand::Rng;
use sosik_core::{Capacity, Epoch, Full, LogId, Namespace, NodeOptions, Store};
use sosik_testkit::{Memory, Scratch};

use crate::{
    kit::{Recorded, Running, Truth, settle},
    world::Profile,
};

pub(crate) async fn open(
    namespaces: &[Namespace],
    capacities: [Capacity; 2],
    stores: &[Arc<dyn Store>; 2],
) -> Running {
    let options = NodeOptions::new(namespaces.to_vec(), fastrand::u64(..));
    let running = Running::open(NodeOptions { capacities, ..options }, stores.clone()).await;
    settle().await;
    running
}

pub(crate) fn fresh(rng: &mut Rng, profile: Profile, epoch: u64) -> (Arc<Mutex<Truth>>, Arc<dyn Store>) {
    let mut steps = rng.fork();
    let most = rng.choice([1, 2, 30]).unwrap();
    let memory = Memory::with_steps(Epoch::new(epoch), move || steps.u64(1..=most));
    let truth = Arc::new(Mutex::new(Truth::new(Epoch::new(epoch))));
    let store = Recorded::new(Arc::new(memory), truth.clone(), rng.fork(), profile.dawdle);
    (truth, Arc::new(store))
}

pub(crate) fn disk(
    rng: &mut Rng,
    profile: Profile,
    scratch: &Scratch,
    truth: &Arc<Mutex<Truth>>,
) -> Arc<dyn Store> {
    let mut store = Recorded::new(Arc::new(scratch.open()), truth.clone(), rng.fork(), profile.dawdle);
    store.prompt = true;
    Arc::new(store)
}

pub(crate) fn namespaces(rng: &mut Rng, big: bool) -> Vec<Namespace> {
    let mut spaces: Vec<_> = SPACES.iter().map(|name| Namespace::new(*name)).collect();
    for space in &mut spaces {
        space.log =
            if *space.name == *"disk" || *space.name == *"shot" { LogId::Disk } else { LogId::Memory };
        space.forgettable = *space.name == *"shot" || *space.name == *"game";
        space.signal = *space.name == *"typing";
        space.events_max = if big { 1_000 } else { rng.choice([3, 10, 40, 1_000]).unwrap() };
        space.bytes_max = if big { 3_000_000 } else { rng.choice([200, 1_000, 1 << 20]).unwrap() };
        space.age_max_ms = rng.choice([None, Some(20_000), Some(120_000)]).unwrap();
        space.forget_after_ms = rng.choice([None, Some(30_000)]).unwrap().filter(|_| space.forgettable);
    }
    spaces
}

/// Now and then so little that the oldest events of the log have to go.
pub(crate) fn capacity(rng: &mut Rng, big: bool, log: LogId) -> Capacity {
    let small = Capacity { bytes_max: if big { SMALL - 1 } else { 20_000 }, full: Full::Trim };
    if rng.u8(..3) == 0 { small } else { Capacity::of(log) }
}

/// Below this a log is full after a while.
pub(crate) const SMALL: u64 = 5_000_000;
/// Two logs, two forgettable namespaces, one of signals.
pub(crate) const SPACES: &[&str] = &["disk", "shot", "room", "game", "typing"];
pub(crate) const RESTS: &[&str] = &["a", "b", "x:1", "x:2"];
