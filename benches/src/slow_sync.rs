//! Reads and live delivery while each sync of the disk takes half a second more, beside the same with the disk as it is.

use std::{process::Stdio, time::Duration};

use serde_json::{Value, json};
use tokio::{
    process::Command,
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::{
    server::{Asker, DEMO, Failed, Scratch, Server, event, request_of},
    times::quantile,
};

/// Prints a line for the disk as it is and one for a slow one; answers both. Needs `strace`, and the right to attach it.
pub(crate) async fn run() -> Result<Value, Failed> {
    println!(
        "{PUBLISHERS} publish without a pause; one reads a page of history after the other, another polls"
    );
    println!(
        "{:<10} {:>12} {:>12} {:>14} {:>14}",
        "sync", "reads p50 µs", "reads p99 µs", "publish p50 µs", "publish p99 µs"
    );
    let scratch = Scratch::new()?;
    let server = Server::on_disk(scratch.path(), DEMO).await?;
    let usual = measure(&server, "usual").await?;
    let mut strace = Command::new("strace");
    strace.args([
        "-f",
        "-qq",
        "-e",
        "trace=fdatasync",
        "-e",
        SLOW,
        "-o",
        "/dev/null",
        "-p",
        &server.pid().to_string(),
    ]);
    let mut strace = strace.stderr(Stdio::null()).kill_on_drop(true).spawn()?;
    sleep(Duration::from_secs(1)).await;
    if strace.try_wait()?.is_some() {
        return Err("strace may not attach to the server".into());
    }
    let slow = measure(&server, "+500 ms").await?;
    strace.kill().await?;
    server.stop().await;
    let ratio = slow["reads_p99_us"].as_f64().unwrap_or(0.0) / usual["reads_p99_us"].as_f64().unwrap_or(1.0);
    println!("reads p99: {ratio:.2} times the usual");
    Ok(json!({"rows": [usual, slow], "reads_p99_ratio": ratio}))
}

async fn measure(server: &Server, sync: &str) -> Result<Value, Failed> {
    let (stop, stopped) = watch::channel(false);
    let mut publishing = JoinSet::new();
    for number in 0..PUBLISHERS {
        let request = request_of(&event(&format!("demo:{number}"), &json!("x".repeat(200)).to_string()));
        publishing.spawn(repeat(server.asker().await?, request, Duration::ZERO, stopped.clone()));
    }
    sleep(Duration::from_secs(1)).await;
    let mut reading = JoinSet::new();
    for path in ["/v1/history?channel=demo:0&limit=100", "/v1/poll?channel=demo:1&last=100"] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes();
        reading.spawn(repeat(server.asker().await?, request, READ_EACH, stopped.clone()));
    }
    sleep(MEASURED).await;
    stop.send_replace(true);
    let (reads, publishes) = (gathered(reading).await?, gathered(publishing).await?);
    let figures = [(&reads, 0.5), (&reads, 0.99), (&publishes, 0.5), (&publishes, 0.99)]
        .map(|(times, share)| quantile(times, share));
    println!("{sync:<10} {:>12} {:>12} {:>14} {:>14}", figures[0], figures[1], figures[2], figures[3]);
    Ok(json!({
        "sync": sync,
        "reads": reads.len(),
        "reads_p50_us": figures[0],
        "reads_p99_us": figures[1],
        "publishes_p50_us": figures[2],
        "publishes_p99_us": figures[3],
    }))
}

async fn gathered(mut tasks: JoinSet<Result<Vec<u32>, Failed>>) -> Result<Vec<u32>, Failed> {
    let mut times = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        times.extend(ended??);
    }
    times.sort_unstable();
    Ok(times)
}

/// Asks the same again and again; how long each took, microseconds.
async fn repeat(
    mut asker: Asker,
    request: Vec<u8>,
    pause: Duration,
    stopped: watch::Receiver<bool>,
) -> Result<Vec<u32>, Failed> {
    let mut times = Vec::new();
    loop {
        let began = Instant::now();
        asker.ask(&request).await?;
        times.push(began.elapsed().as_micros() as u32);
        if *stopped.borrow() {
            return Ok(times);
        }
        sleep(pause).await;
    }
}

/// What each sync takes more, microseconds.
const SLOW: &str = "inject=fdatasync:delay_exit=500000";
const PUBLISHERS: usize = 4;
const READ_EACH: Duration = Duration::from_millis(5);
const MEASURED: Duration = Duration::from_secs(5);
