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

use sosik_core::{
    ChannelName, Draft, Epoch, Grant, Herald, LogId, Namespace, Node, NodeOptions, Pattern, Store, Verb,
    Verbs, WatchId, cursor::Position, store::PageLimit,
};
use sosik_store::{Disk, Memory, disk::DiskOptions};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use super::Setting;
use crate::{
    Failed,
    machine::{Cpu, sync_us, written_bytes},
    process::Scratch,
    report::{Goal, Line},
};

/// Two lines for each number under way, then those of the start.
pub(crate) fn run(setting: &Setting) -> Result<Vec<Line>, Failed> {
    // Nothing of the load runs here: this process is the server, so the runtime is the measured one's.
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let mut lines = Vec::new();
        for under_way in setting.either(&UNDER_WAY[..3], &UNDER_WAY[..]).iter().copied() {
            lines.extend(measure(setting, under_way).await?);
        }
        lines.extend(start(setting).await?);
        Ok(lines)
    })
}

/// One number under way, on a fresh log.
async fn measure(setting: &Setting, under_way: usize) -> Result<[Line; 2], Failed> {
    let scratch = Scratch::new()?;
    let own_sync = sync_us(scratch.path())?;
    let running = Running::open(&scratch.path().join("log")).await?;
    let (done, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let mut load = JoinSet::new();
    for number in 0..under_way {
        load.spawn(running.publisher(number, 1, done.clone(), stop.clone()));
    }
    sleep(WARM).await;
    let (cpu, written) = (Cpu::of_load()?, written_bytes()?);
    let (before, began, figures) = (done.load(Ordering::Relaxed), Instant::now(), running.store.figures());
    sleep(setting.lasting()).await;
    let (count, took) = (done.load(Ordering::Relaxed) - before, began.elapsed());
    let each = Cpu::of_load()?.since(&cpu).as_secs_f64() * 1e6 / count.max(1) as f64;
    let amplification = (written_bytes()? - written) as f64 / (count.max(1) as f64 * DATA_BYTES as f64);
    let commits = running.store.figures().commits - figures.commits;
    stop.store(true, Ordering::Relaxed);
    while load.join_next().await.is_some() {}
    let all = done.load(Ordering::Relaxed);
    running.close().await;
    let bytes = used_by(&scratch.path().join("log"))? as f64 / all.max(1) as f64;
    let id = |what: &str| format!("log.{under_way}.{what}");
    let rate = Line::new(id("rate"), "/s", count as f64 / took.as_secs_f64()).more([
        ("events_per_commit", count as f64 / commits.max(1) as f64),
        ("written_per_data", amplification),
        ("disk_bytes_per_event", bytes),
        ("own_sync_us", own_sync),
    ]);
    Ok([rate, Line::new(id("cpu"), "µs", each)])
}

/// A start with many events, until the first page is read.
async fn start(setting: &Setting) -> Result<[Line; 2], Failed> {
    let scratch = Scratch::new()?;
    let path = scratch.path().join("log");
    let (done, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let running = Running::open(&path).await?;
    let mut load = JoinSet::new();
    for number in 0..64 {
        load.spawn(running.publisher(number, 100, done.clone(), stop.clone()));
    }
    let stored = setting.either(STORED_SHORT, STORED);
    let began = Instant::now();
    while done.load(Ordering::Relaxed) < stored {
        if began.elapsed() > PATIENCE {
            return Err("the log takes too long to fill".into());
        }
        sleep(Duration::from_millis(10)).await;
    }
    stop.store(true, Ordering::Relaxed);
    while load.join_next().await.is_some() {}
    running.close().await;
    let (began, cpu) = (Instant::now(), Cpu::of_load()?);
    let store = Disk::open(&path, DiskOptions::new(Epoch::new(3)))?;
    let (opened, spent) = (began.elapsed(), Cpu::of_load()?.since(&cpu));
    let limit = PageLimit { events: 100, bytes: 1 << 20 };
    let page = store.page(&channel(1), Position::START, Position::END, limit).await?;
    let read = began.elapsed();
    if page.events.len() < limit.events {
        return Err(format!("the first page has {} events", page.events.len()).into());
    }
    let events = ("events", done.load(Ordering::Relaxed) as f64);
    let cpu = ("cpu_ms", spent.as_secs_f64() * 1e3);
    let first = Line::new("log.start.first_page", "ms", read.as_secs_f64() * 1e3).more([events]);
    Ok([
        Line::new("log.start.open", "ms", opened.as_secs_f64() * 1e3).more([events, cpu]),
        first.goal(Goal::AtMost(START_MS)),
    ])
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

/// The last one only in the full mode.
const UNDER_WAY: [usize; 4] = [1, 16, 64, 1_024];
const CHANNELS: usize = 10_000;
const DATA_BYTES: usize = 200;
/// Events stored before the start that is measured.
const STORED: u64 = 1_000_000;
const STORED_SHORT: u64 = 200_000;
const START_MS: f64 = 1_000.0;
const WARM: Duration = Duration::from_millis(500);
/// Until the log that is to be opened is filled.
const PATIENCE: Duration = Duration::from_secs(120);
const NOW: u64 = 1_760_000_000_000;
