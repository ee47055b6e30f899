//! Mutants of what is told as gone.

use std::collections::BTreeMap;

use fastrand::Rng;
use sosik_lab::checker::{Event, Gap, History, NamespaceKind, Observed};

use super::spots::*;
use crate::model;

/// A gap that names its next event of a log's channel, not that of an epoch.
fn names_next(gap: &Gap) -> bool {
    gap.reason == "trimmed" && gap.next_seq.is_some() && kind(&gap.channel) == NamespaceKind::Log
}

pub(super) fn remove_a_gap(history: &mut History, rng: &mut Rng) -> Option<()> {
    let h = &*history;
    let (r, at) = pick_gap(h, rng, |gap, s| {
        names_next(gap) && next(h, s).is_some() && previous(h, s).is_some() && !is_asked(h, s)
    })?;
    history.readers[r].seen.remove(at);
    Some(())
}

pub(super) fn tell_a_gap_after_its_next_event(history: &mut History, rng: &mut Rng) -> Option<()> {
    let h = &*history;
    let spot = pick_gap(h, rng, |gap, s| names_next(gap) && next(h, s).is_some())?;
    let other = next(history, spot)?;
    history.readers[spot.0].seen.swap(spot.1, other.1);
    Some(())
}

pub(super) fn extend_a_gap_over_its_next_event(history: &mut History, rng: &mut Rng) -> Option<()> {
    let h = &*history;
    let spot = pick_gap(h, rng, |gap, s| names_next(gap) && next(h, s).is_some())?;
    let gap = gap_mut(history, spot);
    gap.next_seq = gap.next_seq.map(|next| next + 1);
    Some(())
}

pub(super) fn extend_a_gap_and_drop_what_it_covers(history: &mut History, rng: &mut Rng) -> Option<()> {
    let h = &*history;
    let spot = pick_gap(h, rng, |gap, s| {
        names_next(gap) && next(h, s).is_some_and(|other| kept(h, event(h, other)) && !is_asked(h, other))
    })?;
    let other = next(history, spot)?;
    history.readers[spot.0].seen.remove(other.1);
    let gap = gap_mut(history, spot);
    gap.next_seq = gap.next_seq.map(|next| next + 1);
    gap.lost = None;
    Some(())
}

pub(super) fn shrink_a_gap(history: &mut History, rng: &mut Rng) -> Option<()> {
    let h = &*history;
    let spot =
        pick_gap(h, rng, |gap, s| names_next(gap) && next(h, s).is_some() && previous(h, s).is_some())?;
    let gap = gap_mut(history, spot);
    gap.next_seq = gap.next_seq.map(|next| next - 1);
    gap.lost = None;
    Some(())
}

pub(super) fn count_a_gap_wrongly(history: &mut History, rng: &mut Rng) -> Option<()> {
    let h = &*history;
    let counted = |gap: &Gap, s| names_next(gap) && gap.lost.is_some() && previous(h, s).is_some();
    let spot = pick_gap(h, rng, counted)?;
    let gap = gap_mut(history, spot);
    gap.lost = gap.lost.map(|lost| lost + 1);
    Some(())
}

fn gap_like(event: &Event, next_seq: Option<u64>) -> Gap {
    Gap {
        channel: event.channel.clone(),
        reason: "trimmed".to_owned(),
        epoch: event.epoch.clone(),
        next_seq,
        lost: None,
        position: None,
        cursor: None,
    }
}

/// Right behind an event of a log, a gap made from it.
fn tell(history: &mut History, rng: &mut Rng, gap: impl Fn(&History, Spot) -> Option<Gap>) -> Option<()> {
    let spot = pick(history, rng, |h, s| gap(h, s).is_some())?;
    let gap = gap(history, spot)?;
    let connection = connection_of(history, spot);
    insert(history, (spot.0, spot.1 + 1), connection, Observed::Gap(gap));
    Some(())
}

