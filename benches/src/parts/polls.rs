//! Polls that find nothing new, answered `304`.

use super::Setting;
use crate::{
    Failed,
    floor::Floor,
    load::{
        Carrier,
        answers::{Answer, Place},
        ask_all,
        asker::Asker,
    },
    process::Process,
    report::{Goal, Line},
};

/// What such a poll costs, and how many there are a second beside the load on the same processors.
pub(crate) fn run(setting: &Setting) -> Result<Vec<Line>, Failed> {
    let mut server = Process::in_memory()?;
    let mut asker = Asker::open(server.http)?;
    let mut place = Place { cursor: asker.cursor(0)?, etag: None };
    let whole = asker.whole(&Carrier::Poll.again(0, &place))?;
    place.follow(whole, &Answer::of(whole).ok_or("half an answer")?);
    place.etag.as_ref().ok_or("a poll without an ETag")?;
    let request = Carrier::Poll.again(0, &place);
    let asked =
        ask_all(&mut server, CONNECTIONS, (304, setting.lasting()), |_, to| to.extend_from_slice(&request))?;
    // The same with the answer of a floor.
    let sample = asker.whole_of(&request, 304)?.to_vec();
    let mut floor = Process::floor(Floor::Answer)?;
    let _publisher = floor.publisher(&sample)?;
    let least =
        ask_all(&mut floor, CONNECTIONS, (304, setting.lasting()), |_, to| to.extend_from_slice(&request))?;
    let each = Line::new("polls.cpu", "µs", asked.us_each()).goal(Goal::AtMost(1e6 / PER_S_OF_A_CORE));
    let each = each.base("floor", least.us_each());
    let rate =
        Line::new("polls.rate", "/s", asked.per_s()).base("floor", least.per_s()).others(asked.spent.others);
    Ok(vec![
        each.others(asked.spent.others).more([("per_s_of_a_core", 1e6 / asked.us_each())]),
        rate.more([("p50_us", asked.times.ms(0.5) * 1e3), ("p99_us", asked.times.ms(0.99) * 1e3)]),
    ])
}

const CONNECTIONS: usize = 64;
const PER_S_OF_A_CORE: f64 = 40_000.0;
