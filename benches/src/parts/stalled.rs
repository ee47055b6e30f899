//! Half of the readers take nothing any more: what the server keeps for them, and whether the others feel it.

use std::fs;

use super::Setting;
use crate::{
    Failed,
    load::{Carrier, Crowd, Pace, Plan},
    measure::{Figure, deliver},
    process::Process,
    report::{Goal, Line},
};

/// The growth of the server's memory, and the p99 of those that read on beside the same without the others.
pub(crate) fn run(setting: &Setting) -> Result<Vec<Line>, Failed> {
    let each = setting.connections(2 * HEALTHY) / 2;
    let (without, grown_without) = measure(setting, each, 0)?;
    let (with, grown) = measure(setting, each, each)?;
    let p99 = Line::new("stalled.healthy.p99", "ms", with.latencies.ms(0.99)).figure(&with);
    let memory = Line::new("stalled.memory", "bytes", grown / each as f64)
        .base("without", grown_without / each as f64);
    Ok(vec![
        p99.base("without", without.latencies.ms(0.99)).goal(Goal::TimesBase(TIMES)),
        memory.goal(Goal::AtMost(BYTES_MOST)).others(with.spent.others).more([("stalled", each as f64)]),
    ])
}

/// What `healthy` readers saw beside `stalled` ones that stopped before it, and by how much the server grew meanwhile.
fn measure(setting: &Setting, healthy: usize, stalled: usize) -> Result<(Figure, f64), Failed> {
    let mut server = Process::in_memory()?;
    // Small, so that a stalled reader's socket is full soon, and the kernel holds little for it.
    let receive_buffer = Some(RECEIVE_BUFFER);
    let plan = Plan { receive_buffer, ..Plan::new(Carrier::WebSocket, server.http, healthy + stalled) };
    let crowd = Crowd::open(plan)?;
    let mut publisher = server.publisher(&[])?;
    let pace = |seconds: f64| Pace::Fixed { per_s: PER_S, events: (PER_S * seconds) as u64 };
    deliver(&mut server, &crowd, &mut publisher, pace(WARM_S))?;
    crowd.stall(stalled)?;
    let before = server.anonymous_bytes()?;
    let figure = deliver(&mut server, &crowd, &mut publisher, pace(setting.either(SHORT_S, FULL_S)))?;
    let grown = server.anonymous_bytes()?.saturating_sub(before) as f64;
    if stalled > 0 {
        let sent = figure.bytes_each * (figure.tally.deliveries / healthy as u64) as f64;
        let held = unsent_bytes(server.http.port())? / stalled as f64;
        if held + 2.0 * RECEIVE_BUFFER as f64 > sent {
            return Err(format!(
                "the stalled were sent {sent:.0} bytes and the kernel held {held:.0}: none was full"
            )
            .into());
        }
    }
    Ok((figure, grown))
}

/// What the kernel holds for the peers of this port, bytes: the fifth column of its table, in front of the colon.
fn unsent_bytes(port: u16) -> Result<f64, Failed> {
    let (table, local) = (fs::read_to_string("/proc/net/tcp")?, format!(":{port:04X}"));
    let rows = table.lines().map(|row| row.split_whitespace().collect::<Vec<_>>());
    let queues = rows.filter(|row| row.get(1).is_some_and(|address| address.ends_with(&local)));
    let bytes = queues.filter_map(|row| u64::from_str_radix(row.get(4)?.split(':').next()?, 16).ok());
    Ok(bytes.sum::<u64>() as f64)
}

const HEALTHY: usize = 1_000;
const PER_S: f64 = 100.0;
const WARM_S: f64 = 1.0;
/// Shorter than what the server closes a stalled connection after.
const SHORT_S: f64 = 5.0;
const FULL_S: f64 = 20.0;
const RECEIVE_BUFFER: usize = 4_096;
const TIMES: f64 = 1.5;
/// No queue: what a reader that is behind may cost is its place.
const BYTES_MOST: f64 = 1_024.0;
