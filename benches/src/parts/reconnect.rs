//! Everybody comes back at once, with events missed: when all are caught up, and what it costs.

use super::Setting;
use crate::{
    Failed,
    load::{Carrier, Crowd, Marker, Pace, Plan, asker::event, carrier::channel_name, clock},
    machine::Stretch,
    measure::{deliver, new_run},
    process::Process,
    report::{Goal, Line},
};

/// Until the last one is caught up, and the CPU of a missed event beside that of a live one.
pub(crate) fn run(setting: &Setting) -> Result<Vec<Line>, Failed> {
    let mut server = Process::in_memory()?;
    let readers = setting.connections(READERS);
    let plan = Plan::new(Carrier::WebSocket, server.http, readers);
    let crowd = Crowd::open(plan.clone())?;
    let mut publisher = server.publisher(&[])?;
    let first = Pace::Fixed { per_s: 20.0, events: 20 };
    let seen = deliver(&mut server, &crowd, &mut publisher, first)?;
    drop(crowd);
    let after = server.asker()?.cursor(0)?;
    let run = new_run();
    publish(&server, run)?;

    let stretch = Stretch::begin(server.pid())?;
    let came_back = Plan { after, at_once: readers, run, wanted: MISSED, ..plan };
    // All are in place once they are told that they are caught up, or were cut.
    let crowd = Crowd::open(came_back)?;
    let spent = stretch.spent()?;
    server.check()?;
    let outcome = crowd.count(MISSED)?;
    let done = &outcome.done;
    if done.count() != readers as u64 && outcome.tally.is_whole() {
        return Err(format!("{} of {readers} had everything", done.count()).into());
    }
    let mut tally = seen.tally;
    tally.add(&outcome.tally);
    let last = Line::new("reconnect.last", "ms", done.most().as_secs_f64() * 1e3);
    let last = Line { tally: Some(tally), ..last }.goal(Goal::AtMost(LAST_MS)).others(spent.others);
    let missed = outcome.tally.deliveries.max(1) as f64;
    let each = Line::new("reconnect.cpu", "µs", spent.process.as_secs_f64() * 1e6 / missed);
    Ok(vec![
        last.more([
            ("p50_ms", done.ms(0.5)),
            ("p99_ms", done.ms(0.99)),
            ("readers", readers as f64),
            ("load_us_each", spent.load.as_secs_f64() * 1e6 / missed),
        ]),
        each.base("live", seen.us_each()).goal(Goal::AtMost(EACH_US)).others(spent.others),
    ])
}

/// What everybody misses.
fn publish(server: &Process, run: u32) -> Result<(), Failed> {
    let mut asker = server.asker()?;
    for seq in 1..=MISSED {
        let marker = Marker { run, channel: 0, seq, sent_ns: clock::ns() };
        asker.post(&event(&channel_name(0), &marker.data()))?;
    }
    Ok(())
}

const READERS: usize = 5_000;
const MISSED: u64 = 100;
const LAST_MS: f64 = 1_000.0;
const EACH_US: f64 = 0.5;
