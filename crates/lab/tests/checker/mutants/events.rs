//! Mutants of what is delivered.

use std::collections::{BTreeMap, HashSet};

use fastrand::Rng;
use sosik_lab::checker::{Acked, Begin, Event, History, Observed, Reader, Seen};

use super::spots::*;

pub(super) fn drop_one_in_the_middle(history: &mut History, rng: &mut Rng) -> Option<()> {
    let (r, at) =
        pick(history, rng, |h, s| next(h, s).is_some() && previous(h, s).is_some() && !is_asked(h, s))?;
    history.readers[r].seen.remove(at);
    Some(())
}

pub(super) fn drop_every_copy_of_one(history: &mut History, rng: &mut Rng) -> Option<()> {
    let spot =
        pick(history, rng, |h, s| next(h, s).is_some() && previous(h, s).is_some() && !is_asked(h, s))?;
    let event = event(history, spot).clone();
    let copies = copies(&history.readers[spot.0], &event);
    remove_all(&mut history.readers[spot.0], &copies);
    Some(())
}

pub(super) fn drop_the_first_of_a_channel(history: &mut History, rng: &mut Rng) -> Option<()> {
    let first =
        |h: &History, s| event(h, s).seq == 1 && starts(h, s) && next(h, s).is_some() && !is_asked(h, s);
    let (r, at) = pick(history, rng, first)?;
    history.readers[r].seen.remove(at);
    Some(())
}

pub(super) fn drop_the_last_of_a_channel(history: &mut History, rng: &mut Rng) -> Option<()> {
    let last = |h: &History, s: Spot| {
        let mine = event(h, s);
        let later =
            |ack: &Acked| ack.channel == mine.channel && ack.epoch == mine.epoch && ack.seq > mine.seq;
        let exact = h.readers[s.0].begin != Begin::Anywhere;
        h.readers[s.0].drained && exact && !h.acked.iter().any(later)
    };
    let spot = pick(history, rng, last)?;
    let event = event(history, spot).clone();
    let copies = copies(&history.readers[spot.0], &event);
    remove_all(&mut history.readers[spot.0], &copies);
    Some(())
}

pub(super) fn drop_what_a_resumed_connection_begins_with(history: &mut History, rng: &mut Rng) -> Option<()> {
    let fits = |h: &History, s: Spot| {
        let seen = &h.readers[s.0].seen;
        let begins =
            (0..s.1).rev().find(|&at| seen[at].connection == seen[s.1].connection).is_some_and(|at| {
                let welcome = matches!(seen[at].item, Observed::Cursor { .. });
                let opened = matches!(&seen[at].item, Observed::Opened { after: Some(a) } if a != "start");
                welcome || opened
            });
        begins && starts(h, s) && next(h, s).is_some() && !is_asked(h, s)
    };
    let (r, at) = pick(history, rng, fits)?;
    history.readers[r].seen.remove(at);
    Some(())
}

pub(super) fn drop_all_of_a_channel(history: &mut History, rng: &mut Rng) -> Option<()> {
    let spot = pick(history, rng, |h, s| starts(h, s) && h.readers[s.0].drained)?;
    let channel = event(history, spot).channel.clone();
    let reader = &mut history.readers[spot.0];
    reader.seen.retain(|seen| !matches!(&seen.item, Observed::Event(event) if event.channel == channel));
    Some(())
}

pub(super) fn repeat_at_once(history: &mut History, rng: &mut Rng) -> Option<()> {
    let (r, at) = pick(history, rng, |_, _| true)?;
    let seen = history.readers[r].seen[at].clone();
    history.readers[r].seen.insert(at + 1, seen);
    Some(())
}

pub(super) fn repeat_later_in_the_connection(history: &mut History, rng: &mut Rng) -> Option<()> {
    let spot = pick(history, rng, |h, s| next(h, s).is_some())?;
    let later = next(history, spot)?;
    let copy = without_cursor(event(history, spot));
    let connection = connection_of(history, spot);
    insert(history, (later.0, later.1 + 1), connection, Observed::Event(copy));
    Some(())
}

