//! The toy dialect as a carrier: its own bytes, read as the same observations.

#![allow(clippy::unwrap_used, reason = "a suite fails by panicking")]

use std::{collections::VecDeque, net::SocketAddr, sync::Arc};

use serde_json::json;
use sosik_core::{Grant, Pattern, Verb};
use sosik_lab::{
    checker::{CursorFrom, Event, Gap, Observed},
    raw::Torn,
};
use sosik_transport::Hub;
use tokio::task::JoinSet;

use crate::carriers::{Ask, Carrier, Heard, Manner, Place, Talk};

/// The toy dialect. Of the suite it passes the group `every`. Left out, each with its reason:
///
/// - `product`: `last`, binary data and the limits of a request are not in its words, and the figures count the
///   product's transports only;
/// - `endless`: it has no welcome, heartbeat or goodbye;
/// - `two_way`: its set is fixed, one `FOLLOW` replaces the other;
/// - `http`, `poll`, `long_poll`: it is none of them.
pub const TOY: Toy = Toy;

/// See [`TOY`].
#[derive(Debug)]
pub struct Toy;

impl Carrier for Toy {
    fn name(&self) -> &'static str {
        "toy"
    }

    fn manner(&self) -> Manner {
        Manner::TwoWay
    }

    fn addr(&self, place: &Place) -> SocketAddr {
        place.dialect.expect("the toy listens")
    }

    fn listen(&self, hub: &Arc<Hub>, tasks: &mut JoinSet<()>) -> Option<SocketAddr> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let (addr, hub) = (listener.local_addr().unwrap(), hub.clone());
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        let may = ["disk:*", "mem:*", "small:*", "sig:*"]
            .map(|text| (Pattern::parse(text).unwrap(), [Verb::Read, Verb::Publish].into_iter().collect()));
        let grant = Grant::anonymous(may);
        tasks.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                open.spawn(super::serve(hub.clone(), grant.clone(), socket));
            }
        });
        Some(addr)
    }

    fn talk(&self, _: &Place, _: u64) -> Box<dyn Talk> {
        Box::new(Lines::default())
    }
}

#[derive(Default)]
struct Lines {
    held: Vec<u8>,
    /// Publishes that wait for their answer.
    ids: VecDeque<u64>,
}

impl Talk for Lines {
    fn ask(&mut self, ask: &Ask) -> Vec<u8> {
        let after = ask.after().expect("the toy has no `last`");
        format!("FOLLOW {after} {}\n", ask.channels.join(" ")).into_bytes()
    }

    fn read(&mut self, bytes: &[u8]) -> Result<Vec<Heard>, Torn> {
        self.held.extend_from_slice(bytes);
        let mut heard = Vec::new();
        while let Some(end) = self.held.iter().position(|&byte| byte == b'\n') {
            let line: Vec<_> = self.held.drain(..=end).collect();
            let line = std::str::from_utf8(&line[..end]).map_err(|error| Torn { why: error.to_string() })?;
            let seen = self.line(line).ok_or_else(|| Torn { why: line.chars().take(120).collect() })?;
            heard.push(Heard::Seen(seen));
        }
        Ok(heard)
    }

    fn publish(&mut self, id: u64, channel: &str, data: &str) -> Vec<u8> {
        self.ids.push_back(id);
        format!("PUBLISH {channel} {data}\n").into_bytes()
    }
}

impl Lines {
    fn line(&mut self, line: &str) -> Option<Observed> {
        let (word, rest) = line.split_once(' ')?;
        let handed = |from| Some(Observed::Cursor { from, cursor: rest.to_owned() });
        match word {
            "HERE" => handed(CursorFrom::Subscribed),
            "LIVE" => handed(CursorFrom::CaughtUp),
            "EVENT" => {
                let mut parts = rest.splitn(5, ' ');
                let mut part = || parts.next().map(str::to_owned);
                let (cursor, channel, epoch) = (part(), part()?, part()?);
                let seq = part()?.parse().ok()?;
                Some(Observed::Event(Event { channel, epoch, seq, body: part()?.into_bytes(), cursor }))
            }
            "GAP" => {
                let mut parts = rest.split(' ').map(str::to_owned);
                let (cursor, channel) = (parts.next(), parts.next()?);
                let (epoch, reason) = (parts.next()?, parts.next()?);
                let next_seq = parts.next()?.parse().ok().filter(|next| *next > 0);
                Some(Observed::Gap(Gap {
                    channel,
                    reason,
                    epoch,
                    next_seq,
                    lost: None,
                    position: None,
                    cursor,
                }))
            }
            "OK" => {
                let seq: u64 = rest.parse().ok()?;
                let frame = json!({ "type": "ok", "id": self.ids.pop_front()?, "seq": seq }).to_string();
                Some(Observed::Other { kind: "ok".to_owned(), frame })
            }
            "ERROR" => {
                let (code, message) = rest.split_once(' ')?;
                let frame =
                    json!({ "type": "error", "id": self.ids.pop_front(), "code": code, "message": message });
                Some(Observed::Other { kind: "error".to_owned(), frame: frame.to_string() })
            }
            _ => None,
        }
    }
}
