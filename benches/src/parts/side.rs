//! The same work by one process, a server or the floor: deliveries at a fixed rate, and as fast as it goes.

use std::time::Duration;

use super::Setting;
use crate::{
    Failed,
    floor::Floor,
    load::{Carrier, Crowd, Pace, Plan},
    measure::{Figure, deliver},
    process::Process,
    report::Line,
};

/// Who reads, and how much comes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Work {
    pub(crate) carrier: Carrier,
    pub(crate) readers: usize,
    pub(crate) channels: u32,
    /// To all readers together, at the fixed rate.
    pub(crate) deliveries_per_s: f64,
    /// Publishes that are not delivered to everybody, when it goes as fast as it can.
    pub(crate) in_flight: u64,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Side {
    pub(crate) fixed: Figure,
    pub(crate) saturated: Figure,
}

impl Work {
    pub(crate) fn new(carrier: Carrier, readers: usize) -> Self {
        Self { carrier, readers, channels: 1, deliveries_per_s: 100_000.0, in_flight: 16 }
    }

    /// A fresh server.
    pub(crate) fn by_server(&self, setting: &Setting) -> Result<Side, Failed> {
        self.by(setting.lasting(), Process::in_memory()?, &[])
    }

    /// A fresh floor, which sends `sample`.
    pub(crate) fn by_floor(&self, setting: &Setting, sample: &[u8]) -> Result<Side, Failed> {
        // It is measured twice.
        self.by(setting.lasting() * 2 / 3, Process::floor(Floor::Send)?, sample)
    }

    fn by(&self, lasting: Duration, mut process: Process, sample: &[u8]) -> Result<Side, Failed> {
        let to = if self.carrier == Carrier::Tcp { process.tcp } else { process.http };
        let mut publisher = process.publisher(sample)?;
        let plan = Plan { channels: self.channels, ..Plan::new(self.carrier, to, self.readers) };
        let crowd = Crowd::open(plan)?;
        let per_s = self.deliveries_per_s * f64::from(self.channels) / self.readers as f64;
        let fixed =
            |time: Duration| Pace::Fixed { per_s, events: (per_s * time.as_secs_f64()).ceil() as u64 };
        let window = |lasting| Pace::Window { in_flight: self.in_flight, lasting };
        // The first events pay for structures that are there later.
        deliver(&mut process, &crowd, &mut publisher, fixed(WARM))?;
        let fixed = deliver(&mut process, &crowd, &mut publisher, fixed(lasting))?;
        let saturated = deliver(&mut process, &crowd, &mut publisher, window(lasting))?;
        Ok(Side { fixed, saturated })
    }
}

/// The floor before and after: the mean of the two, which is the median of two.
///
/// # Errors
/// When the floor did not do the same work: a floor that sends less makes every server look slow, or every goal hard.
pub(crate) fn floor_us(sides: [&Figure; 2], ours: &Figure) -> Result<f64, Failed> {
    for floor in sides {
        if !floor.tally.is_whole() {
            return Err(format!("the floor did not deliver everything: {:?}", floor.tally).into());
        }
        let (theirs, ours) = (floor.bytes_each, ours.bytes_each);
        if (theirs - ours).abs() > ours * BYTES_APART {
            return Err(
                format!("the floor sends {theirs:.1} bytes per delivery, the server {ours:.1}").into()
            );
        }
    }
    Ok((sides[0].us_each() + sides[1].us_each()) / 2.0)
}

/// A line of what the server spends per delivery.
pub(crate) fn line(id: String, ours: &Figure) -> Line {
    Line::new(id, "µs", ours.us_each()).figure(ours)
}

const WARM: Duration = Duration::from_millis(400);
/// The numbers in a frame grow by digits during a run.
const BYTES_APART: f64 = 0.02;

#[cfg(test)]
mod tests {
    use std::{thread, time::Duration as Time};

    use super::*;
    use crate::{floor, load::Tally};

    // In the process of the test, whose CPU nobody asks for.
    fn floor_here(sample: &[u8]) -> (Crowd, crate::load::Publisher) {
        let (readers, records) = Floor::listen().unwrap();
        let (to, by) = (readers.local_addr().unwrap(), records.local_addr().unwrap());
        thread::spawn(move || Floor::Send.serve(readers, &records));
        let mut publisher = crate::load::Publisher::to_floor(by).unwrap();
        floor::hand_over(publisher.socket(), sample).unwrap();
        let plan = Plan { channels: 2, ..Plan::new(Carrier::WebSocket, to, 8) };
        (Crowd::open(plan).unwrap(), publisher)
    }

    // Mutants: the floor skips the first socket of a channel; it sends half of the bytes; `Crowd::begin` does not wait until the
    // run has begun, so that its first events count for nothing.
    #[test]
    fn a_floor_that_sends_less_is_found() {
        let marker = crate::load::Marker { run: 0, channel: 0, seq: 0, sent_ns: 0 };
        let sample = format!("{{\"data\":{}}}", marker.data());
        let (crowd, mut publisher) = floor_here(sample.as_bytes());
        for pace in [
            Pace::Fixed { per_s: 1_000.0, events: 50 },
            Pace::Window { in_flight: 16, lasting: Time::from_millis(100) },
        ] {
            let run = crate::measure::new_run();
            crowd.begin(run).unwrap();
            let (before, bytes) = (crowd.progress().delivered(), crowd.progress().received().0);
            let published = publisher.run(run, crowd.shape(), pace, crowd.progress()).unwrap();
            crowd.settle(before, &published);
            let outcome = crowd.count(published.per_channel).unwrap();
            let deliveries = published.per_channel * 8;
            assert_eq!(outcome.tally, Tally { deliveries, ..Tally::default() });
            assert_eq!(outcome.latencies.count(), deliveries);
            assert_eq!(crowd.progress().received().0 - bytes, deliveries * sample.len() as u64);
        }
    }
}
