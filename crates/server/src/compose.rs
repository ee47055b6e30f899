//! What this server is made of: the only file that names concrete transports and pages and mounts their routes on one
//! origin, and that chooses the stores. (What operators do with the store on the disk is in `operate.rs` and `control.rs`.)

use std::{sync::Arc, time::Duration};

use axum::Router;
use sosik_core::{Epoch, LogId, Node, NodeOptions, Store};
use sosik_store::{
    Disk, Memory,
    disk::{DiskOptions, Renewed},
};
use sosik_transport::{Clock, Hub, Settings, Sweep};

use crate::{
    checked::{Checked, StoreChoice},
    clock::SystemClock,
    error::ServeError,
    health,
    measured::Measured,
    pages,
    tasks::Tasks,
};

/// The core with its transports, at work.
#[derive(Debug)]
pub(crate) struct Composed {
    pub(crate) hub: Arc<Hub>,
    pub(crate) stores: Stores,
}

/// What the two logs stand on.
#[derive(Debug, Clone)]
pub(crate) struct Stores {
    /// In the order of [`LogId::ALL`].
    pub(crate) all: [Arc<dyn Store>; 2],
    /// The first of them, when it is a log on the disk.
    pub(crate) disk: Option<Disk>,
}

impl Stores {
    /// The store below a log.
    pub(crate) fn of(&self, log: LogId) -> &dyn Store {
        let [disk, memory] = &self.all;
        match log {
            LogId::Disk => &**disk,
            LogId::Memory => &**memory,
        }
    }

    /// Why the log on the disk began a new epoch as it was opened.
    pub(crate) fn renewed(&self) -> Option<&Renewed> {
        self.disk.as_ref()?.renewed()
    }
}

/// Opens the stores and starts everything that must run for them among `tasks`.
pub(crate) async fn compose(options: &Checked, tasks: &mut Tasks) -> Result<Composed, ServeError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let sweep = Sweep::new(tokio::runtime::Handle::current().metrics().num_workers());
    let namespaces = options.namespaces.iter().map(|opened| opened.namespace.clone()).collect();
    let stores = open(options).await?;
    let node_options =
        NodeOptions { capacities: options.capacities, ..NodeOptions::new(namespaces, getrandom::u64()?) };
    let node = Node::open(node_options, stores.all.clone(), sweep.clone()).await?;
    let settings = Settings {
        tcp: options.tcp_listen.is_some(),
        stall_ms: options.limits.stall_ms,
        ..options.settings.clone()
    };
    let hub = Hub::new(node, sweep, clock, settings);
    start(&hub, tasks);
    Ok(Composed { hub, stores })
}

/// Every path of this origin.
pub(crate) fn router(measured: &Measured, demo: bool, lab: bool) -> Router {
    let mut transports = sosik_transport::router(measured.hub.clone());
    if lab {
        transports = transports.merge(sosik_transport::lab(measured.hub.clone()));
    }
    transports.merge(health::router(measured)).merge(pages::router(demo))
}

async fn open(options: &Checked) -> Result<Stores, ServeError> {
    let memory = memory()?;
    match options.store {
        StoreChoice::Disk => {
            let disk = disk(options).await?;
            Ok(Stores { all: [Arc::new(disk.clone()), memory], disk: Some(disk) })
        }
        StoreChoice::Memory => Ok(Stores { all: [self::memory()?, memory], disk: None }),
    }
}

/// The log in the data directory. What the last run left is replayed on a thread of its own, as long as that takes.
async fn disk(options: &Checked) -> Result<Disk, ServeError> {
    let path = options.data.clone();
    let mut how = DiskOptions::new(Epoch::new(getrandom::u64()?));
    how.reserve_bytes = options.disk_reserve_bytes;
    let opened = tokio::task::spawn_blocking(move || Disk::open(&path, how)).await;
    Ok(opened.map_err(|error| ServeError::Broken(format!("opening the log: {error}")))??)
}

fn memory() -> Result<Arc<dyn Store>, ServeError> {
    Ok(Arc::new(Memory::new(Epoch::new(getrandom::u64()?))))
}

fn start(hub: &Arc<Hub>, tasks: &mut Tasks) {
    for id in LogId::ALL {
        let log = hub.node.log(id).clone();
        tasks.spawn(format!("log {id:?}"), async move { log.run().await });
    }
    for shard in 0..hub.sweep.shards() {
        let (sweep, clock) = (hub.sweep.clone(), hub.clock.clone());
        tasks.spawn(format!("sweep {shard}"), async move { sweep.run(shard, clock).await });
    }
    let ticking = hub.clone();
    tasks.spawn("tick", async move {
        let mut each = tokio::time::interval(TICK);
        each.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            each.tick().await;
            ticking.node.tick(ticking.clock.wall_ms());
        }
    });
}

/// How often the core hears that time goes on.
const TICK: Duration = Duration::from_millis(100);