pub(super) fn repeat_what_lies_below_the_cursor_resumed_from(
    history: &mut History,
    rng: &mut Rng,
) -> Option<()> {
    let spot = pick(history, rng, |h, s| {
        let cursor = &event(h, s).cursor;
        // Of items of one position only the last carries it: the text must not be an older one's.
        let same = |seen: &Seen| match &seen.item {
            Observed::Event(event) => event.cursor == *cursor,
            Observed::Gap(gap) => gap.cursor == *cursor,
            _ => false,
        };
        let first = h.readers[s.0].seen.iter().position(same);
        cursor.is_some() && first == Some(s.1) && is_asked(h, s)
    })?;
    let cursor = event(history, spot).cursor.clone();
    let asks = |seen: &Seen| matches!(&seen.item, Observed::Opened { after } if *after == cursor);
    let opened = history.readers[spot.0].seen.iter().position(asks)?;
    let copy = without_cursor(event(history, spot));
    let connection = connection_of(history, (spot.0, opened));
    insert(history, (spot.0, opened + 1), connection, Observed::Event(copy));
    Some(())
}

pub(super) fn repeat_past_a_forgetful_client(history: &mut History, rng: &mut Rng) -> Option<()> {
    history.dedupe_channels_max = 1;
    let spot = pick(history, rng, |h, s| {
        let seen = &h.readers[s.0].seen[s.1 + 1..];
        let other =
            |seen: &Seen| matches!(&seen.item, Observed::Event(e) if e.channel != event(h, s).channel);
        seen.first().is_some_and(other) && seen[0].connection == connection_of(h, s)
    })?;
    let copy = without_cursor(event(history, spot));
    let connection = connection_of(history, spot);
    insert(history, (spot.0, spot.1 + 2), connection, Observed::Event(copy));
    Some(())
}

pub(super) fn swap_neighbours_in_a_channel(history: &mut History, rng: &mut Rng) -> Option<()> {
    let spot = pick(history, rng, |h, s| {
        previous(h, s).is_some() && next(h, s).is_some_and(|other| event(h, other).seq == event(h, s).seq + 1)
    })?;
    let other = next(history, spot)?;
    history.readers[spot.0].seen.swap(spot.1, other.1);
    Some(())
}

pub(super) fn swap_neighbours_across_channels(history: &mut History, rng: &mut Rng) -> Option<()> {
    let spot = pick(history, rng, |h, s| {
        let mine = event(h, s);
        matches!(h.readers[s.0].seen.get(s.1 + 1), Some(Seen { connection, item: Observed::Event(other) })
            if *connection == connection_of(h, s) && other.channel != mine.channel && other.epoch == mine.epoch
                && ack(h, other).is_some())
    })?;
    history.readers[spot.0].seen.swap(spot.1, spot.1 + 1);
    Some(())
}

pub(super) fn move_an_event_behind_the_connection(history: &mut History, rng: &mut Rng) -> Option<()> {
    let spot =
        pick(history, rng, |h, s| previous(h, s).is_some() && next(h, s).is_some() && !is_asked(h, s))?;
    let last = {
        let mut last = spot;
        while let Some(later) = next(history, last) {
            last = later;
        }
        last
    };
    let moved = history.readers[spot.0].seen.remove(spot.1);
    history.readers[spot.0].seen.insert(last.1, moved);
    Some(())
}

pub(super) fn change_a_body(history: &mut History, rng: &mut Rng) -> Option<()> {
    let spot = pick(history, rng, |_, _| true)?;
    event_mut(history, spot).body.push(b' ');
    Some(())
}

pub(super) fn give_a_seq_of_the_future(history: &mut History, rng: &mut Rng) -> Option<()> {
    let spot = pick(history, rng, |_, _| true)?;
    let ghost = event_mut(history, spot);
    ghost.seq += 1_000_000;
    ghost.body = b"\"ghost\"".to_vec();
    Some(())
}

pub(super) fn give_the_seq_of_its_neighbour(history: &mut History, rng: &mut Rng) -> Option<()> {
    let spot = pick(history, rng, |h, s| {
        let before = Event { seq: event(h, s).seq - 1, ..event(h, s).clone() };
        ack(h, &before).is_some()
    })?;
    event_mut(history, spot).seq -= 1;
    Some(())
}

pub(super) fn give_it_an_unknown_epoch(history: &mut History, rng: &mut Rng) -> Option<()> {
    let spot = pick(history, rng, |h, s| previous(h, s).is_some())?;
    event_mut(history, spot).epoch = "nobody".to_owned();
    Some(())
}

pub(super) fn give_it_to_another_channel(history: &mut History, rng: &mut Rng) -> Option<()> {
    let spot = pick(history, rng, |h, s| {
        let other = Event { channel: "room:1".into(), ..event(h, s).clone() };
        event(h, s).channel != "room:1" && ack(h, &other).is_none_or(|ack| ack.body != other.body)
    })?;
    event_mut(history, spot).channel = "room:1".into();
    Some(())
}

