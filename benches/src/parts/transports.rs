//! CPU per delivery of the other transports, beside the WebSocket of the same run.

use super::{
    Setting,
    side::{Side, Work, line},
};
use crate::{
    Failed,
    load::Carrier,
    report::{Goal, Line},
};

/// A line at a fixed rate and one at saturation for each transport.
pub(crate) fn run(setting: &Setting) -> Result<Vec<Line>, Failed> {
    let work = |carrier| Work::new(carrier, setting.connections(READERS));
    let websocket = work(Carrier::WebSocket).by_server(setting)?;
    let mut lines = Vec::new();
    for (carrier, goal) in CARRIERS {
        let Side { fixed, saturated } = work(carrier).by_server(setting)?;
        let sides = [("fixed", &fixed, &websocket.fixed), ("saturated", &saturated, &websocket.saturated)];
        for (what, ours, websocket) in sides {
            let line = line(format!("transports.{}.{what}", carrier.name()), ours);
            let line = line.base("websocket", websocket.us_each());
            lines.push(Line { goal, ..line });
        }
    }
    Ok(lines)
}

const READERS: usize = 1_000;
const CARRIERS: [(Carrier, Option<Goal>); 4] = [
    (Carrier::Sse, Some(Goal::TimesBase(1.2))),
    (Carrier::Stream, Some(Goal::TimesBase(1.2))),
    (Carrier::Tcp, None),
    (Carrier::LongPoll, Some(Goal::AtMost(5.0))),
];
