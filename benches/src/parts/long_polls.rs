//! Many held long-polls that one event answers all at once.

use std::{thread, time::Duration};

use super::Setting;
use crate::{
    Failed,
    floor::Floor,
    load::{Carrier, Crowd, Latencies, Pace, Plan, Tally},
    measure::{Figure, deliver, sample},
    process::Process,
    report::Line,
};

/// How long half of them and nearly all of them waited, and what an answer costs; beside the floor with as many sockets.
pub(crate) fn run(setting: &Setting) -> Result<Vec<Line>, Failed> {
    let readers = setting.connections(READERS);
    let events = setting.either(3, 8);
    let sample = sample(&Process::in_memory()?, Carrier::WebSocket)?;
    let ours = one_by_one(Process::in_memory()?, Carrier::LongPoll, readers, events, &sample)?;
    let floor = one_by_one(Process::floor(Floor::Send)?, Carrier::WebSocket, readers, events, &sample)?;
    let line = |what: &str, unit, ours: f64, floor: f64| {
        Line::new(format!("long_polls.{what}"), unit, ours).base("floor", floor)
    };
    let p50 = line("p50", "ms", ours.latencies.ms(0.5), floor.latencies.ms(0.5)).others(ours.others);
    let p99 = line("p99", "ms", ours.latencies.ms(0.99), floor.latencies.ms(0.99)).others(ours.others);
    let cpu = line("cpu", "µs", ours.us_each, floor.us_each).others(ours.others);
    Ok(vec![
        Line { tally: Some(ours.tally), ..p50 },
        p99.more([
            ("p999_ms", ours.latencies.ms(0.999)),
            ("readers", readers as f64),
            ("events", events as f64),
        ]),
        cpu,
    ])
}

/// What several single events came to.
struct Singles {
    latencies: Latencies,
    tally: Tally,
    us_each: f64,
    others: f64,
}

/// One event after the other with a pause between them, so that each finds everybody waiting.
fn one_by_one(
    mut process: Process,
    carrier: Carrier,
    readers: usize,
    events: usize,
    sample: &[u8],
) -> Result<Singles, Failed> {
    // The floor takes readers in once it knows what to send.
    let mut publisher = process.publisher(sample)?;
    let crowd = Crowd::open(Plan::new(carrier, process.http, readers))?;
    let (mut latencies, mut tally) = (Latencies::default(), Tally::default());
    let (mut us, mut others) = (0.0, 0.0_f64);
    for _ in 0..events {
        thread::sleep(PAUSE);
        let one = Pace::Fixed { per_s: 1.0, events: 1 };
        let figure: Figure = deliver(&mut process, &crowd, &mut publisher, one)?;
        latencies.add(&figure.latencies);
        tally.add(&figure.tally);
        us += figure.spent.process.as_secs_f64() * 1e6;
        others = others.max(figure.spent.others);
    }
    Ok(Singles { us_each: us / tally.deliveries.max(1) as f64, latencies, tally, others })
}

const READERS: usize = 2_000;
/// Longer than the quiet after which a channel answers at once.
const PAUSE: Duration = Duration::from_millis(1_300);
