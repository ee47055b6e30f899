//! Publishers that never give up, and what was acknowledged to them.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use fastrand::Rng;
use serde_json::{Value, json};
use sosik_lab::checker::{Acked, Uncertain};
use sosik_testkit::carriers::{Carrier, POLL, TCP, WEBSOCKET};
use sosik_wire::Cursor;
use tokio::{sync::watch, time::sleep};

use crate::{
    follower::Whereabouts,
    up::{Up, publish},
};

/// What all publishers of a run share.
#[derive(Debug, Default)]
pub(crate) struct Outcomes {
    count: AtomicU64,
    acked: Mutex<Vec<Acked>>,
    uncertain: Mutex<Vec<Uncertain>>,
    duplicates: AtomicU64,
    /// How often each code was answered.
    refusals: Mutex<BTreeMap<String, u64>>,
}

impl Outcomes {
    /// All that was acknowledged, and all of which nobody knows.
    pub(crate) fn told(&self) -> (Vec<Acked>, Vec<Uncertain>) {
        (self.acked.lock().unwrap().clone(), self.uncertain.lock().unwrap().clone())
    }

    /// Retries that were answered with what an earlier attempt had stored.
    pub(crate) fn duplicates(&self) -> u64 {
        self.duplicates.load(Ordering::Relaxed)
    }

    /// How often a code was answered.
    pub(crate) fn refused(&self, code: &str) -> u64 {
        self.refusals.lock().unwrap().get(code).copied().unwrap_or(0)
    }

    /// How many acknowledgements came so far.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Notes an `ok`.
    pub(crate) fn note(&self, channel: &str, data: &Value, ok: &Value) {
        let cursor: Cursor = ok["cursor"].as_str().expect("an ok has a cursor").parse().unwrap();
        self.acked.lock().unwrap().push(Acked {
            channel: channel.to_owned(),
            epoch: ok["epoch"].as_str().unwrap().to_owned(),
            seq: ok["seq"].as_u64().unwrap(),
            body: data.to_string().into_bytes(),
            position: Some(cursor.parts()[0].position.number()),
        });
        self.count.fetch_add(1, Ordering::Relaxed);
        if ok["duplicate"] == json!(true) {
            self.duplicates.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// How a publisher makes its retries harmless.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retries {
    /// It does not retry: of what was cut off nobody knows what became.
    None,
    /// Each event has an idempotency key of its own.
    Keys,
    /// It numbers its events per channel.
    Numbers,
}

/// Somebody who publishes one event after the other, each until it is acknowledged, over whichever way is open.
#[derive(Debug)]
pub(crate) struct Publisher {
    number: usize,
    retries: Retries,
    channels: Vec<String>,
    /// Numbers used so far, per channel.
    numbers: Vec<u64>,
    /// Frames that were acknowledged lately, with their channel.
    recent: Vec<(usize, Value)>,
    up: Option<Up>,
    place: Whereabouts,
    outcomes: Arc<Outcomes>,
    rng: Rng,
}

impl Publisher {
    pub(crate) fn new(
        number: usize,
        retries: Retries,
        channels: &[&str],
        place: Whereabouts,
        outcomes: Arc<Outcomes>,
        rng: Rng,
    ) -> Self {
        Self {
            number,
            retries,
            channels: channels.iter().map(|&name| name.to_owned()).collect(),
            numbers: vec![0; channels.len()],
            recent: Vec::new(),
            up: None,
            place,
            outcomes,
            rng,
        }
    }

    /// Publishes until `done` is true and its last event is acknowledged.
    pub(crate) async fn publish(mut self, done: watch::Receiver<bool>) {
        let mut id = 0;
        while !*done.borrow() {
            id += 1;
            let again = self.retries != Retries::None && self.rng.u8(..24) == 0;
            let (channel, frame) = match self.recent.last() {
                // An answer that came may have been lost on its way, too.
                Some(_) if again => self.recent.swap_remove(self.rng.usize(..self.recent.len())),
                _ => self.event(id),
            };
            if let Some(ok) = self.until_stored(&frame).await {
                self.outcomes.note(&self.channels[channel], &frame["data"], &ok);
                self.recent.push((channel, frame));
                // Of a producer's numbers the last 64 are answered with what was stored.
                if self.recent.len() > 16 {
                    self.recent.remove(0);
                }
            }
        }
    }

    fn event(&mut self, id: u64) -> (usize, Value) {
        let channel = self.rng.usize(..self.channels.len());
        let padding = if self.rng.u8(..16) == 0 { self.rng.usize(..12_000) } else { self.rng.usize(..120) };
        let mut frame = publish(id, &self.channels[channel], &json!([self.number, id, "x".repeat(padding)]));
        match self.retries {
            Retries::None => {}
            Retries::Keys => frame["key"] = json!(format!("{}-{id}-{:016x}", self.number, self.rng.u64(..))),
            Retries::Numbers => {
                self.numbers[channel] += 1;
                let producer = format!("publisher-{}", self.number);
                frame["producer"] = json!({ "id": producer, "epoch": 1, "seq": self.numbers[channel] });
            }
        }
        (channel, frame)
    }

    /// Says the frame until it is answered `ok`; `None` when that is not known and it must not be said again.
    async fn until_stored(&mut self, frame: &Value) -> Option<Value> {
        loop {
            let Some(answer) = self.attempt(frame).await else {
                self.up = None;
                if self.retries == Retries::None {
                    let publish = Uncertain {
                        channel: frame["channel"].as_str().unwrap().to_owned(),
                        body: frame["data"].to_string().into_bytes(),
                    };
                    self.outcomes.uncertain.lock().unwrap().push(publish);
                    return None;
                }
                continue;
            };
            match answer["type"].as_str() {
                Some("ok") => return Some(answer),
                _ if answer["retry"] == json!(true) => {
                    let code = answer["code"].as_str().unwrap_or_default().to_owned();
                    *self.outcomes.refusals.lock().unwrap().entry(code).or_default() += 1;
                    sleep(Duration::from_millis(2)).await;
                }
                _ => panic!("{frame} was answered {answer}"),
            }
        }
    }

    /// Says the frame once; `None` when no answer came.
    async fn attempt(&mut self, frame: &Value) -> Option<Value> {
        while self.up.is_none() {
            let place = self.place.wait_for(Option::is_some).await.ok()?.expect("waited for");
            let ways: [&dyn Carrier; 3] = [&POLL, &WEBSOCKET, &TCP];
            let carrier = ways[self.rng.usize(..ways.len())];
            self.up = Up::open(carrier, &place).await.ok();
            if self.up.is_none() {
                sleep(Duration::from_millis(2)).await;
            }
        }
        self.up.as_mut()?.say(frame).await.ok()
    }
}
