//! Publishers, and what was acknowledged to them.

use std::{
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
    /// How many acknowledgements came so far.
    count: AtomicU64,
    acked: Mutex<Vec<Acked>>,
    uncertain: Mutex<Vec<Uncertain>>,
}

impl Outcomes {
    /// All that was acknowledged, and all of which nobody knows.
    pub(crate) fn told(&self) -> (Vec<Acked>, Vec<Uncertain>) {
        (self.acked.lock().unwrap().clone(), self.uncertain.lock().unwrap().clone())
    }

    /// Waits until so many acknowledgements more have come.
    pub(crate) async fn more(&self, count: u64) {
        let until = self.count.load(Ordering::Relaxed) + count;
        while self.count.load(Ordering::Relaxed) < until {
            sleep(Duration::from_micros(300)).await;
        }
    }

    fn note(&self, channel: &str, data: &Value, ok: &Value) {
        let cursor: Cursor = ok["cursor"].as_str().expect("an ok has a cursor").parse().unwrap();
        self.acked.lock().unwrap().push(Acked {
            channel: channel.to_owned(),
            epoch: ok["epoch"].as_str().unwrap().to_owned(),
            seq: ok["seq"].as_u64().unwrap(),
            body: data.to_string().into_bytes(),
            position: Some(cursor.parts()[0].position.number()),
        });
        self.count.fetch_add(1, Ordering::Relaxed);
    }
}

/// Somebody who publishes one event after the other, over whichever way is open.
#[derive(Debug)]
pub(crate) struct Publisher {
    number: usize,
    channels: Vec<String>,
    up: Option<Up>,
    place: Whereabouts,
    outcomes: Arc<Outcomes>,
    rng: Rng,
}

impl Publisher {
    pub(crate) fn new(
        number: usize,
        channels: &[&str],
        place: Whereabouts,
        outcomes: Arc<Outcomes>,
        rng: Rng,
    ) -> Self {
        Self {
            number,
            channels: channels.iter().map(|&name| name.to_owned()).collect(),
            up: None,
            place,
            outcomes,
            rng,
        }
    }

    /// Publishes until `done` is true.
    pub(crate) async fn publish(mut self, done: watch::Receiver<bool>) {
        let mut id = 0;
        while !*done.borrow() {
            id += 1;
            let (channel, frame) = self.event(id);
            if let Some(ok) = self.until_stored(&frame).await {
                self.outcomes.note(&self.channels[channel], &frame["data"], &ok);
            }
        }
    }

    fn event(&mut self, id: u64) -> (usize, Value) {
        let channel = self.rng.usize(..self.channels.len());
        let padding = if self.rng.u8(..16) == 0 { self.rng.usize(..12_000) } else { self.rng.usize(..120) };
        (channel, publish(id, &self.channels[channel], &json!([self.number, id, "x".repeat(padding)])))
    }

    /// Says the frame until it is answered `ok`; `None` when that is not known and it must not be said again.
    async fn until_stored(&mut self, frame: &Value) -> Option<Value> {
        loop {
            let Some(answer) = self.attempt(frame).await else {
                self.up = None;
                let publish = Uncertain {
                    channel: frame["channel"].as_str().unwrap().to_owned(),
                    body: frame["data"].to_string().into_bytes(),
                };
                self.outcomes.uncertain.lock().unwrap().push(publish);
                return None;
            };
            match answer["type"].as_str() {
                Some("ok") => return Some(answer),
                _ if answer["retry"] == json!(true) => sleep(Duration::from_millis(2)).await,
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
