//! CPU per delivery of the other transports, beside the WebSocket of the same run.

use super::{
    Setting,
    side::{Side, Work, line},
};
use crate::{
    Failed,
    load::{Carrier, Crowd, Pace, Plan},
    measure::{Figure, deliver},
    process::Process,
    report::{Goal, Line},
};

/// A line at a fixed rate and one at saturation for each transport, but for polls.
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
    let poll = polled(setting, work(Carrier::Poll))?;
    lines.push(line("transports.poll.fixed".into(), &poll).base("websocket", websocket.fixed.us_each()));
    Ok(lines)
}

/// Each asks once a second. There is no saturation: what is new waits until it is asked for.
fn polled(setting: &Setting, work: Work) -> Result<Figure, Failed> {
    let mut server = Process::in_memory()?;
    let crowd = Crowd::open(Plan::new(work.carrier, server.http, work.readers))?;
    let mut publisher = server.publisher(&[])?;
    let per_s = work.deliveries_per_s / work.readers as f64;
    let events = (per_s * setting.lasting().as_secs_f64()) as u64;
    deliver(&mut server, &crowd, &mut publisher, Pace::Fixed { per_s, events })
}

const READERS: usize = 1_000;
const CARRIERS: [(Carrier, Option<Goal>); 4] = [
    (Carrier::Sse, Some(Goal::TimesBase(1.2))),
    (Carrier::Stream, Some(Goal::TimesBase(1.2))),
    (Carrier::Tcp, None),
    (Carrier::LongPoll, Some(Goal::AtMost(5.0))),
];
