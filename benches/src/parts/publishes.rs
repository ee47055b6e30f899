//! Publishes over HTTP, synced and in memory: what each costs the server, by how many are under way at once.

use super::Setting;
use crate::{
    Failed,
    load::{
        Asked, Marker, ask_all,
        asker::{event, post},
    },
    machine::sync_us,
    process::{DEMO, Process, Scratch},
    report::{Goal, Line},
};

/// Two lines for each log and number under way: how many a second, and what each costs.
pub(crate) fn run(setting: &Setting) -> Result<Vec<Line>, Failed> {
    let mut lines = Vec::new();
    for log in [Log::Memory, Log::Disk] {
        for under_way in UNDER_WAY {
            lines.extend(measure(setting, log, under_way)?);
        }
    }
    Ok(lines)
}

#[derive(Clone, Copy, PartialEq)]
enum Log {
    Memory,
    Disk,
}

/// One number under way, against a fresh server.
fn measure(setting: &Setting, log: Log, under_way: usize) -> Result<Vec<Line>, Failed> {
    let scratch = if log == Log::Disk { Some(Scratch::new()?) } else { None };
    let own_sync = scratch.as_ref().map(|scratch| sync_us(scratch.path())).transpose()?;
    let mut server = match &scratch {
        Some(scratch) => Process::on_disk(scratch.path(), DEMO)?,
        None => Process::in_memory()?,
    };
    let requests: Vec<Vec<u8>> = (0..CHANNELS).map(request).collect();
    let mut round = 0;
    let asked = ask_all(&mut server, under_way, (200, setting.lasting()), |number, request| {
        round += 1;
        // A step that shares no factor with their number visits all channels.
        request.extend_from_slice(&requests[(number * 617 + round * 7919) % CHANNELS]);
    })?;
    Ok(lines(log, under_way, &asked, own_sync))
}

fn lines(log: Log, under_way: usize, asked: &Asked, own_sync: Option<f64>) -> Vec<Line> {
    let name = if log == Log::Disk { "disk" } else { "memory" };
    let id = |what: &str| format!("publishes.{name}.{under_way}.{what}");
    let p50 = asked.times.quantile(0.5).as_secs_f64() * 1e6;
    let times = [("p50_us", p50), ("p99_us", asked.times.quantile(0.99).as_secs_f64() * 1e6)];
    let mut rate = Line::new(id("rate"), "/s", asked.per_s()).others(asked.spent.others).more(times);
    let mut each = Line::new(id("cpu"), "µs", asked.us_each()).others(asked.spent.others);
    if under_way == GOALS_AT {
        let least = if log == Log::Disk { 40_000.0 } else { 80_000.0 };
        rate = rate.goal(Goal::AtLeast(least));
        each = if log == Log::Disk { each.goal(Goal::AtMost(15.0)) } else { each };
    }
    let mut lines = vec![rate, each];
    if let (1, Some(own_sync)) = (under_way, own_sync) {
        let alone = Line::new(id("p50"), "µs", p50).base("own sync", own_sync).others(asked.spent.others);
        lines.push(alone.goal(Goal::AtMost(own_sync + BESIDE_SYNC_US)));
    }
    lines
}

fn request(channel: usize) -> Vec<u8> {
    let data = Marker { run: 0, channel: 0, seq: 0, sent_ns: 0 }.data();
    post(&event(&format!("demo:{channel}"), &data))
}

const UNDER_WAY: [usize; 4] = [1, 16, 64, 1_024];
/// Under way where the goals are set.
const GOALS_AT: usize = 64;
const CHANNELS: usize = 10_000;
const BESIDE_SYNC_US: f64 = 200.0;
