//! Where in a right history something can be broken so that it is wrong beyond doubt.

use fastrand::Rng;
use sosik_lab::checker::{Acked, Begin, Event, Gap, History, NamespaceKind, Observed, Reader, Seen};

use crate::model;

/// An event of a reader: reader and index.
pub(super) type Spot = (usize, usize);

pub(super) fn event(history: &History, (reader, at): Spot) -> &Event {
    match &history.readers[reader].seen[at].item {
        Observed::Event(event) => event,
        other => panic!("{other:?}"),
    }
}

pub(super) fn event_mut(history: &mut History, (reader, at): Spot) -> &mut Event {
    match &mut history.readers[reader].seen[at].item {
        Observed::Event(event) => event,
        other => panic!("{other:?}"),
    }
}

pub(super) fn gap_mut(history: &mut History, (reader, at): Spot) -> &mut Gap {
    match &mut history.readers[reader].seen[at].item {
        Observed::Gap(gap) => gap,
        other => panic!("{other:?}"),
    }
}

pub(super) fn kind(channel: &str) -> NamespaceKind {
    match channel.split(':').next() {
        Some("once") => NamespaceKind::Forgetful,
        Some("typing") => NamespaceKind::Signal,
        _ => NamespaceKind::Log,
    }
}

pub(super) fn ack<'a>(history: &'a History, event: &Event) -> Option<&'a Acked> {
    let same =
        |ack: &&Acked| ack.channel == event.channel && ack.epoch == event.epoch && ack.seq == event.seq;
    history.acked.iter().find(same)
}

pub(super) fn kept(history: &History, event: &Event) -> bool {
    let trimmed = history.trimmed_to.as_ref().unwrap();
    event.seq > trimmed.get(&(event.epoch.clone(), event.channel.clone())).copied().unwrap_or(0)
}

/// Events of logs, acknowledged, kept to the end and of an epoch that goes on: what is owed beyond doubt.
pub(super) fn sure_events(history: &History) -> Vec<Spot> {
    let mut spots = Vec::new();
    for (r, reader) in history.readers.iter().enumerate() {
        for (at, seen) in reader.seen.iter().enumerate() {
            if let Observed::Event(event) = &seen.item
                && kind(&event.channel) == NamespaceKind::Log
                && ack(history, event).is_some()
                && kept(history, event)
                && !history.ended_epochs.contains(&event.epoch)
            {
                spots.push((r, at));
            }
        }
    }
    spots
}

pub(super) fn pick(history: &History, rng: &mut Rng, fits: impl Fn(&History, Spot) -> bool) -> Option<Spot> {
    let spots: Vec<Spot> = sure_events(history).into_iter().filter(|spot| fits(history, *spot)).collect();
    rng.choice(spots)
}

pub(super) fn pick_gap(history: &History, rng: &mut Rng, fits: impl Fn(&Gap, Spot) -> bool) -> Option<Spot> {
    let mut spots = Vec::new();
    for (r, reader) in history.readers.iter().enumerate() {
        for (at, seen) in reader.seen.iter().enumerate() {
            if matches!(&seen.item, Observed::Gap(gap) if fits(gap, (r, at))) {
                spots.push((r, at));
            }
        }
    }
    rng.choice(spots)
}

/// The next and the previous event of the same channel and epoch on the same connection, nothing of that channel
/// between.
pub(super) fn beside(history: &History, (r, at): Spot, step: isize) -> Option<Spot> {
    let seen = &history.readers[r].seen;
    let connection = seen[at].connection;
    let (channel, epoch) = match &seen[at].item {
        Observed::Event(event) => (&event.channel, &event.epoch),
        Observed::Gap(gap) => (&gap.channel, &gap.epoch),
        _ => return None,
    };
    let mut here = at;
    loop {
        here = here.checked_add_signed(step).filter(|here| *here < seen.len())?;
        if seen[here].connection != connection {
            continue;
        }
        match &seen[here].item {
            Observed::Opened { .. } | Observed::Closed => return None,
            Observed::Gap(gap) if model::matches(&gap.channel, channel) => return None,
            Observed::Event(event) if event.channel == *channel => {
                return (event.epoch == *epoch).then_some((r, here));
            }
            _ => {}
        }
    }
}

pub(super) fn next(history: &History, spot: Spot) -> Option<Spot> {
    beside(history, spot, 1)
}

pub(super) fn previous(history: &History, spot: Spot) -> Option<Spot> {
    beside(history, spot, -1)
}

pub(super) fn copies(reader: &Reader, event: &Event) -> Vec<usize> {
    let same = |other: &Event| other.channel == event.channel && other.seq == event.seq;
    (0..reader.seen.len())
        .filter(|&at| matches!(&reader.seen[at].item, Observed::Event(other) if same(other)))
        .collect()
}

pub(super) fn remove_all(reader: &mut Reader, spots: &[usize]) {
    for at in spots.iter().rev() {
        reader.seen.remove(*at);
    }
}

/// Whether a connection was opened with the cursor of this frame: taking the frame away would show there too.
pub(super) fn is_asked(history: &History, (r, at): Spot) -> bool {
    let seen = &history.readers[r].seen;
    let cursor = match &seen[at].item {
        Observed::Event(event) => &event.cursor,
        Observed::Gap(gap) => &gap.cursor,
        _ => return true,
    };
    let asks =
        |seen: &Seen| matches!(&seen.item, Observed::Opened { after } if after.is_some() && after == cursor);
    cursor.is_some() && seen.iter().any(asks)
}

pub(super) fn insert(history: &mut History, (r, at): Spot, connection: u64, item: Observed) {
    history.readers[r].seen.insert(at, Seen { connection, item });
}

pub(super) fn connection_of(history: &History, (r, at): Spot) -> u64 {
    history.readers[r].seen[at].connection
}

pub(super) fn without_cursor(event: &Event) -> Event {
    Event { cursor: None, ..event.clone() }
}

pub(super) fn starts(history: &History, (r, _): Spot) -> bool {
    history.readers[r].begin == Begin::Start
}

pub(super) fn not_followed(history: &History, (r, _): Spot) -> Option<String> {
    let set = &history.readers[r].set;
    let outside = model::all_channels().into_iter().find(|channel| !model::follows(set, channel));
    outside.map(str::to_owned)
}
