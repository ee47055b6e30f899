//! What this server is made of: the only file that names concrete stores, transports and pages, and mounts their routes
//! on one origin.

use std::{path::Path, sync::Arc, time::Duration};

use axum::Router;
use sosik_core::{Epoch, LogId, Node, NodeOptions, Store};
use sosik_store::{Disk, Memory, disk::DiskOptions};
use sosik_transport::{Clock, Hub, Settings, Sweep};

use crate::{
    checked::{Checked, StoreChoice},
    clock::SystemClock,
    error::ServeError,
    health,
    listen::Sockets,
    pages,
    tasks::Tasks,
};

/// The core with its transports, at work.
#[derive(Debug)]
pub(crate) struct Composed {
    pub(crate) hub: Arc<Hub>,
    pub(crate) tasks: Tasks,
}

/// Opens the stores and starts everything that must run for them.
pub(crate) async fn compose(options: &Checked) -> Result<Composed, ServeError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let sweep = Sweep::new(tokio::runtime::Handle::current().metrics().num_workers());
    let namespaces = options.namespaces.iter().map(|opened| opened.namespace.clone()).collect();
    let durable = match options.store {
        StoreChoice::Disk => disk(&options.data).await?,
        StoreChoice::Memory => memory()?,
    };
    let stores = [durable, memory()?];
    let node = Node::open(NodeOptions::new(namespaces, getrandom::u64()?), stores, sweep.clone()).await?;
    let settings = Settings {
        tcp: options.tcp_listen.is_some(),
        stall_ms: options.limits.stall_ms,
        ..options.settings.clone()
    };
    let hub = Hub::new(node, sweep, clock, settings);
    Ok(Composed { tasks: start(&hub), hub })
}

/// Every path of this origin.
pub(crate) fn router(hub: &Arc<Hub>, sockets: &Arc<Sockets>, demo: bool) -> Router {
    sosik_transport::router(hub.clone()).merge(health::router(hub, sockets)).merge(pages::router(demo))
}

/// The log in `path`. What the last run left is replayed on a thread of its own, as long as that takes.
async fn disk(path: &Path) -> Result<Arc<dyn Store>, ServeError> {
    let (path, options) = (path.to_owned(), DiskOptions::new(Epoch::new(getrandom::u64()?)));
    let opened = tokio::task::spawn_blocking(move || Disk::open(&path, options)).await;
    let disk = opened.map_err(|error| ServeError::Broken(format!("opening the log: {error}")))?;
    Ok(Arc::new(disk?))
}

fn memory() -> Result<Arc<dyn Store>, ServeError> {
    Ok(Arc::new(Memory::new(Epoch::new(getrandom::u64()?))))
}

fn start(hub: &Arc<Hub>) -> Tasks {
    let mut tasks = Tasks::default();
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
    tasks
}

/// How often the core hears that time goes on.
const TICK: Duration = Duration::from_millis(100);