pub(super) fn give_it_to_a_channel_not_followed(history: &mut History, rng: &mut Rng) -> Option<()> {
    let spot = pick(history, rng, |h, s| not_followed(h, s).is_some())?;
    event_mut(history, spot).channel = not_followed(history, spot)?;
    Some(())
}

/// Behind the last event of its channel on its connection, one more.
fn append_one(
    history: &mut History,
    rng: &mut Rng,
    body: &dyn Fn(&History, Spot) -> Option<Vec<u8>>,
) -> Option<()> {
    let spot = pick(history, rng, |h, s| {
        let after = Event { seq: event(h, s).seq + 1, ..event(h, s).clone() };
        let shown = |reader: &Reader| !copies(reader, &after).is_empty();
        ack(h, &after).is_none() && !h.readers.iter().any(shown) && body(h, s).is_some()
    })?;
    let body = body(history, spot)?;
    let ghost = Event { seq: event(history, spot).seq + 1, body, ..without_cursor(event(history, spot)) };
    let connection = connection_of(history, spot);
    insert(history, (spot.0, spot.1 + 1), connection, Observed::Event(ghost));
    Some(())
}

pub(super) fn invent_an_event(history: &mut History, rng: &mut Rng) -> Option<()> {
    append_one(history, rng, &|_, _| Some(b"\"ghost\"".to_vec()))
}

pub(super) fn store_a_publish_twice(history: &mut History, rng: &mut Rng) -> Option<()> {
    append_one(history, rng, &|h, s| Some(event(h, s).body.clone()))
}

pub(super) fn store_an_unanswered_publish_twice(history: &mut History, rng: &mut Rng) -> Option<()> {
    append_one(history, rng, &|h, s| {
        let (channel, epoch) = (&event(h, s).channel, &event(h, s).epoch);
        let seen = h.readers.iter().flat_map(|reader| &reader.seen);
        seen.filter_map(|seen| match &seen.item {
            Observed::Event(other) if other.channel == *channel && other.epoch == *epoch => Some(other),
            _ => None,
        })
        .find(|other| {
            h.uncertain.iter().any(|publish| publish.channel == *channel && publish.body == other.body)
        })
        .map(|other| other.body.clone())
    })
}

pub(super) fn tell_two_readers_other_bodies(history: &mut History, rng: &mut Rng) -> Option<()> {
    // An event that no answer names: only the readers can contradict each other.
    let mut seen_by: BTreeMap<(String, String, u64), HashSet<usize>> = BTreeMap::new();
    for (r, reader) in history.readers.iter().enumerate() {
        for seen in &reader.seen {
            if let Observed::Event(event) = &seen.item
                && ack(history, event).is_none()
                && !history.ended_epochs.contains(&event.epoch)
            {
                let key = (event.channel.clone(), event.epoch.clone(), event.seq);
                seen_by.entry(key).or_default().insert(r);
            }
        }
    }
    let many = seen_by.into_iter().filter(|(key, readers)| {
        readers.len() > 1 && history.acked.iter().all(|ack| ack.channel != key.0 || ack.seq != key.2)
    });
    let ((channel, epoch, seq), readers) = rng.choice(many.collect::<Vec<_>>())?;
    let r = readers.into_iter().max()?;
    for seen in &mut history.readers[r].seen {
        if let Observed::Event(event) = &mut seen.item
            && (&event.channel, &event.epoch, event.seq) == (&channel, &epoch, seq)
        {
            event.body = b"\"another\"".to_vec();
        }
    }
    Some(())
}

pub(super) fn send_what_lies_before_the_beginning(history: &mut History, rng: &mut Rng) -> Option<()> {
    let (r, place) = rng.choice(
        history
            .readers
            .iter()
            .enumerate()
            .flat_map(|(r, reader)| {
                let places = match &reader.begin {
                    Begin::At(places) => places.clone(),
                    _ => Vec::new(),
                };
                places.into_iter().map(move |place| (r, place)).collect::<Vec<_>>()
            })
            .filter(|(_, place)| {
                history.acked.iter().any(|ack| {
                    ack.channel == place.channel && ack.epoch == place.epoch && ack.seq == place.seq
                })
            })
            .collect::<Vec<_>>(),
    )?;
    let old = history
        .acked
        .iter()
        .find(|ack| ack.channel == place.channel && ack.epoch == place.epoch && ack.seq == place.seq)?;
    let old = Event {
        channel: old.channel.clone(),
        epoch: old.epoch.clone(),
        seq: old.seq,
        body: old.body.clone(),
        cursor: None,
    };
    let connection = connection_of(history, (r, 0));
    insert(history, (r, 1), connection, Observed::Event(old));
    Some(())
}
