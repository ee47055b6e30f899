//! The accept loops: one per listener, with the same options, the same limit and the same end.

use std::{
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use pin_project_lite::pin_project;
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use crate::{
    addresses::{Addresses, Counted},
    error::ServeError,
    guard::Ends,
    limits::Limits,
    turned_away::TurnedAway,
};

/// The sockets of all listeners: how many there may be, and what became of the others.
#[derive(Debug)]
pub(crate) struct Sockets {
    slots: Arc<Semaphore>,
    max: u32,
    addresses: Arc<Addresses>,
    refusals: Arc<Semaphore>,
    refused: [AtomicU64; TurnedAway::REASONS.len()],
    pub(crate) accept_errors: AtomicU64,
    pub(crate) panics: AtomicU64,
}

impl Sockets {
    pub(crate) fn new(limits: &Limits) -> Arc<Self> {
        let max = limits.connections_max;
        let refill = Duration::from_millis(limits.address_refill_ms);
        Arc::new(Self {
            slots: Arc::new(Semaphore::new(max as usize)),
            max,
            addresses: Addresses::new(limits.connections_per_address_max, refill),
            refusals: Arc::new(Semaphore::new(REFUSALS_MAX.min(max as usize / 4).max(8))),
            refused: Default::default(),
            accept_errors: AtomicU64::default(),
            panics: AtomicU64::default(),
        })
    }

    /// How many were turned away, by the words of [`TurnedAway::REASONS`].
    pub(crate) fn refused(&self) -> impl Iterator<Item = (&'static str, u64)> {
        TurnedAway::REASONS.into_iter().zip(self.refused.iter().map(|count| count.load(Relaxed)))
    }

    pub(crate) fn open(&self) -> u64 {
        self.max() - self.slots.available_permits() as u64
    }

    pub(crate) fn max(&self) -> u64 {
        self.max.into()
    }

    /// Waits until the last one is closed. None is accepted any more then: the loops must have been stopped.
    pub(crate) async fn closed(&self) {
        // An error would say that the semaphore was closed, which nobody does.
        let _ = self.slots.acquire_many(self.max).await;
    }
}

/// A listening socket with what its loop needs.
#[derive(Debug)]
pub(crate) struct Door {
    listener: TcpListener,
    sockets: Arc<Sockets>,
    draining: watch::Receiver<bool>,
    stall: Duration,
    /// How a peer is told that there is no room.
    words: fn(TurnedAway) -> Bytes,
}

impl Door {
    /// Listens on `addr`; `option` is the one that said so.
    pub(crate) fn open(
        option: &'static str,
        addr: SocketAddr,
        sockets: Arc<Sockets>,
        draining: watch::Receiver<bool>,
        limits: &Limits,
        words: fn(TurnedAway) -> Bytes,
    ) -> Result<Self, ServeError> {
        let listener = listener(addr).map_err(|error| ServeError::Listen { option, addr, error })?;
        let stall = Duration::from_millis(limits.stall_ms);
        Ok(Self { listener, sockets, draining, stall, words })
    }

    /// Where it listens, with the port that the system chose.
    pub(crate) fn addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Hands each connection to `serve` until the server drains, then waits for those that are there.
    pub(crate) async fn run<F>(self, serve: impl Fn(TcpStream, Ends) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let mut draining = self.draining.clone();
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, peer)) => match self.admit(stream, peer) {
                        Admitted::In(socket, ends, slot) => {
                            let serving = serve(socket, ends);
                            connections.spawn(Holding { serving, slot });
                        }
                        Admitted::Not(stream, why) => {
                            self.sockets.refused[why.index()].fetch_add(1, Relaxed);
                            if let Ok(turn) = self.sockets.refusals.clone().try_acquire_owned() {
                                connections.spawn(refuse(stream, (self.words)(why), turn));
                            }
                        }
                        Admitted::Gone => {}
                    },
                    Err(error) => self.rest(&error).await,
                },
                Some(ended) = connections.join_next() => self.sockets.note(ended),
                () = drained(&mut draining) => break,
            }
        }
        drop(self.listener);
        while let Some(ended) = connections.join_next().await {
            self.sockets.note(ended);
        }
        // The task must outlive the server: who watches over it takes its end for a fault.
        std::future::pending().await
    }

    fn admit(&self, stream: TcpStream, peer: SocketAddr) -> Admitted {
        // A peer that is gone already has no addresses.
        let Ok(local) = stream.local_addr() else { return Admitted::Gone };
        let Ok(slot) = self.sockets.slots.clone().try_acquire_owned() else {
            // A stop that waits for the last one to close has taken every slot: there is room, but not here any more.
            if *self.draining.borrow() {
                return Admitted::Gone;
            }
            return Admitted::Not(stream, TurnedAway::Full);
        };
        let counted = match self.sockets.addresses.enter(peer.ip(), Instant::now()) {
            Ok(counted) => counted,
            Err(why) => return Admitted::Not(stream, TurnedAway::Address(why)),
        };
        if let Err(error) = prepare(&stream, self.stall) {
            tracing::debug!(%error, "socket options");
        }
        Admitted::In(stream, Ends { peer, local }, (slot, counted))
    }

    /// After an error of `accept`: at once again when it was that connection's, later when the system has no room.
    async fn rest(&self, error: &io::Error) {
        if is_of_one_connection(error) {
            return;
        }
        self.sockets.accept_errors.fetch_add(1, Relaxed);
        tracing::error!(%error, "cannot accept connections; is the limit of open files too low?");
        sleep(REST).await;
    }
}

