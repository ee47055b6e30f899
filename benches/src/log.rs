//! The log itself, without sockets: publishes through the core onto the disk, by how many are under way at once, beside the
//! disk's own sync; and how long a start takes.

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use sosik_core::{
    ChannelName, Draft, Epoch, Grant, Herald, LogId, Namespace, Node, NodeOptions, Pattern, Store, Verb,
    Verbs, WatchId, cursor::Position, store::PageLimit,
};
use sosik_store::{Disk, Memory, disk::DiskOptions};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::{
    machine::{Cpu, sync_us, written_bytes},
    server::{Failed, Scratch},
};

/// Prints a line per number under way, then one of the start; answers them all.
pub(crate) async fn run() -> Result<Value, Failed> {
    println!("data of {DATA_BYTES} bytes to {CHANNELS} channels, {} s each, synced", MEASURED.as_secs());
    println!(
        "{:>10} {:>10} {:>9} {:>12} {:>14} {:>14} {:>12}",
        "under way", "per s", "µs each", "per commit", "written/data", "bytes/event", "own sync µs"
    );
    let mut rows = Vec::new();
    for under_way in UNDER_WAY {
        rows.push(measure(under_way).await?);
    }
    Ok(json!({"data_bytes": DATA_BYTES, "channels": CHANNELS, "rows": rows, "start": start().await?}))
}

