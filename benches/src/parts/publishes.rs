//! Publishes over HTTP, synced and in memory: what each costs the server, by how many are under way at once.

use super::Setting;
use crate::{
    Failed,
    floor::Floor,
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
    let sample = sample()?;
    let (mut floors, mut lines) = (Vec::new(), Vec::new());
    let under_ways = setting.either(&UNDER_WAY[..3], &UNDER_WAY[..]);
    for under_way in under_ways.iter().copied() {
        floors.push((under_way, floor(setting, under_way, &sample)?));
    }
    for log in [Log::Memory, Log::Disk] {
        for under_way in under_ways.iter().copied() {
            lines.extend(measure(setting, log, under_way, &floors)?);
        }
    }
    Ok(lines)
}

#[derive(Clone, Copy, PartialEq)]
enum Log {
    Memory,
    Disk,
}

/// What the server answers to a publish.
fn sample() -> Result<Vec<u8>, Failed> {
    let server = Process::in_memory()?;
    Ok(server.asker()?.whole(&request(0))?.to_vec())
}

/// A floor that answers the same.
fn floor(setting: &Setting, under_way: usize, sample: &[u8]) -> Result<Asked, Failed> {
    let mut floor = Process::floor(Floor::Answer)?;
    let _publisher = floor.publisher(sample)?;
    let request = request(0);
    ask_all(&mut floor, under_way, (200, setting.lasting() / 2), |_, to| to.extend_from_slice(&request))
}

/// One number under way, against a fresh server.
fn measure(
    setting: &Setting,
    log: Log,
    under_way: usize,
    floors: &[(usize, Asked)],
) -> Result<Vec<Line>, Failed> {
    let scratch = if log == Log::Disk { Some(Scratch::new()?) } else { None };
    let own_sync = || scratch.as_ref().map(|scratch| sync_us(scratch.path())).transpose();
    let before = own_sync()?;
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
    drop(server);
    // What the disk can do, not what others leave of it: the better of before and after.
    let own_sync = before.zip(own_sync()?).map(|(before, after)| before.min(after));
    let (_, floor) =
        floors.iter().find(|(number, _)| *number == under_way).ok_or("there is no floor for it")?;
    Ok(lines(log, under_way, (&asked, floor), own_sync))
}

fn lines(log: Log, under_way: usize, (asked, floor): (&Asked, &Asked), own_sync: Option<f64>) -> Vec<Line> {
    let name = if log == Log::Disk { "disk" } else { "memory" };
    let line = |what: &str, unit, value| {
        Line::new(format!("publishes.{name}.{under_way}.{what}"), unit, value).others(asked.spent.others)
    };
    let [p50, p99] = [0.5, 0.99].map(|share| asked.times.ms(share) * 1e3);
    let mut rate = line("rate", "/s", asked.per_s()).base("floor", floor.per_s());
    let mut each = line("cpu", "µs", asked.us_each()).base("floor", floor.us_each());
    if under_way == GOALS_AT {
        let least = if log == Log::Disk { 40_000.0 } else { 80_000.0 };
        rate = rate.goal(Goal::AtLeast(least));
        each = if log == Log::Disk { each.goal(Goal::AtMost(15.0)) } else { each };
    }
    let mut lines = vec![rate.more([("p50_us", p50), ("p99_us", p99)]), each];
    if let (1, Some(own_sync)) = (under_way, own_sync) {
        let alone = line("p50", "µs", p50).base("own sync", own_sync);
        lines.push(alone.goal(Goal::AtMost(own_sync + BESIDE_SYNC_US)));
    }
    lines
}

fn request(channel: usize) -> Vec<u8> {
    let data = Marker { run: 0, channel: 0, seq: 0, sent_ns: 0 }.data();
    post(&event(&format!("demo:{channel}"), &data))
}

/// The last one only in the full mode.
const UNDER_WAY: [usize; 4] = [1, 16, 64, 1_024];
/// Under way where the goals are set.
const GOALS_AT: usize = 64;
const CHANNELS: usize = 10_000;
const BESIDE_SYNC_US: f64 = 200.0;
