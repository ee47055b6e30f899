//! CPU per delivery and memory per idle connection, transport by transport.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    machine::{Cpu, others_share},
    readers::{Carrier, Crowd},
    server::{Failed, Server},
};

/// Prints a line per transport; answers them all.
pub(crate) async fn run() -> Result<Value, Failed> {
    let readers =
        std::env::var("SOSIK_BENCH_READERS").ok().and_then(|text| text.parse().ok()).unwrap_or(READERS);
    println!(
        "{readers} readers of one channel, {EVENTS} events of {DATA_BYTES} bytes, {} a second",
        1000 / PAUSE.as_millis()
    );
    println!(
        "{:<11} {:>14} {:>16} {:>12} {:>6} {:>9} {:>11}",
        "transport", "bytes/idle", "server µs/event", "deliveries", "lost", "repeated", "others CPU"
    );
    let mut rows = Vec::new();
    for carrier in Carrier::ALL {
        let row = measure(carrier, readers).await?;
        let text =
            |key: &str| row[key].as_f64().map_or_else(|| "-".to_owned(), |number| format!("{number:.1}"));
        println!(
            "{:<11} {:>14} {:>16} {:>12} {:>6} {:>9} {:>10}%",
            carrier.name(),
            text("bytes_per_idle_connection"),
            text("server_us_per_delivery"),
            row["deliveries"].to_string(),
            row["lost"].to_string(),
            row["repeated"].to_string(),
            text("others_cpu_percent"),
        );
        rows.push(row);
    }
    Ok(json!({"readers": readers, "events": EVENTS, "rows": rows}))
}

/// One transport against a fresh server.
async fn measure(carrier: Carrier, readers: usize) -> Result<Value, Failed> {
    let server = Server::start().await?;
    // The first connections pay for the runtime's own structures; they are not the figure.
    let warm = Crowd::open(carrier, &server, 64).await?;
    sleep(Duration::from_millis(500)).await;
    let before = server.anonymous_bytes()?;
    let mut crowd = Crowd::open(carrier, &server, readers).await?;
    sleep(Duration::from_millis(1_500)).await;
    let idle = carrier
        .holds_connection()
        .then(|| server.anonymous_bytes().map(|after| after.saturating_sub(before) as f64 / readers as f64));
    drop(warm);
    sleep(Duration::from_millis(500)).await;

    let data = json!({"text": "x".repeat(DATA_BYTES - 11)}).to_string();
    let (cpu, machine) = (server.cpu()?, Cpu::of_machine()?);
    let own = Cpu::of_process(std::process::id())?;
    let mut publisher = server.asker().await?;
    for _ in 0..EVENTS {
        publisher.publish(&data).await?;
        sleep(PAUSE).await;
    }
    crowd.settle(EVENTS, Duration::from_secs(10)).await;
    let spent = server.cpu()?.since(&cpu);
    let others = others_share(&machine, spent, Cpu::of_process(std::process::id())?.since(&own))?;
    let tally = crowd.tally(EVENTS);
    server.stop().await;
    Ok(json!({
        "transport": carrier.name(),
        "bytes_per_idle_connection": idle.transpose()?,
        "server_us_per_delivery": spent.as_secs_f64() * 1e6 / tally.deliveries.max(1) as f64,
        "deliveries": tally.deliveries,
        "lost": tally.lost,
        "repeated": tally.repeated,
        "reordered": tally.reordered,
        "others_cpu_percent": others * 100.0,
    }))
}

/// Readers of one channel; `SOSIK_BENCH_READERS` overrides it.
const READERS: usize = 1_000;
/// Events published to them, one at a time at a fixed rate.
const EVENTS: u64 = 200;
/// Between two publishes: 100 events a second, 100,000 deliveries a second with 1,000 readers.
const PAUSE: Duration = Duration::from_millis(10);
/// Data of one event, bytes.
const DATA_BYTES: usize = 200;
