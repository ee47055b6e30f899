//! One reader that comes back very many events behind, over the disk log of a server that has just started: what it
//! takes, and whether live delivery feels it.

use std::{
    env,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Duration,
};

use memchr::memmem;

use super::Setting;
use crate::{
    Failed,
    load::{Carrier, Crowd, Latencies, Marker, Pace, Plan, asker::event, carrier::channel_name, clock},
    machine::Stretch,
    measure::deliver,
    process::{Process, Scratch},
    report::{Goal, Line},
};

/// Fills a log, starts again, and measures. `SOSIK_BENCH_BEHIND` says how far behind.
pub(crate) fn run(setting: &Setting) -> Result<Vec<Line>, Failed> {
    let asked = env::var("SOSIK_BENCH_BEHIND").ok().and_then(|text| text.parse().ok());
    let behind = asked.unwrap_or_else(|| setting.either(BEHIND_SHORT, BEHIND));
    let scratch = Scratch::new()?;
    fill(&Process::on_disk(scratch.path(), CONFIG)?, behind)?;

    let began = clock::now();
    let mut server = Process::on_disk(scratch.path(), CONFIG)?;
    server.asker()?.cursor(BEHIND_CHANNEL)?;
    let start_ms = began.elapsed().as_secs_f64() * 1e3;
    let crowd = Crowd::open(Plan::new(Carrier::Stream, server.http, 1))?;
    let mut publisher = server.publisher(&[])?;
    let pace = |events| Pace::Fixed { per_s: LIVE_PER_S, events };
    let quiet = deliver(&mut server, &crowd, &mut publisher, pace(QUIET_EVENTS))?;

    let (before, http, seen) = (server.anonymous_bytes()?, server.http, &AtomicU64::new(0));
    let stretch = Stretch::begin(server.pid())?;
    let (mut most, mut busy) = (before, Latencies::default());
    let mut tally = quiet.tally;
    let took = thread::scope(|scope| {
        let reader = scope.spawn(move || read(http, behind, seen));
        while !reader.is_finished() {
            let figure = deliver(&mut server, &crowd, &mut publisher, pace(BUSY_EVENTS))?;
            busy.add(&figure.latencies);
            tally.add(&figure.tally);
            most = most.max(server.anonymous_bytes()?);
        }
        reader.join().map_err(|_| "the reader has failed")?
    })?;
    let spent = stretch.spent()?;
    let events = ("events", behind as f64);
    let rate = Line::new("catch_up.rate", "/s", behind as f64 / took.as_secs_f64()).others(spent.others);
    let grown = Line::new("catch_up.memory", "MiB", most.saturating_sub(before) as f64 / MIB);
    let live = Line::new("catch_up.live.p99", "ms", busy.ms(0.99)).base("quiet", quiet.latencies.ms(0.99));
    let live = live.goal(Goal::TimesBase(LIVE_TIMES)).others(spent.others);
    let start = Line::new("catch_up.start_after_kill", "ms", start_ms).goal(Goal::AtMost(START_MS));
    Ok(vec![
        rate.more([events]),
        grown.goal(Goal::AtMost(GROWN_MIB)),
        Line { tally: Some(tally), ..live }
            .more([("p50_ms", busy.ms(0.5)), ("quiet_p50_ms", quiet.latencies.ms(0.5))]),
        start.more([events]),
    ])
}

/// Reads all that it is behind, each once and in order.
fn read(http: SocketAddr, behind: u64, seen: &AtomicU64) -> Result<Duration, Failed> {
    let began = clock::now();
    let mut socket = TcpStream::connect(http)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.write_all(&Carrier::Stream.opening(BEHIND_CHANNEL, "start"))?;
    let (mut chunk, mut held, mut last) = (vec![0; 256 * 1024], Vec::new(), 0);
    while last < behind {
        match socket.read(&mut chunk)? {
            0 => return Err("the reader was cut off".into()),
            count => held.extend_from_slice(&chunk[..count]),
        }
        let mut used = 0;
        while let Some(at) = memmem::find(&held[used..], SEQ) {
            let digits = &held[used + at + SEQ.len()..];
            let Some(end) = digits.iter().position(|byte| !byte.is_ascii_digit()) else { break };
            let seq = std::str::from_utf8(&digits[..end])?.parse()?;
            if seq != last + 1 {
                return Err(format!("event {seq} came behind {last}").into());
            }
            last = seq;
            used += at + SEQ.len() + end;
        }
        held.drain(..used);
        seen.store(last, Ordering::Relaxed);
    }
    Ok(began.elapsed())
}

fn fill(server: &Process, count: u64) -> Result<(), Failed> {
    let mut publisher = server.asker()?;
    let data = Marker { run: 0, channel: 0, seq: 0, sent_ns: 0 }.data();
    let event = event(&channel_name(BEHIND_CHANNEL), &data);
    for at in (0..count).step_by(EVENTS_PER_PUBLISH) {
        let some = EVENTS_PER_PUBLISH.min((count - at) as usize);
        publisher.post(&format!("[{}]", vec![&*event; some].join(",")))?;
    }
    Ok(())
}

const BEHIND: u64 = 1_000_000;
const BEHIND_SHORT: u64 = 200_000;
/// The live events go to channel 0.
const BEHIND_CHANNEL: u32 = 1;
const LIVE_PER_S: f64 = 200.0;
const QUIET_EVENTS: u64 = 400;
const BUSY_EVENTS: u64 = 20;
/// "Not delayed" with what a shared machine adds by itself.
const LIVE_TIMES: f64 = 2.0;
const GROWN_MIB: f64 = 8.0;
const MIB: f64 = 1024.0 * 1024.0;
const START_MS: f64 = 1_000.0;
const EVENTS_PER_PUBLISH: usize = 1_000;
const SEQ: &[u8] = b"\"seq\":";
const PATIENCE: Duration = Duration::from_secs(20);
const CONFIG: &str = "[[namespace]]\nname = \"demo\"\nread = \"anyone\"\npublish = \"anyone\"\nlog = \"disk\"\nevents_max = 1000000\nbytes_max = 1073741824\n";