impl Sockets {
    fn note(&self, ended: Result<(), tokio::task::JoinError>) {
        if let Err(error) = ended
            && error.is_panic()
        {
            self.panics.fetch_add(1, Relaxed);
            tracing::error!("a connection ended by a fault of the server");
        }
    }
}

/// Waits until the server drains, or is dropped.
pub(crate) async fn drained(draining: &mut watch::Receiver<bool>) {
    let _ = draining.wait_for(|&draining| draining).await;
}

/// What a connection holds until it is gone.
type Slot = (OwnedSemaphorePermit, Counted);

pin_project! {
    /// What serves a connection, and the slot it takes. By hand: a block that awaits has room for it twice.
    struct Holding<F, S> {
        #[pin]
        serving: F,
        slot: S,
    }
}

impl<F: Future<Output = ()>, S> Future for Holding<F, S> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.project().serving.poll(cx)
    }
}

enum Admitted {
    In(TcpStream, Ends, Slot),
    Not(TcpStream, TurnedAway),
    Gone,
}

fn listener(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = if addr.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restart must not wait for the old connections' last minutes.
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    socket.listen(BACKLOG)
}

fn prepare(stream: &TcpStream, stall: Duration) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    let keepalive =
        TcpKeepalive::new().with_time(Duration::from_secs(60)).with_interval(Duration::from_secs(15));
    socket.set_tcp_keepalive(&keepalive.with_retries(4))?;
    #[cfg(target_os = "linux")]
    {
        // A peer whose machine is gone acknowledges nothing: as late as one that reads nothing.
        socket.set_tcp_user_timeout(Some(stall))?;
        // Few unsent bytes in the kernel: a slow reader frees room in small steps, so that it is seen to be alive, and
        // what it has not been sent yet is read from the log when its turn comes.
        socket.set_tcp_notsent_lowat(UNSENT_BYTES)?;
    }
    #[cfg(not(target_os = "linux"))]
    let _ = stall;
    Ok(())
}

/// Says that there is no room and closes; reads what the peer sends meanwhile, since closing over unread bytes would
/// take the words back.
async fn refuse(mut stream: TcpStream, words: Bytes, turn: OwnedSemaphorePermit) {
    let said = async {
        stream.write_all(&words).await?;
        stream.shutdown().await?;
        let mut unread = [0; 1024];
        while stream.read(&mut unread).await? > 0 {}
        io::Result::Ok(())
    };
    let _ = timeout(REFUSAL, said).await;
    drop(turn);
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// Connections that the kernel completes before they are accepted; more than that wait for the peer's next try.
const BACKLOG: u32 = 4_096;
/// How long accepting rests when the system has no room for another socket.
const REST: Duration = Duration::from_millis(100);
/// Peers that are told at the same time that there is no room, fewer where there are few connections; the others are
/// closed without a word.
const REFUSALS_MAX: usize = 64;
/// How long a peer may take to hear that there is no room.
const REFUSAL: Duration = Duration::from_secs(1);
#[cfg(target_os = "linux")]
const UNSENT_BYTES: u32 = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    // Mutant: every error rested upon -> a peer that aborts its connections stops all others.
    #[test]
    fn only_a_system_without_room_makes_accepting_rest() {
        assert!(is_of_one_connection(&io::ErrorKind::ConnectionAborted.into()));
        // EMFILE, too many open files.
        assert!(!is_of_one_connection(&io::Error::from_raw_os_error(24)));
    }
}
