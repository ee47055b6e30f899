//! One reader that comes back very many events behind, over the disk log of a server that has just started: what it
//! takes, and whether live delivery feels it.

use std::{
    env, io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::{
    server::{Failed, Scratch, Server},
    times::quantile,
};

/// Fills a log, starts again, measures, and prints one line for each figure.
pub(crate) async fn run() -> Result<Value, Failed> {
    let behind = env::var("SOSIK_BENCH_BEHIND").ok().and_then(|text| text.parse().ok()).unwrap_or(BEHIND);
    let scratch = Scratch::new()?;
    let server = Server::on_disk(scratch.path(), CONFIG).await?;
    fill(&server, behind).await?;
    server.stop().await;

    let server = Server::on_disk(scratch.path(), CONFIG).await?;
    let live = Live::open(&server).await?;
    let quiet = live.latencies(&server, |count| count >= QUIET_EVENTS).await?;
    let before = server.anonymous_bytes()?;
    let (began, seen) = (Instant::now(), Arc::new(AtomicU64::new(0)));
    let mut reader = JoinSet::new();
    let (own, address) = (seen.clone(), server.http);
    reader.spawn(async move {
        let mut socket = TcpStream::connect(address).await?;
        socket.write_all(get("talk:behind", "start").as_bytes()).await?;
        let mut chunk = vec![0; 256 * 1024];
        let mut rest = Vec::new();
        while own.load(Ordering::Relaxed) < behind {
            let count = socket.read(&mut chunk).await?;
            if count == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
            }
            rest.extend_from_slice(&chunk[..count]);
            own.fetch_add(count_lines(&mut rest), Ordering::Relaxed);
        }
        Ok(began.elapsed())
    });
    let most = Arc::new(AtomicU64::new(before));
    let busy = live
        .latencies(&server, |_| {
            most.fetch_max(server.anonymous_bytes().unwrap_or(0), Ordering::Relaxed);
            seen.load(Ordering::Relaxed) >= behind
        })
        .await?;
    let took = reader.join_next().await.ok_or("no reader")???.as_secs_f64();
    let grown = most.load(Ordering::Relaxed).saturating_sub(before) as f64 / (1024.0 * 1024.0);
    server.stop().await;
    println!("\none reader {behind} events of {DATA_BYTES} bytes behind, on disk, after a start");
    println!("{:<34} {:>12.0}", "events a second", behind as f64 / took);
    println!("{:<34} {:>12.1}", "memory of the server grows, MiB", grown);
    for (name, all) in [("quiet", &quiet), ("beside the reader", &busy)] {
        let (half, most) = (quantile(all, 0.5), quantile(all, 0.99));
        println!("{:<34} {half:>12.2} {most:>12.2}", format!("live p50 and p99 {name}, ms"));
    }
    Ok(json!({
        "events": behind,
        "seconds": took,
        "grown_mib": grown,
        "quiet_p99_ms": quantile(&quiet, 0.99),
        "busy_p99_ms": quantile(&busy, 0.99),
    }))
}

/// A reader and a publisher of one channel.
struct Live {
    reader: tokio::sync::Mutex<TcpStream>,
}

impl Live {
    async fn open(server: &Server) -> io::Result<Self> {
        let mut socket = TcpStream::connect(server.http).await?;
        socket.set_nodelay(true)?;
        socket.write_all(get("talk:live", "now").as_bytes()).await?;
        sleep(Duration::from_millis(300)).await;
        Ok(Self { reader: tokio::sync::Mutex::new(socket) })
    }

    /// Milliseconds from before each publish until its event is here, one at a time until `done`; the shortest first.
    async fn latencies(&self, server: &Server, done: impl Fn(usize) -> bool) -> Result<Vec<f64>, Failed> {
        let mut reader = self.reader.lock().await;
        let mut publisher = server.asker().await?;
        let (mut all, mut number, mut held) = (Vec::new(), new_series(), Vec::new());
        let mut chunk = vec![0; 64 * 1024];
        while !done(all.len()) {
            number += 1;
            let mark = format!("\"live-{number}\"");
            let began = Instant::now();
            publisher.publish_to("talk:live", &mark).await?;
            while !held.windows(mark.len()).any(|window| window == mark.as_bytes()) {
                let count = reader.read(&mut chunk).await?;
                if count == 0 {
                    return Err("the live reader was cut".into());
                }
                held.extend_from_slice(&chunk[..count]);
            }
            held.clear();
            all.push(began.elapsed().as_secs_f64() * 1e3);
            sleep(PAUSE).await;
        }
        all.sort_by(f64::total_cmp);
        Ok(all)
    }
}

/// A number that no other series has.
fn new_series() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1_000_000, Ordering::Relaxed)
}

async fn fill(server: &Server, count: u64) -> Result<(), Failed> {
    let mut publisher = server.asker().await?;
    let event = format!("{{\"channel\":\"talk:behind\",\"data\":\"{}\"}}", "x".repeat(DATA_BYTES - 2));
    for at in (0..count).step_by(EVENTS_PER_PUBLISH) {
        let some = EVENTS_PER_PUBLISH.min((count - at) as usize);
        publisher.post(&format!("[{}]", vec![&*event; some].join(","))).await?;
    }
    Ok(())
}

fn get(channel: &str, after: &str) -> String {
    format!(
        "GET /v1/stream?channel={channel}&after={after} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bench\r\n\r\n"
    )
}

/// Counts the events in `held` and keeps what may be half of one.
fn count_lines(held: &mut Vec<u8>) -> u64 {
    const NAME: &[u8] = b"\"seq\":";
    let count = held.windows(NAME.len()).filter(|window| *window == NAME).count() as u64;
    held.drain(..held.len().saturating_sub(NAME.len() - 1));
    count
}

/// Events that the reader is behind; `SOSIK_BENCH_BEHIND` overrides it.
const BEHIND: u64 = 1_000_000;
/// Data of one event, bytes.
const DATA_BYTES: usize = 200;
/// Between two live events.
const PAUSE: Duration = Duration::from_millis(5);
/// Live events of which the latency is taken while nobody catches up.
const QUIET_EVENTS: usize = 400;
const EVENTS_PER_PUBLISH: usize = 1_000;
const CONFIG: &str = "[[namespace]]\nname = \"talk\"\nread = \"anyone\"\npublish = \"anyone\"\nlog = \"disk\"\nevents_max = 1000000\nbytes_max = 1073741824\n";