/// One number under way, on a fresh log.
async fn measure(under_way: usize) -> Result<Value, Failed> {
    let scratch = Scratch::new()?;
    let own_sync = sync_us(scratch.path())?;
    let running = Running::open(&scratch.path().join("log")).await?;
    let (done, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let mut load = JoinSet::new();
    for number in 0..under_way {
        load.spawn(running.publisher(number, 1, done.clone(), stop.clone()));
    }
    sleep(WARM).await;
    let (cpu, written) = (Cpu::of_process(std::process::id())?, written_bytes()?);
    let (before, began, figures) = (done.load(Ordering::Relaxed), Instant::now(), running.store.figures());
    sleep(MEASURED).await;
    let (count, took) = (done.load(Ordering::Relaxed) - before, began.elapsed());
    let each = Cpu::of_process(std::process::id())?.since(&cpu).as_secs_f64() * 1e6 / count.max(1) as f64;
    let amplification = (written_bytes()? - written) as f64 / (count.max(1) as f64 * DATA_BYTES as f64);
    let commits = running.store.figures().commits - figures.commits;
    stop.store(true, Ordering::Relaxed);
    while load.join_next().await.is_some() {}
    let all = done.load(Ordering::Relaxed);
    running.close().await;
    let bytes = used_by(&scratch.path().join("log"))? as f64 / all.max(1) as f64;
    let (rate, group) = (count as f64 / took.as_secs_f64(), count as f64 / commits.max(1) as f64);
    println!(
        "{under_way:>10} {rate:>10.0} {each:>9.1} {group:>12.1} {amplification:>14.2} {bytes:>14.0} {own_sync:>12.0}"
    );
    Ok(json!({
        "under_way": under_way,
        "per_s": rate,
        "us_each": each,
        "events_per_commit": group,
        "written_per_data": amplification,
        "disk_bytes_per_event": bytes,
        "own_sync_us": own_sync,
    }))
}

/// A start with many events, until the first page is read.
async fn start() -> Result<Value, Failed> {
    let scratch = Scratch::new()?;
    let path = scratch.path().join("log");
    let (done, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let running = Running::open(&path).await?;
    let mut load = JoinSet::new();
    for number in 0..64 {
        load.spawn(running.publisher(number, 100, done.clone(), stop.clone()));
    }
    while done.load(Ordering::Relaxed) < STORED {
        sleep(Duration::from_millis(10)).await;
    }
    stop.store(true, Ordering::Relaxed);
    while load.join_next().await.is_some() {}
    running.close().await;
    let (began, cpu) = (Instant::now(), Cpu::of_process(std::process::id())?);
    let store = Disk::open(&path, DiskOptions::new(Epoch::new(3)))?;
    let (opened, spent) = (began.elapsed(), Cpu::of_process(std::process::id())?.since(&cpu));
    let limit = PageLimit { events: 100, bytes: 1 << 20 };
    let page = store.page(&channel(1), Position::START, Position::END, limit).await?;
    let read = began.elapsed();
    println!(
        "start with {} events: open after {} ms ({} ms CPU), first page of {} events after {} ms",
        done.load(Ordering::Relaxed),
        opened.as_millis(),
        spent.as_millis(),
        page.events.len(),
        read.as_millis()
    );
    Ok(json!({
        "events": done.load(Ordering::Relaxed),
        "open_ms": opened.as_secs_f64() * 1e3,
        "open_cpu_ms": spent.as_secs_f64() * 1e3,
        "first_page_ms": read.as_secs_f64() * 1e3,
    }))
}

/// A node over a log on disk.
struct Running {
    store: Disk,
    node: Arc<Node>,
    logs: JoinSet<()>,
}

#[derive(Debug)]
struct Deaf;

impl Herald for Deaf {
    fn changed(&self, _: WatchId) {}
}

impl Running {
    async fn open(path: &Path) -> Result<Self, Failed> {
        let store = Disk::open(path, DiskOptions::new(Epoch::new(1)))?;
        let mut space = Namespace::new("room");
        space.log = LogId::Disk;
        let stores: [Arc<dyn Store>; 2] = [Arc::new(store.clone()), Arc::new(Memory::new(Epoch::new(2)))];
        let node = Node::open(NodeOptions::new(vec![space], 1), stores, Arc::new(Deaf)).await?;
        let mut logs = JoinSet::new();
        for id in LogId::ALL {
            let log = node.log(id).clone();
            logs.spawn(async move { log.run().await });
        }
        Ok(Self { store, node, logs })
    }

    /// Until everything has let go of the directory.
    async fn close(mut self) {
        self.logs.shutdown().await;
    }

    /// Publishes `at_once` events to one channel after the other until it is stopped.
    fn publisher(
        &self,
        number: usize,
        at_once: usize,
        done: Arc<AtomicU64>,
        stop: Arc<AtomicBool>,
    ) -> impl Future<Output = ()> + use<> {
        let node = self.node.clone();
        let rules = vec![(Pattern::parse("room:*").expect("a pattern"), Verbs::from_iter(Verb::ALL))];
        let (grant, data) =
            (Grant::anonymous(rules), format!("{{\"text\":\"{}\"}}", "x".repeat(DATA_BYTES - 11)));
        async move {
            let data = bytes::Bytes::from(data);
            for round in 0.. {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                // A step that shares no factor with their number visits all channels.
                let draft = Draft::json(channel((number * 617 + round * 7919) % CHANNELS), data.clone());
                match node.publish(&grant, vec![draft; at_once], NOW).await {
                    Ok(published) => done.fetch_add(published.len() as u64, Ordering::Relaxed),
                    Err(error) => panic!("{error}"),
                };
            }
        }
    }
}

fn channel(number: usize) -> ChannelName {
    ChannelName::parse(&format!("room:{number}")).expect("a name")
}

fn used_by(directory: &Path) -> std::io::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let mut bytes = 0;
    for entry in fs::read_dir(directory)? {
        let (entry, about) = entry.and_then(|entry| entry.metadata().map(|about| (entry, about)))?;
        bytes += if about.is_dir() { used_by(&entry.path())? } else { about.blocks() * 512 };
    }
    Ok(bytes)
}

const UNDER_WAY: [usize; 4] = [1, 16, 64, 1_024];
const CHANNELS: usize = 10_000;
const DATA_BYTES: usize = 200;
/// Events stored before the start that is measured.
const STORED: u64 = 1_000_000;
const WARM: Duration = Duration::from_secs(1);
const MEASURED: Duration = Duration::from_secs(3);
const NOW: u64 = 1_760_000_000_000;
