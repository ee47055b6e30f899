//! One client of the proxy and its upstream, from accept to the end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;

use super::cut::CutKind;
use super::fault::Direction;
use super::faults::{Counters, FaultPlan};
use super::line::{Broken, Line};

/// How long an upstream may take to accept: 5 s.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a side that is closed in order may go on sending before it is reset: 1 s. Closing a socket with
/// unread bytes would reset at once, and overtake the end that the fault promised.
const FIN_DRAIN: Duration = Duration::from_secs(1);

/// One client and its upstream.
pub(super) struct Connection {
    seed: u64,
    number: u64,
    upstream: SocketAddr,
    plan: watch::Receiver<FaultPlan>,
    cut: watch::Receiver<CutKind>,
    counters: Arc<Counters>,
}

impl Connection {
    pub(super) fn new(
        seed: u64,
        number: u64,
        upstream: SocketAddr,
        plan: watch::Receiver<FaultPlan>,
        cut: watch::Receiver<CutKind>,
        counters: Arc<Counters>,
    ) -> Self {
        counters.open.fetch_add(1, Ordering::Relaxed);
        Self { seed, number, upstream, plan, cut, counters }
    }

    pub(super) async fn run(mut self, mut client: TcpStream) {
        let Ok(Ok(mut upstream)) = timeout(CONNECT_TIMEOUT, TcpStream::connect(self.upstream)).await else {
            self.counters.refused.fetch_add(1, Ordering::Relaxed);
            close(client, CutKind::Rst).await;
            return;
        };
        let broken = self.forward(&mut client, &mut upstream).await;
        let kind = match broken {
            None => return,
            Some(Broken::Error) => CutKind::Rst,
            Some(Broken::Cut(kind)) => {
                self.counters.cuts.fetch_add(1, Ordering::Relaxed);
                kind
            }
        };
        tokio::join!(close(client, kind), close(upstream, kind));
    }

    /// Until both directions have ended, or something ends both.
    async fn forward(&mut self, client: &mut TcpStream, upstream: &mut TcpStream) -> Option<Broken> {
        // Pieces are to reach the peer as they are; a socket that refuses the option is gone anyway.
        let _ = client.set_nodelay(true);
        let _ = upstream.set_nodelay(true);
        let (client_read, client_write) = client.split();
        let (upstream_read, upstream_write) = upstream.split();
        let line = |direction| Line::new(direction, self.seed, self.number, self.plan.clone());
        let up = line(Direction::Up).run(client_read, upstream_write, &self.counters.bytes_up);
        let down = line(Direction::Down).run(upstream_read, client_write, &self.counters.bytes_down);
        tokio::select! {
            ended = async { tokio::try_join!(up, down) } => ended.err(),
            // The sender lives as long as the proxy, and without it there is nobody left to cut.
            Ok(()) = self.cut.changed() => Some(Broken::Cut(*self.cut.borrow_and_update())),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.counters.open.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn close(mut socket: TcpStream, kind: CutKind) {
    match kind {
        CutKind::Rst => {
            // Refused only by a socket that the peer has reset already.
            let _ = socket.set_zero_linger();
        }
        CutKind::Fin => {
            let drained = async {
                socket.shutdown().await?;
                let mut unread = [0; 4096];
                while socket.read(&mut unread).await? > 0 {}
                std::io::Result::Ok(())
            };
            let _ = timeout(FIN_DRAIN, drained).await;
        }
    }
}
