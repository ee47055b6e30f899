//! All 36 changes of transport in mid-stream, through a proxy that cuts, delays and cuts up: nothing lost, repeated or
//! out of order.
//!
//! A reader follows one channel in each log and a prefix while a publisher publishes at random pauses. At random moments
//! it changes between two transports, make before break (rule 10). What it was sent is taken from raw bytes, without the
//! client, and judged by the history checker. `SOSIK_SEEDS` says how many seeds each change gets (one in 200 of it); a seed
//! that fails is printed.
//!
//! Mutants, each seen to fail here: the first event of a page skipped after a resume; the cursor of the item before; the
//! cursor over both logs without the part of the other one; the SSE `id:` after its data.

#![allow(clippy::unwrap_used)]

mod publisher;
mod reader;
mod way;

use std::{collections::BTreeSet, sync::Arc};

use fastrand::Rng;
use sosik_lab::checker::{self, History};
use sosik_testkit::{
    carriers::{Carrier, LONG_POLL, POLL, Place, SIX, SSE, STREAM, TCP, WEBSOCKET},
    seed::share_of_seeds,
    transport_suite::{Ground, block_on},
};
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
};

use crate::{
    publisher::{Publisher, Told},
    reader::Reader,
    way::Way,
};

/// One test per transport that is left, each with all six that are gone to.
macro_rules! changes_from {
    ($how:ident: $($name:ident $carrier:expr;)*) => {
        $(
            #[test]
            fn $name() {
                $how(&$carrier);
            }
        )*
    };
}

mod restarts;

changes_from! {
    in_one_process:
    poll_to_each POLL;
    long_poll_to_each LONG_POLL;
    stream_to_each STREAM;
    sse_to_each SSE;
    websocket_to_each WEBSOCKET;
    tcp_to_each TCP;
}

fn in_one_process(from: &'static dyn Carrier) {
    for seed in share_of_seeds(SEEDS, SHARE) {
        let number = seed.number();
        block_on(async {
            let ground = Ground::start(from).await;
            let ((_at, place), (_settle, settled)) = (watch::channel(ground.place), watch::channel(true));
            let turns = Arc::new(Semaphore::new(AT_ONCE));
            let mut runs = JoinSet::new();
            for to in SIX {
                let turns = turns.clone();
                let change =
                    Change { from, to, place: place.clone(), settled: settled.clone(), changes: CHANGES };
                runs.spawn(async move {
                    let _turn = turns.acquire_owned().await.unwrap();
                    change.run(number).await
                });
            }
            while let Some(run) = runs.join_next().await {
                run.expect("a change failed, see above");
            }
        });
    }
}

/// One reader that goes to and fro between two transports.
struct Change {
    from: &'static dyn Carrier,
    to: &'static dyn Carrier,
    place: watch::Receiver<Place>,
    /// No restart is to come.
    settled: watch::Receiver<bool>,
    /// How often it changes.
    changes: u32,
}

impl Change {
    /// Runs to the judgement; answers the epochs of the log on the disk.
    // Mutants: see the head of `pump.rs` and `reader.rs` for where each was planted.
    async fn run(self, seed: u64) -> BTreeSet<String> {
        let Self { from, to, place, settled, changes } = self;
        let restarts = !*settled.borrow();
        let name = format!("{}-{}-{seed}", from.name(), to.name());
        let mut rng = Rng::with_seed(seed.wrapping_mul(64) ^ index(from) << 3 ^ index(to));
        let channels = [
            format!("disk:{name}"),
            format!("mem:{name}"),
            format!("disk:{name}:1"),
            format!("disk:{name}:2"),
        ];
        let set = [channels[0].clone(), channels[1].clone(), format!("disk:{name}:*")];
        let at = *place.borrow();
        let ways = [Way::open(from, at, rng.u64(..)).await, Way::open(to, at, rng.u64(..)).await];
        let publisher = Publisher { channels, place: place.clone(), settled, rng: rng.fork() };
        let mut publishing = JoinSet::new();
        publishing.spawn(publisher.publish());
        let mut reader = Reader::new(ways, place, changes, &set, rng.fork());
        let told = loop {
            tokio::select! {
                told = publishing.join_next() => break told.unwrap().unwrap(),
                () = reader.read() => {}
            }
        };
        let (transcript, changed) = reader.drain().await;
        assert_eq!(changed, changes, "{name}");
        let reader = checker::Reader {
            name: name.clone(),
            set: set.to_vec(),
            begin: checker::Begin::Start,
            drained: true,
            seen: transcript.seen(),
        };
        judge(&name, told, reader, restarts)
    }
}

fn judge(name: &str, told: Told, reader: checker::Reader, restarts: bool) -> BTreeSet<String> {
    let Told { acked, uncertain } = told;
    let epochs = |log: &str| -> Vec<String> {
        let own = acked.iter().filter(|ack| ack.channel.starts_with(log));
        own.map(|ack| ack.epoch.clone()).collect()
    };
    let (disk, memory) = (epochs("disk:"), epochs("mem:"));
    // The last one was published when no restart was to come.
    let ended_epochs: BTreeSet<_> =
        memory.iter().filter(|epoch| Some(*epoch) != memory.last()).cloned().collect();
    let history = History { acked, uncertain, ended_epochs, readers: vec![reader], ..History::default() };
    let verdict = checker::check(&history);
    assert!(verdict.violations.is_empty(), "{name}: {verdict}");
    let gaps = history.readers[0].seen.iter().filter_map(|seen| match &seen.item {
        checker::Observed::Gap(gap) => Some(gap),
        _ => None,
    });
    let of_memory = |gap: &checker::Gap| gap.reason == "epoch" && gap.channel.starts_with("mem:");
    assert!(gaps.into_iter().all(of_memory), "{name} was told a gap of the log on the disk");
    let kept = verdict.counts.delivered == history.acked.len() as u64 && verdict.counts.gaps == 0;
    assert!(restarts || kept, "{name}: {verdict}");
    disk.into_iter().collect()
}

fn index(carrier: &dyn Carrier) -> u64 {
    SIX.iter().position(|own| own.name() == carrier.name()).unwrap() as u64
}

/// Seeds per change when nobody says more.
const SEEDS: u64 = 3;
/// A run takes a second: of the seeds asked for by `SOSIK_SEEDS`, one in so many is run.
const SHARE: usize = 200;
/// Runs at the same time.
const AT_ONCE: usize = 3;
/// Changes of one run.
const CHANGES: u32 = 7;
