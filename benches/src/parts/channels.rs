//! Many channels with few readers each: every publish reaches ten, so what a publish costs weighs a tenth.

use super::{
    Setting,
    side::{Work, floor_us, line},
};
use crate::{Failed, load::Carrier, measure::sample, process::Process, report::Line};

/// A line at a fixed rate and one at saturation, beside the floor.
pub(crate) fn run(setting: &Setting) -> Result<Vec<Line>, Failed> {
    let sample = sample(&Process::in_memory()?, Carrier::WebSocket)?;
    let readers =
        setting.connections(CHANNELS as usize * READERS_EACH) / CHANNELS as usize * CHANNELS as usize;
    let work = Work {
        channels: CHANNELS,
        deliveries_per_s: PER_S,
        in_flight: IN_FLIGHT,
        ..Work::new(Carrier::WebSocket, readers)
    };
    let before = work.by_floor(setting, &sample)?;
    let ours = work.by_server(setting)?;
    let after = work.by_floor(setting, &sample)?;
    let fixed = floor_us([&before.fixed, &after.fixed], &ours.fixed)?;
    let saturated = floor_us([&before.saturated, &after.saturated], &ours.saturated)?;
    Ok(vec![
        line("channels.fixed".into(), &ours.fixed).base("floor", fixed),
        line("channels.saturated".into(), &ours.saturated).base("floor", saturated),
    ])
}

const CHANNELS: u32 = 1_000;
const READERS_EACH: usize = 10;
const PER_S: f64 = 20_000.0;
const IN_FLIGHT: u64 = 64;
