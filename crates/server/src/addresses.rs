//! How many connections each address has, and how many new ones: no single peer takes the room of all others.
//!
//! What a request says of its sender (`X-Forwarded-For`) is not looked at: whoever connects can write anything there.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;

/// The peers of all listeners. Each may have so many connections open, and a bucket of as many new ones, which is full
/// again after a while.
#[derive(Debug)]
pub(crate) struct Addresses {
    /// 0 for no limit.
    max: u32,
    refill: Duration,
    peers: Mutex<Peers>,
}

#[derive(Debug)]
struct Peers {
    known: HashMap<IpAddr, Peer>,
    /// How many may be known before some are forgotten.
    room: usize,
}

#[derive(Debug, Clone, Copy)]
struct Peer {
    open: u32,
    /// When its bucket is full again.
    full_at: Instant,
}

/// One open connection of a peer, until it is dropped.
#[derive(Debug)]
pub(crate) struct Counted(Option<(Arc<Addresses>, IpAddr)>);

/// A peer has as many connections as it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TooMany {
    /// Open at the same time.
    Open,
    /// New ones; there is room for the next one after this time.
    New(Duration),
}

impl Addresses {
    pub(crate) fn new(max: u32, refill: Duration) -> Arc<Self> {
        Arc::new(Self {
            max,
            refill,
            peers: Mutex::new(Peers { known: HashMap::new(), room: IDLE_PEERS_MAX }),
        })
    }

    /// Counts a new connection.
    pub(crate) fn enter(self: &Arc<Self>, addr: IpAddr, now: Instant) -> Result<Counted, TooMany> {
        if self.max == 0 {
            return Ok(Counted(None));
        }
        let addr = counted_as(addr);
        let mut peers = self.peers.lock();
        if peers.known.len() >= peers.room {
            peers.make_room(now);
        }
        let peer = peers.known.entry(addr).or_insert(Peer { open: 0, full_at: now });
        if peer.open >= self.max {
            return Err(TooMany::Open);
        }
        let full_at = peer.full_at.max(now) + self.refill / self.max;
        if let Some(wait) = full_at.checked_duration_since(now + self.refill).filter(|wait| !wait.is_zero()) {
            return Err(TooMany::New(wait));
        }
        *peer = Peer { open: peer.open + 1, full_at };
        Ok(Counted(Some((self.clone(), addr))))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let Some((addresses, addr)) = self.0.take() else { return };
        let mut peers = addresses.peers.lock();
        let Some(peer) = peers.known.get_mut(&addr) else { return };
        peer.open -= 1;
        if peer.open == 0 && peer.full_at <= Instant::now() {
            peers.known.remove(&addr);
        }
    }
}

/// An IPv6 /64 is one peer: that is what one customer is given, and every address in it is his.
fn counted_as(addr: IpAddr) -> IpAddr {
    match addr.to_canonical() {
        IpAddr::V6(addr) => {
            let [a, b, c, d, ..] = addr.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 => v4,
    }
}

impl Peers {
    /// Forgets peers without a connection: those with a full bucket, and in a flood from very many all of them.
    fn make_room(&mut self, now: Instant) {
        let open = self.known.values().filter(|peer| peer.open > 0).count();
        self.known.retain(|_, peer| peer.open > 0 || peer.full_at > now);
        if self.known.len() >= open + IDLE_PEERS_MAX / 2 {
            self.known.retain(|_, peer| peer.open > 0);
        }
        // Not before as many again have come, so that it costs little for each.
        self.room = open + IDLE_PEERS_MAX;
    }
}

/// Peers without a connection that are remembered for their bucket, about 50 bytes each.
const IDLE_PEERS_MAX: usize = 65_536;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const REFILL: Duration = Duration::from_secs(4);

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    // Mutants: `open` not given back -> the 5th is refused for ever; one bucket for all -> `b` is refused.
    #[tokio::test(start_paused = true)]
    async fn each_address_has_so_many_open_and_a_bucket_that_fills_again() {
        let addresses = Addresses::new(4, REFILL);
        let enter = |addr| addresses.enter(ip(addr), Instant::now());
        let mut held: Vec<_> = (0..4).map(|_| enter("192.0.2.1").unwrap()).collect();
        assert_eq!(enter("192.0.2.1").unwrap_err(), TooMany::Open);
        let other = enter("192.0.2.2").unwrap();
        held.clear();
        let TooMany::New(wait) = enter("192.0.2.1").unwrap_err() else { panic!("its bucket is empty") };
        assert_eq!(wait, REFILL / 4);
        tokio::time::advance(wait).await;
        drop(enter("192.0.2.1").unwrap());
        assert_eq!(enter("192.0.2.1").unwrap_err(), TooMany::New(wait));
        tokio::time::advance(REFILL).await;
        drop(other);
        (0..4).for_each(|_| drop(enter("192.0.2.1").unwrap()));
        assert_eq!(enter("192.0.2.1").unwrap_err(), TooMany::New(wait));
        tokio::time::advance(REFILL).await;
        drop(enter("192.0.2.1").unwrap());
        tokio::time::advance(REFILL).await;
        assert!(enter("192.0.2.3").is_ok());
    }

    // Mutants: the whole IPv6 address counted -> the second of its /64 gets in; the mapped one not made IPv4 -> it, too.
    #[tokio::test(start_paused = true)]
    async fn a_v6_network_is_one_address_and_a_mapped_one_is_v4() {
        for [first, same, other] in [
            ["2001:db8:1:2::1", "2001:db8:1:2:ffff::9", "2001:db8:1:3::1"],
            ["192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2"],
        ] {
            let addresses = Addresses::new(1, REFILL);
            let _held = addresses.enter(ip(first), Instant::now()).unwrap();
            assert_eq!(addresses.enter(ip(same), Instant::now()).unwrap_err(), TooMany::Open, "{same}");
            assert!(addresses.enter(ip(other), Instant::now()).is_ok(), "{other}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_limit_counts_nobody() {
        let addresses = Addresses::new(0, REFILL);
        let held: Vec<_> = (0..9).map(|_| addresses.enter(ip("::1"), Instant::now()).unwrap()).collect();
        assert_eq!((held.len(), addresses.peers.lock().known.len()), (9, 0));
    }

    // Mutant: `make_room` left out -> as many peers as came by.
    #[tokio::test(start_paused = true)]
    async fn a_flood_from_very_many_addresses_is_remembered_within_bounds() {
        let addresses = Addresses::new(1, REFILL);
        let held = addresses.enter(ip("192.0.2.1"), Instant::now()).unwrap();
        for number in 0..2 * IDLE_PEERS_MAX as u32 + 9 {
            let addr = std::net::Ipv4Addr::from(0x0a00_0000 + number);
            drop(addresses.enter(addr.into(), Instant::now()).unwrap());
        }
        assert!(addresses.peers.lock().known.len() <= IDLE_PEERS_MAX + 1);
        assert_eq!(addresses.enter(ip("192.0.2.1"), Instant::now()).unwrap_err(), TooMany::Open);
        drop(held);
    }
}
