//! Somebody who publishes into both logs while readers change.

use std::time::Duration;

use fastrand::Rng;
use serde_json::{Value, json};
use sosik_lab::checker::{Acked, Uncertain};
use sosik_testkit::carriers::{
    Place,
    http::{Answered, Client, header, request},
};
use sosik_wire::Cursor;
use tokio::{sync::watch, time::sleep};

/// What became of the publishes.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) acked: Vec<Acked>,
    /// Into memory, and cut off: after a restart nobody knows a key any more.
    pub(crate) uncertain: Vec<Uncertain>,
}

/// The channels of one run: three on the disk, the second one in memory.
pub(crate) struct Publisher {
    pub(crate) channels: [String; 4],
    pub(crate) place: watch::Receiver<Place>,
    /// No restart is to come.
    pub(crate) settled: watch::Receiver<bool>,
    pub(crate) rng: Rng,
}

impl Publisher {
    /// Publishes [`EVENTS`] events or more, one or a few at a time, at random pauses, the last one into memory when all has
    /// settled.
    pub(crate) async fn publish(mut self) -> Told {
        let mut told = Told::default();
        let mut client = None;
        loop {
            let last = told.acked.len() >= EVENTS && *self.settled.borrow();
            let events = self.events(last);
            self.until_stored(&events, &mut client, &mut told).await;
            if last {
                return told;
            }
            sleep(Duration::from_micros(self.rng.u64(..PAUSE_US_MAX))).await;
        }
    }

    /// Of one log, as one publish has to be.
    fn events(&mut self, last: bool) -> Vec<Value> {
        let rng = &mut self.rng;
        let count = if rng.u8(..8) == 0 { rng.usize(2..30) } else { 1 };
        let in_memory = last || rng.u8(..8) < 5;
        let own: Vec<_> =
            self.channels.iter().filter(|name| name.starts_with("mem:") == in_memory).cloned().collect();
        let event = |_| {
            let padding = if rng.u8(..16) == 0 { rng.usize(..20_000) } else { rng.usize(..100) };
            json!({ "channel": own[rng.usize(..own.len())], "data": [rng.u64(..), "x".repeat(padding)] })
        };
        (0..count).map(event).collect()
    }

    /// Retries what goes to the disk, with its key, until it is acknowledged.
    async fn until_stored(&mut self, events: &[Value], client: &mut Option<Client>, told: &mut Told) {
        let key = format!("{:032x}", self.rng.u128(..));
        loop {
            let place = *self.place.borrow();
            match attempt(client, &place, &key, events).await {
                Some(answered) if answered.status() == 200 => {
                    let oks = answered.json();
                    return told.acked.extend(events.iter().zip(oks.as_array().unwrap()).map(acked));
                }
                Some(answered) => {
                    let refusal = answered.refusal().unwrap();
                    assert_eq!(refusal.code, "drain", "{refusal:?}");
                }
                None if events[0]["channel"].as_str().unwrap().starts_with("mem:") => {
                    *client = None;
                    return told.uncertain.extend(events.iter().map(uncertain));
                }
                None => {}
            }
            *client = None;
            sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Sends once; `None` when no answer came.
async fn attempt(
    client: &mut Option<Client>,
    place: &Place,
    key: &str,
    events: &[Value],
) -> Option<Answered> {
    if client.is_none() {
        *client = Some(Client::reach(place.http).await.ok()?);
    }
    let headers = [header("Content-Type", "application/json"), header("Idempotency-Key", key)];
    let body = json!(events).to_string();
    let client = client.as_mut()?;
    client.write(&request("POST", "/v1/publish", place.http, &headers, body.as_bytes())).await;
    client.answer().await
}

fn acked((event, ok): (&Value, &Value)) -> Acked {
    let cursor: Cursor = ok["cursor"].as_str().unwrap().parse().unwrap();
    Acked {
        channel: event["channel"].as_str().unwrap().to_owned(),
        epoch: ok["epoch"].as_str().unwrap().to_owned(),
        seq: ok["seq"].as_u64().unwrap(),
        body: event["data"].to_string().into_bytes(),
        position: Some(cursor.parts()[0].position.number()),
    }
}

fn uncertain(event: &Value) -> Uncertain {
    Uncertain {
        channel: event["channel"].as_str().unwrap().to_owned(),
        body: event["data"].to_string().into_bytes(),
    }
}

const EVENTS: usize = 220;
const PAUSE_US_MAX: u64 = 5_000;
