//! What a delivery costs in instructions: the pump on 1,000 readers with peers in memory, without a runtime and without sockets.
//!
//! `sosik-pump-bench FORM CASE ROUNDS` delivers, and says how much. It is run under callgrind, which counts what happens inside
//! [`counted`] alone; two runs that differ in their rounds give what one delivery takes, and whatever happens once is not in
//! it. Without arguments it lists its forms and cases. `make counts` records the figures, and `tests/instructions.rs` holds the
//! tree against them.

mod scene;

use std::{error::Error, io::IoSlice};

use sosik_core::Reader;
use sosik_transport::{
    form::Form,
    pump::{Outbox, Peer, Pumped, ROUNDS_MAX, Tally, Wrote, pump},
};

use crate::scene::{CASES, Scene};

fn main() -> Result<(), Box<dyn Error>> {
    let asked: Vec<String> = std::env::args().skip(1).collect();
    let [form, case, rounds] = &asked[..] else {
        for (form, _) in FORMS {
            CASES.iter().for_each(|case| println!("{form} {}", case.name));
        }
        return Ok(());
    };
    let (_, form) = FORMS.iter().find(|(name, _)| name == form).ok_or("there is no such form")?;
    let case = CASES.iter().find(|known| known.name == case).ok_or("there is no such case")?;
    let rounds: usize = rounds.parse()?;

    let mut scene = Scene::new(case)?;
    let mut readings = Vec::with_capacity(READERS);
    for _ in 0..READERS {
        readings.push(Reading { reader: scene.reader()?, outbox: Outbox::default(), memory: InMemory(0) });
    }
    // What follows the opening is no delivery.
    readings.iter_mut().for_each(|reading| _ = reading.pump(*form));
    let mut tally = Tally::default();
    for _ in 0..rounds {
        for _ in 0..case.behind {
            scene.publish()?;
        }
        let told = counted(&mut readings, *form);
        tally.events += told.events;
        tally.bytes += told.bytes;
    }
    if tally.events != (READERS * rounds * case.behind) as u64 {
        return Err(format!("{} events were delivered", tally.events).into());
    }
    println!("{} deliveries, {} bytes", tally.events, tally.bytes);
    Ok(())
}

/// What callgrind collects. A function of its own in the program, so that it can be named.
#[inline(never)]
fn counted(readings: &mut [Reading], form: Form) -> Tally {
    let mut all = Tally::default();
    for reading in readings {
        let tally = reading.pump(form);
        all.events += tally.events;
        all.bytes += tally.bytes;
    }
    all
}

struct Reading {
    reader: Reader,
    outbox: Outbox,
    memory: InMemory,
}

impl Reading {
    fn pump(&mut self, form: Form) -> Tally {
        let mut tally = Tally::default();
        let Self { reader, outbox, memory } = self;
        match pump(reader, outbox, &form, memory, NOW, ROUNDS_MAX, &mut tally) {
            Pumped::Idle => tally,
            other => panic!("a peer that takes everything is pumped until nothing follows, not {other:?}"),
        }
    }
}

/// A peer that takes everything, and counts it so that nothing is left out as unused.
struct InMemory(usize);

impl Peer for InMemory {
    fn write(&mut self, slices: &[IoSlice<'_>]) -> Wrote {
        let count = slices.iter().map(|slice| slice.len()).sum();
        self.0 += count;
        Wrote::Bytes(count)
    }
}

/// Readers; what is done once for an event is shared by as many.
const READERS: usize = 1_000;
/// When everything happens, milliseconds since 1970.
const NOW: u64 = 1;

/// How frames become bytes on the connections that last.
const FORMS: [(&str, Form); 6] = [
    ("websocket_text", Form::Text),
    ("websocket_binary", Form::Message),
    ("sse_chunks", Form::SseChunks),
    ("stream_chunks", Form::StreamChunks),
    ("tcp_lines", Form::Lines),
    ("tcp_binary", Form::Binary),
];
