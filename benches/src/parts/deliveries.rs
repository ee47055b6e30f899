//! CPU per delivery over WebSocket, beside the floor of the same run before and after.

use super::{
    Setting,
    side::{Side, Work, floor_us, line},
};
use crate::{
    Failed,
    load::Carrier,
    measure::sample,
    process::Process,
    report::{Goal, Line},
};

/// For each number of readers of one channel a line at a fixed rate and two at saturation.
pub(crate) fn run(setting: &Setting) -> Result<Vec<Line>, Failed> {
    let sample = sample(&Process::in_memory()?, Carrier::WebSocket)?;
    let mut lines = Vec::new();
    for (readers, times) in READERS {
        let work = Work::new(Carrier::WebSocket, setting.connections(readers));
        let before = work.by_floor(setting, &sample)?;
        let Side { fixed, saturated } = work.by_server(setting)?;
        let after = work.by_floor(setting, &sample)?;
        let floor = floor_us([&before.fixed, &after.fixed], &fixed)?;
        let id = |what: &str| format!("deliveries.{}.{what}", work.readers);
        lines.push(line(id("fixed"), &fixed).base("floor", floor).goal(Goal::TimesBase(times)));
        let floor = floor_us([&before.saturated, &after.saturated], &saturated)?;
        lines.push(line(id("saturated"), &saturated).base("floor", floor).goal(Goal::AtMost(SATURATED_US)));
        let floor = (before.saturated.per_s() + after.saturated.per_s()) / 2.0;
        let rate = Line::new(id("saturated.rate"), "/s", saturated.per_s()).base("floor", floor);
        lines.push(rate.others(saturated.spent.others).goal(Goal::AtLeast(SATURATED_PER_S)));
    }
    Ok(lines)
}

/// Readers, and how many times the floor a delivery at a fixed rate may cost.
const READERS: [(usize, f64); 3] = [(100, 1.5), (1_000, 1.5), (10_000, 1.2)];
const SATURATED_US: f64 = 0.7;
const SATURATED_PER_S: f64 = 1_000_000.0;
