//! Publishes over HTTP, synced: how many a second, and what each costs the server, by how many are under way at once.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::{
    machine::{Cpu, others_share, sync_us},
    server::{Asker, DEMO, Failed, Scratch, Server, event, request_of},
    times::quantile,
};

/// Prints a line per number under way, for the disk and then for memory; answers them all.
pub(crate) async fn run() -> Result<Value, Failed> {
    println!("data of {DATA_BYTES} bytes to {CHANNELS} channels, {} s each", MEASURED.as_secs());
    println!(
        "{:<8} {:>10} {:>10} {:>16} {:>9} {:>9} {:>12} {:>11}",
        "log", "under way", "per s", "server µs each", "p50 µs", "p99 µs", "own sync µs", "others CPU"
    );
    let mut rows = Vec::new();
    for log in ["disk", "memory"] {
        for under_way in UNDER_WAY {
            rows.push(measure(log, under_way).await?);
        }
    }
    Ok(json!({"data_bytes": DATA_BYTES, "channels": CHANNELS, "rows": rows}))
}

/// One number under way, against a fresh server.
async fn measure(log: &str, under_way: usize) -> Result<Value, Failed> {
    let scratch = if log == "disk" { Some(Scratch::new()?) } else { None };
    let own_sync = scratch.as_ref().map(|scratch| sync_us(scratch.path())).transpose()?;
    let server = match &scratch {
        Some(scratch) => Server::on_disk(scratch.path(), DEMO).await?,
        None => Server::start().await?,
    };
    let (stop, stopped) = watch::channel(false);
    let (measure, measuring) = watch::channel(false);
    let mut load = JoinSet::new();
    for number in 0..under_way {
        let asker = server.asker().await?;
        load.spawn(one(asker, number, measuring.clone(), stopped.clone()));
    }
    sleep(WARM).await;
    let (cpu, machine, own) = (server.cpu()?, Cpu::of_machine()?, Cpu::of_process(std::process::id())?);
    let began = Instant::now();
    measure.send_replace(true);
    sleep(MEASURED).await;
    measure.send_replace(false);
    let took = began.elapsed();
    let spent = server.cpu()?.since(&cpu);
    let others = others_share(&machine, spent, Cpu::of_process(std::process::id())?.since(&own))?;
    stop.send_replace(true);
    let mut times = Vec::new();
    while let Some(ended) = load.join_next().await {
        times.extend(ended??);
    }
    server.stop().await;
    times.sort_unstable();
    let (count, p50, p99) = (times.len(), quantile(&times, 0.5), quantile(&times, 0.99));
    let (rate, each) = (count as f64 / took.as_secs_f64(), spent.as_secs_f64() * 1e6 / count.max(1) as f64);
    println!(
        "{log:<8} {under_way:>10} {rate:>10.0} {each:>16.1} {p50:>9} {p99:>9} {:>12} {:>10.1}%",
        own_sync.map_or_else(|| "-".to_owned(), |us| format!("{us:.0}")),
        others * 100.0
    );
    Ok(json!({
        "log": log,
        "under_way": under_way,
        "per_s": rate,
        "server_us_each": each,
        "p50_us": p50,
        "p99_us": p99,
        "own_sync_us": own_sync,
        "others_cpu_percent": others * 100.0,
    }))
}

/// Publishes one after the other until it is stopped; how long each took that was measured, microseconds.
async fn one(
    mut asker: Asker,
    number: usize,
    measuring: watch::Receiver<bool>,
    stopped: watch::Receiver<bool>,
) -> Result<Vec<u32>, Failed> {
    let data = json!({"text": "x".repeat(DATA_BYTES - 11)}).to_string();
    let mut times = Vec::new();
    for round in 0.. {
        // A step that shares no factor with their number visits all channels.
        let channel = (number * 617 + round * 7919) % CHANNELS;
        let request = request_of(&event(&format!("demo:{channel}"), &data));
        let began = Instant::now();
        asker.ask(&request).await?;
        if *measuring.borrow() {
            times.push(began.elapsed().as_micros() as u32);
        }
        if *stopped.borrow() {
            break;
        }
    }
    Ok(times)
}

const UNDER_WAY: [usize; 4] = [1, 16, 64, 1_024];
const CHANNELS: usize = 10_000;
const DATA_BYTES: usize = 200;
const WARM: Duration = Duration::from_secs(1);
const MEASURED: Duration = Duration::from_secs(3);
