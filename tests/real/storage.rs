//! A disk that fails or is slow: what is refused, what goes on, and what is there afterwards. The calls of the running
//! server are bent by `strace`.

use std::time::Duration;

use serde_json::{Value, json};
use sosik_testkit::carriers::{
    Carrier, Place, TCP, WEBSOCKET,
    http::{Answered, Client},
};
use sosik_tests::{
    process::PATIENCE,
    scratch::Scratch,
    sosik::{Serve, Sosik, note},
    strace::Strace,
};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    block_on, follow, past,
    up::{Up, exchange, place, publish},
};

// Mutants: a failed sync taken for success; no sync at all; the head moved before the commit -> all fail.
#[test]
fn after_a_sync_that_failed_nothing_is_acknowledged_and_reads_go_on() {
    block_on(async {
        let scratch = Scratch::new().unwrap();
        let data = scratch.path().join("data");
        let server = serve().start(&data, scratch.path()).await.unwrap();
        let mut live = follow(&server, &WEBSOCKET, &["talk:1", "mem:1"]).await;
        for number in 0..STORED {
            assert_eq!(post(&server, "talk:1", &json!(number)).await.status(), 200);
        }
        live.events(STORED).await;

        let failing = ["-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:error=EIO"];
        let strace = Strace::attach(server.pid(), &failing, scratch.path()).await.unwrap();
        for number in 0..5 {
            refused(&post(&server, "talk:1", &json!(format!("late {number}"))).await, 503, "storage_failed");
        }
        let mut up = Up::open(&TCP, &place(&server)).await.unwrap();
        let said = up.say(&publish(1, "talk:2", &json!("late"))).await.unwrap();
        assert_eq!((&said["code"], &said["retry"]), (&json!("storage_failed"), &json!(true)), "{said}");

        // What was stored is read, a reader that was there lives on, and the log in memory does not care.
        assert_eq!(numbers(&server, "talk:1").await, (0..STORED as u64).collect::<Vec<_>>());
        assert_eq!(post(&server, "mem:1", &json!("still here")).await.status(), 200);
        assert_eq!(live.event().await.body, b"\"still here\"", "nothing of what failed was delivered");
        let steps = strace.detach().await.unwrap();
        assert!(steps.iter().any(|step| step.is_sync_of(".jnl") && step.ended == Some(-1)), "{steps:?}");

        // The disk is well again; the log stays closed until somebody has looked at it.
        refused(&post(&server, "talk:1", &json!("later")).await, 503, "storage_failed");
        server.kill().await;
        let server = serve().start(&data, scratch.path()).await.unwrap();
        let there = numbers(&server, "talk:1").await;
        assert_eq!(there[..STORED], (0..STORED as u64).collect::<Vec<_>>(), "all that was acknowledged");
        assert_eq!(post(&server, "talk:1", &json!("again")).await.status(), 200);
    });
}

