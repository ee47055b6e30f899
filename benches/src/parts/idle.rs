//! Memory of the server per idle connection.

use std::{thread, time::Duration};

use super::Setting;
use crate::{
    Failed,
    floor::Floor,
    load::{Carrier, Crowd, Marker, Plan},
    machine::Stretch,
    process::Process,
    report::{Goal, Line},
};

/// A line for each transport that holds a connection, each against a fresh server: what was freed is used again.
pub(crate) fn run(setting: &Setting) -> Result<Vec<Line>, Failed> {
    let readers = setting.connections(READERS + WARM) - WARM;
    let floor = Process::floor(Floor::Send)?;
    let _publisher = floor.publisher(Marker { run: 0, channel: 0, seq: 0, sent_ns: 0 }.data().as_bytes())?;
    let floor = measure(floor, Carrier::WebSocket, readers)?.value;
    let lines = CARRIERS.iter().map(|carrier| measure(Process::in_memory()?, *carrier, readers));
    lines.map(|line| Ok(line?.base("floor", floor))).collect()
}

fn measure(mut server: Process, carrier: Carrier, readers: usize) -> Result<Line, Failed> {
    let to = if carrier == Carrier::Tcp { server.tcp } else { server.http };
    // The first connections pay for the runtime's own structures; they are not the figure.
    let _warm = Crowd::open(Plan::new(carrier, to, WARM))?;
    thread::sleep(SETTLE);
    let before = server.anonymous_bytes()?;
    let stretch = Stretch::begin(server.pid())?;
    let crowd = Crowd::open(Plan::new(carrier, to, readers))?;
    let spent = stretch.spent()?;
    thread::sleep(SETTLE);
    let grown = server.anonymous_bytes()?.saturating_sub(before) as f64;
    server.check()?;
    let tally = crowd.count(0)?.tally;
    let line = Line::new(format!("idle.{}", carrier.name()), "bytes", grown / readers as f64);
    Ok(Line { tally: Some(tally), ..line }.goal(Goal::AtMost(BYTES_MOST)).others(spent.others).more([
        ("connections", readers as f64),
        ("opened_per_s", readers as f64 / spent.took.as_secs_f64()),
        ("us_per_opening", spent.process.as_secs_f64() * 1e6 / readers as f64),
    ]))
}

const CARRIERS: [Carrier; 5] =
    [Carrier::WebSocket, Carrier::Sse, Carrier::Stream, Carrier::Tcp, Carrier::LongPoll];
const READERS: usize = 10_000;
const WARM: usize = 64;
const SETTLE: Duration = Duration::from_secs(1);
const BYTES_MOST: f64 = 1_536.0;
