//! Mutants of acknowledgements, cursors and connections.

use fastrand::Rng;
use sosik_lab::checker::{Acked, CursorFrom, History, Observed};

use super::spots::*;

pub(super) fn resume_from_a_cursor_never_handed_out(history: &mut History, rng: &mut Rng) -> Option<()> {
    let mut places = Vec::new();
    for (r, reader) in history.readers.iter().enumerate() {
        let opens =
            (1..reader.seen.len()).filter(|&at| matches!(reader.seen[at].item, Observed::Opened { .. }));
        places.extend(opens.map(|at| (r, at)));
    }
    let (r, at) = rng.choice(places)?;
    history.readers[r].seen[at].item = Observed::Opened { after: Some("nobody.7,".to_owned()) };
    Some(())
}

pub(super) fn skip_events_under_cover_of_a_newer_cursor(history: &mut History, rng: &mut Rng) -> Option<()> {
    // Two events in a row vanish, but the cursor of the second is still handed out, as if all were well.
    let fits = |h: &History, s: Spot| {
        let last_copy = copies(&h.readers[s.0], event(h, s)).len() == 1;
        starts(h, s) && last_copy && h.readers[s.0].drained && event(h, s).cursor.is_some()
    };
    let spot = pick(history, rng, fits)?;
    let cursor = event(history, spot).cursor.clone()?;
    let from = CursorFrom::CaughtUp;
    history.readers[spot.0].seen[spot.1].item = Observed::Cursor { from, cursor };
    Some(())
}

pub(super) fn acknowledge_one_seq_for_two_bodies(history: &mut History, rng: &mut Rng) -> Option<()> {
    let again = rng.choice(&history.acked)?.clone();
    history.acked.push(Acked { body: b"\"another\"".to_vec(), ..again });
    Some(())
}

pub(super) fn acknowledge_a_publish_sent_again_as_another(
    history: &mut History,
    rng: &mut Rng,
) -> Option<()> {
    // No reader was given the second one.
    let again = rng.choice(&history.acked)?.clone();
    let last = history.acked.iter().filter(|ack| ack.channel == again.channel).map(|ack| ack.seq).max()?;
    history.acked.push(Acked { seq: last + 1, position: None, ..again });
    Some(())
}

pub(super) fn acknowledge_one_position_twice(history: &mut History, rng: &mut Rng) -> Option<()> {
    let (a, b) = two_of_a_channel(history, rng)?;
    history.acked[b].position = history.acked[a].position;
    Some(())
}

pub(super) fn acknowledge_positions_that_fall(history: &mut History, rng: &mut Rng) -> Option<()> {
    let (a, b) = two_of_a_channel(history, rng)?;
    let position = history.acked[a].position;
    history.acked[a].position = history.acked[b].position;
    history.acked[b].position = position;
    Some(())
}

fn two_of_a_channel(history: &History, rng: &mut Rng) -> Option<(usize, usize)> {
    let a = rng.usize(..history.acked.len().max(1));
    let first = history.acked.get(a)?;
    let other =
        |ack: &Acked| ack.channel == first.channel && ack.epoch == first.epoch && ack.seq != first.seq;
    history.acked.iter().position(other).map(|b| (a, b))
}

pub(super) fn observe_on_a_closed_connection(history: &mut History, rng: &mut Rng) -> Option<()> {
    let spot = pick(history, rng, |_, _| true)?;
    let copy = Observed::Event(without_cursor(event(history, spot)));
    insert(history, spot, 1_000_000, copy);
    Some(())
}