// The sync is held for as long as the case takes, so that only the order counts and no clock.
// Mutants: readers that wait for the writer's lock; a commit without a sync; a queue without a bound -> all fail.
#[test]
fn while_a_sync_takes_long_reads_go_on_and_publishes_wait_within_bounds() {
    block_on(async {
        let scratch = Scratch::new().unwrap();
        let server = serve().start(&scratch.path().join("data"), scratch.path()).await.unwrap();
        for number in 0..STORED {
            assert_eq!(post(&server, "talk:1", &json!(number)).await.status(), 200);
        }
        let mut live = follow(&server, &WEBSOCKET, &["talk:1", "mem:1"]).await;
        live.events(STORED).await;

        let slow = ["-e", "trace=fdatasync", "-e", "inject=fdatasync:delay_exit=120000000"];
        let strace = Strace::attach(server.pid(), &slow, scratch.path()).await.unwrap();
        let mut waiting = JoinSet::new();
        waiting.spawn(send(place(&server), "talk:1", json!("slow")));
        let held = async {
            while !strace.so_far().unwrap().iter().any(|step| step.is_sync_of(".jnl")) {
                sleep(Duration::from_millis(2)).await;
            }
        };
        timeout(PATIENCE, held).await.expect("a publish begins a sync");
        for round in 0..READS {
            assert_eq!(numbers(&server, "talk:1").await, (0..STORED as u64).collect::<Vec<_>>());
            let carrier: &'static dyn Carrier = if round % 2 == 0 { &TCP } else { &WEBSOCKET };
            follow(&server, carrier, &["talk:*"]).await.events(STORED).await;
            assert_eq!(post(&server, "mem:1", &json!(round)).await.status(), 200);
            assert_eq!(live.event().await.body, round.to_string().into_bytes());
        }
        assert!(waiting.try_join_next().is_none(), "acknowledged while its sync was under way");

        // What waits is bounded: 64 MiB, and each no longer than ten seconds.
        for _ in 0..FLOOD {
            waiting.spawn(flood(place(&server)));
        }
        let (mut refusals, mut beyond) = (0, 0);
        while refusals < FLOOD - QUEUED_MOST {
            let answered = waiting.join_next().await.unwrap().unwrap();
            let code = answered.json()["code"].as_str().unwrap_or_default().to_owned();
            assert!(["overloaded", "unavailable"].contains(&&*code), "{answered:?}");
            refused(&answered, 503, &code);
            refusals += 1;
            beyond += usize::from(code == "overloaded");
        }
        assert!(beyond > 0, "none was refused for want of a place to wait");
        strace.detach().await.unwrap();
        let mut stored = 0;
        for answered in waiting.join_all().await {
            match answered.status() {
                200 => stored += answered.json().as_array().map_or(1, Vec::len),
                _ => refused(&answered, 503, answered.json()["code"].as_str().unwrap()),
            }
        }
        note(&format!("{refusals} refused at least, {stored} stored after the wait"));
        assert!(stored > 0, "the one that waited for its sync is acknowledged in the end");
        let place = place(&server);
        let kept = past(&place, "talk:1").await.len() + past(&place, "talk:flood").await.len();
        assert!(kept >= STORED + stored, "what was acknowledged is there: {kept}");
        assert_eq!(post(&server, "talk:1", &json!("again")).await.status(), 200);
    });
}

fn serve() -> Serve {
    Serve::open(&[("talk", ""), ("mem", "log = \"memory\"")])
}

async fn post(server: &Sosik, channel: &str, data: &Value) -> Answered {
    send(place(server), channel, data.clone()).await
}

async fn send(place: Place, channel: impl Into<String>, data: Value) -> Answered {
    let mut client = Client::connect(place.http).await;
    let body = json!({ "channel": channel.into(), "data": data }).to_string();
    exchange(&mut client, &place, "/v1/publish", &[], &body).await.unwrap()
}

/// A megabyte in one atomic publish.
async fn flood(place: Place) -> Answered {
    let events: Vec<_> = (0..16)
        .map(|number| json!({ "channel": "talk:flood", "data": format!("{number}{}", "x".repeat(64_000)) }))
        .collect();
    let mut client = Client::connect(place.http).await;
    exchange(&mut client, &place, "/v1/publish", &[], &json!(events).to_string()).await.unwrap()
}

/// A refusal that says when to come back.
fn refused(answered: &Answered, status: u16, code: &str) {
    let said = answered.json();
    assert_eq!((answered.status(), &said["code"]), (status, &json!(code)), "{said}");
    assert_eq!(said["retry"], json!(true), "{said}");
    let seconds = answered.head.header("Retry-After").and_then(|text| text.parse::<u64>().ok());
    assert!(seconds.is_some_and(|seconds| seconds > 0), "{answered:?}");
}

/// The data of a channel's events that are numbers, oldest first.
async fn numbers(server: &Sosik, channel: &str) -> Vec<u64> {
    let events = past(&place(server), channel).await;
    events.iter().filter_map(|(_, data)| data.parse().ok()).collect()
}

const STORED: usize = 20;
/// Rounds of reading while a sync is held.
const READS: usize = 8;
/// Publishes of a megabyte, more than may wait.
const FLOOD: usize = 72;
/// Of those may wait: 64 MiB, and the one whose append is under way.
const QUEUED_MOST: usize = 66;