pub(super) fn tell_a_gap_where_nothing_is_gone(history: &mut History, rng: &mut Rng) -> Option<()> {
    tell(history, rng, |h, s| Some(gap_like(event(h, s), Some(event(h, s).seq + 1))))
}

pub(super) fn tell_a_gap_over_what_was_delivered(history: &mut History, rng: &mut Rng) -> Option<()> {
    tell(history, rng, |h, s| Some(gap_like(event(h, s), Some(event(h, s).seq))))
}

pub(super) fn tell_a_gap_to_beyond_the_end(history: &mut History, rng: &mut Rng) -> Option<()> {
    tell(history, rng, |h, s| Some(gap_like(event(h, s), Some(event(h, s).seq + 1_000_000))))
}

pub(super) fn tell_a_gap_of_signals(history: &mut History, rng: &mut Rng) -> Option<()> {
    tell(history, rng, |h, s| {
        let followed = model::follows(&h.readers[s.0].set, "typing:1");
        followed.then(|| Gap { channel: "typing:1".to_owned(), ..gap_like(event(h, s), Some(2)) })
    })
}

pub(super) fn tell_a_gap_of_a_channel_not_followed(history: &mut History, rng: &mut Rng) -> Option<()> {
    tell(history, rng, |h, s| Some(Gap { channel: not_followed(h, s)?, ..gap_like(event(h, s), Some(9)) }))
}

pub(super) fn tell_a_gap_of_a_prefix_of_which_nothing_is_gone(
    history: &mut History,
    rng: &mut Rng,
) -> Option<()> {
    tell(history, rng, |h, s| {
        let prefix = format!("{}:*", event(h, s).channel.split(':').next()?);
        let trimmed = h.trimmed_to.as_ref()?;
        let any = trimmed
            .keys()
            .any(|(epoch, channel)| *epoch == event(h, s).epoch && model::matches(&prefix, channel));
        (!any).then(|| Gap { channel: prefix, ..gap_like(event(h, s), None) })
    })
}

pub(super) fn put_a_gap_above_its_next_event(history: &mut History, rng: &mut Rng) -> Option<()> {
    let h = &*history;
    let spot = pick_gap(h, rng, |gap, s| {
        names_next(gap) && next(h, s).is_some_and(|other| ack(h, event(h, other)).is_some())
    })?;
    let position = next(history, spot).and_then(|other| ack(history, event(history, other))?.position)?;
    gap_mut(history, spot).position = Some(position);
    Some(())
}

pub(super) fn put_a_gap_below_what_was_delivered(history: &mut History, rng: &mut Rng) -> Option<()> {
    let h = &*history;
    let spot = pick_gap(h, rng, |gap, s| {
        names_next(gap) && previous(h, s).is_some_and(|other| ack(h, event(h, other)).is_some())
    })?;
    let position = previous(history, spot).and_then(|other| ack(history, event(history, other))?.position)?;
    gap_mut(history, spot).position = Some(position - 1);
    Some(())
}

pub(super) fn remove_the_gaps_of_an_epoch(history: &mut History, rng: &mut Rng) -> Option<()> {
    // A channel of which the reader had events in both epochs, told on every way into the second.
    let mut places = Vec::new();
    for (r, reader) in history.readers.iter().enumerate() {
        let mut before: BTreeMap<&str, &str> = BTreeMap::new();
        for seen in &reader.seen {
            if let Observed::Event(event) = &seen.item
                && kind(&event.channel) != NamespaceKind::Signal
                && let Some(epoch) = before.insert(&event.channel, &event.epoch)
                && epoch != event.epoch
            {
                places.push((r, event.epoch.clone()));
            }
        }
    }
    let (r, epoch) = rng.choice(places)?;
    history.readers[r].seen.retain(|seen| match &seen.item {
        Observed::Gap(gap) => gap.reason != "epoch" || gap.epoch != epoch,
        _ => true,
    });
    Some(())
}
