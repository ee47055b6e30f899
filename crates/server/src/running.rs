//! A server at work: from its start to its last connection.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use sosik_core::Full;
use sosik_transport::{Caller, Connection, Hub, tcp};
use sosik_wire::Goodbye;
use tokio::{sync::watch, time::timeout};

use crate::{
    access,
    checked::{Checked, StoreChoice},
    compose::{Composed, compose, router},
    control::{Control, Operated},
    error::ServeError,
    guard::Guard,
    http::Front,
    listen::{Door, Sockets},
    measured::Measured,
    memory::Memory,
    origin::Origin,
    tasks::Tasks,
    told,
    turned_away::TurnedAway,
};

/// A server that has started. Dropping it ends everything at once, but for WebSockets, which still hear a goodbye;
/// [`Running::stop`] says it to all and waits.
#[derive(Debug)]
pub struct Running {
    /// Where HTTP is served.
    pub http: SocketAddr,
    /// Where the TCP transport is served; `None` when it is off.
    pub tcp: Option<SocketAddr>,
    /// The address to print for people: the first public URL.
    pub public_url: String,
    /// Where the durable log lies, as an absolute path; `None` when it stands on memory.
    pub data: Option<PathBuf>,
    /// The core and the transports, for whoever lives in the same process.
    pub hub: Arc<Hub>,
    draining: watch::Sender<bool>,
    sockets: Arc<Sockets>,
    drain: Duration,
    tasks: Tasks,
    /// Gone before the log is: who finds it may ask.
    control: Option<Control>,
}

/// Starts a server; it answers when this returns. Must be called within a tokio runtime with timers and sockets.
/// Errors: [`ServeError::Listen`], [`ServeError::Data`], [`ServeError::Store`], [`ServeError::Random`].
pub async fn start(options: Checked) -> Result<Running, ServeError> {
    let grant = access::anonymous(&options.namespaces);
    let caller = Caller { grant: Arc::new(grant) };
    let (draining, drained) = watch::channel(false);
    let sockets = Sockets::new(&options.limits);
    let open = |option, addr, words| {
        Door::open(option, addr, sockets.clone(), drained.clone(), &options.limits, words)
    };
    let http_door = open("listen", options.listen, TurnedAway::over_http)?;
    let tcp_door =
        options.tcp_listen.map(|addr| open("tcp_listen", addr, TurnedAway::over_tcp)).transpose()?;
    let http = http_door.addr()?;
    let tcp = tcp_door.as_ref().map(Door::addr).transpose()?;
    let mut public = options.public_urls.clone();
    if public.is_empty() {
        public.push(Origin::http("localhost", http.port()));
    }
    let public_url = public[0].to_string();

    let data =
        (options.store == StoreChoice::Disk).then(|| std::path::absolute(&options.data)).transpose()?;
    let guard = Guard::new(public, options.allow_origins.clone(), &options.limits);
    let front = Front::new(guard, caller.clone(), options.limits, drained.clone());
    let mut tasks = Tasks::default();
    let answering = front.clone();
    tasks.spawn("http", http_door.run(move |socket, ends| answering.clone().serve(socket, ends)));

    let Composed { hub, stores } = compose(&options, &mut tasks).await?;
    let namespaces = options.namespaces.iter().map(|opened| &opened.namespace);
    let measured = Measured {
        hub: hub.clone(),
        sockets: sockets.clone(),
        stores,
        namespaces: namespaces.map(|namespace| (namespace.name.clone(), namespace.log)).collect(),
        refuses_when_full: options.capacities[0].full == Full::Refuse,
        reserve_bytes: options.disk_reserve_bytes,
        memory: Arc::new(Memory::new(options.process_bytes_max)),
    };
    tasks.spawn("told", told::run(measured.clone()));
    front.open(router(&measured, options.demo, options.lab), hub.clone());
    if let Some(door) = tcp_door {
        let hub = hub.clone();
        let serve = move |socket, _| {
            let opening = tcp::open(hub.clone(), caller.clone(), Connection::of_socket(socket));
            // Boxed, so that what begins a connection takes no room once it has begun.
            let opening = Box::pin(opening);
            async move {
                if let Some(served) = opening.await {
                    served.await;
                }
            }
        };
        tasks.spawn("tcp", door.run(serve));
    }
    let control = data.as_ref().zip(measured.stores.disk.clone());
    let control = control.and_then(|(data, disk)| operators(data, Operated { measured, disk }, &mut tasks));
    let drain = Duration::from_millis(options.limits.drain_ms);
    Ok(Running { http, tcp, public_url, data, hub, draining, sockets, drain, tasks, control })
}

/// Opens the control socket. A server that cannot is still of use: it says so and goes on.
fn operators(data: &Path, operated: Operated, tasks: &mut Tasks) -> Option<Control> {
    match Control::open(data, operated) {
        Ok((control, serving)) => {
            tasks.spawn("control", serving);
            Some(control)
        }
        Err(error) => {
            let data = data.display();
            tracing::warn!(%error, "no control socket in {data}: `sosik backup` and `verify` need the server stopped, and the other commands do not reach it");
            None
        }
    }
}

impl Running {
    /// Waits until a part ends that never should, and says which. The server is of no use any more then.
    pub async fn broken(&mut self) -> ServeError {
        ServeError::Broken(self.tasks.ended().await)
    }

    /// Takes no new connection, says goodbye to all, lets requests and publishes finish, and ends. Answers how many
    /// connections were cut because they took longer than `drain_ms`.
    pub async fn stop(mut self) -> u64 {
        self.control = None;
        self.draining.send_replace(true);
        let (window_ms, spread_ms) = self.goodbyes();
        self.hub.drain_over(window_ms, spread_ms);
        let _ = timeout(self.drain, self.sockets.closed()).await;
        let cut = self.sockets.open();
        // What has the log open must be gone, so that it is closed when this returns.
        std::mem::take(&mut self.tasks).end().await;
        cut
    }

    /// Over how long goodbyes are said, and over how long clients are told to return: so that where they return to has so many
    /// a second to take and no more. Few hear it at once.
    fn goodbyes(&self) -> (u64, u64) {
        let window_ms = self.sockets.open() * 1_000 / RETURNS_PER_S;
        let half_ms = u64::try_from(self.drain.as_millis()).unwrap_or(u64::MAX) / 2;
        let least_ms = self.hub.settings.drain_spread_ms;
        let spread_ms = window_ms.clamp(least_ms, Goodbye::Drain.spread_ms().max(least_ms));
        (if window_ms < WINDOW_MS_MIN { 0 } else { window_ms.min(half_ms) }, spread_ms)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.control = None;
        // An upgraded connection is no task of ours: without this it would follow a hub that hears nothing any more.
        self.hub.drain();
    }
}

/// Connections that a server takes a second besides its work, when others come to it.
const RETURNS_PER_S: u64 = 1_000;
/// Below this there is nothing to spread: who is due is looked for about that often.
const WINDOW_MS_MIN: u64 = 250;
