//! Each way of breaking a history is caught, under the name it should have.
use std::collections::{BTreeMap, HashSet};

use fastrand::Rng;
use sosik_lab::checker::{
    Acked, Begin, Event, Gap, History, Kind, NamespaceKind, Observed, Reader, Seen, check,
};

use crate::model;

/// A way to break a history: `None` when this one offers no place for it.
struct Mutant {
    name: &'static str,
    /// One of these must be found.
    caught_as: &'static [Kind],
    plant: fn(&mut History, &mut Rng) -> Option<()>,
}

/// Seeds tried for each mutant, and places it must have found among them.
const SEEDS: u64 = 200;
const PLANTED_MIN: u64 = 8;

macro_rules! mutants {
    ($($name:ident => $($kind:ident)|+;)+) => {
        &[$(Mutant { name: stringify!($name), caught_as: &[$(Kind::$kind),+], plant: $name }),+]
    };
}

const MUTANTS: &[Mutant] = mutants! {
    drop_one_in_the_middle => Hole;
    drop_every_copy_of_one => Lost;
    drop_the_first_of_a_channel => Hole | GapNextSeqWrong | Lost;
    drop_the_last_of_a_channel => Lost;
    drop_what_a_resumed_connection_begins_with => Hole | GapNextSeqWrong | Lost;
    drop_all_of_a_channel => Lost;
    repeat_at_once => RepeatedOnWire;
    repeat_later_in_the_connection => RepeatedOnWire;
    repeat_what_lies_below_the_cursor_resumed_from => RepeatedOnWire;
    repeat_past_a_forgetful_client => Repeated;
    swap_neighbours_in_a_channel => OutOfOrder;
    swap_neighbours_across_channels => OutOfOrderAcross;
    move_an_event_behind_the_connection => OutOfOrder;
    change_a_body => WrongBody;
    give_a_seq_of_the_future => Invented;
    give_the_seq_of_its_neighbour => WrongBody;
    give_it_an_unknown_epoch => SilentEpoch;
    give_it_to_another_channel => Invented | WrongBody | StoredTwice;
    give_it_to_a_channel_not_followed => NotFollowed;
    invent_an_event => Invented;
    store_a_publish_twice => StoredTwice;
    store_an_unanswered_publish_twice => StoredTwice;
    tell_two_readers_other_bodies => WrongBody;
    send_what_lies_before_the_beginning => BeforeStart;
    remove_a_gap => Hole | Lost;
    tell_a_gap_after_its_next_event => GapCoversDelivered;
    extend_a_gap_over_its_next_event => GapCoversDelivered;
    extend_a_gap_and_drop_what_it_covers => GapOverKept;
    shrink_a_gap => GapNextSeqWrong | GapCoversNothing;
    count_a_gap_wrongly => GapLostWrong;
    tell_a_gap_where_nothing_is_gone => GapCoversNothing;
    tell_a_gap_over_what_was_delivered => GapCoversDelivered;
    tell_a_gap_to_beyond_the_end => GapNextSeqWrong;
    tell_a_gap_of_signals => GapCoversNothing;
    tell_a_gap_of_a_channel_not_followed => NotFollowed;
    tell_a_gap_of_a_prefix_of_which_nothing_is_gone => GapCoversNothing;
    put_a_gap_above_its_next_event => GapMisplaced;
    put_a_gap_below_what_was_delivered => OutOfOrderAcross;
    remove_the_gaps_of_an_epoch => SilentEpoch | ForeignCursor;
    resume_from_a_cursor_never_handed_out => ForeignCursor;
    skip_events_under_cover_of_a_newer_cursor => Hole | Lost;
    acknowledge_one_seq_for_two_bodies => AckConflict;
    acknowledge_one_position_twice => AckPosition;
    acknowledge_positions_that_fall => AckPosition;
    observe_on_a_closed_connection => NotOpen;
};

#[test]
fn every_mutant_is_caught_under_its_own_name() {
    judge(MUTANTS, |_| {});
}

/// Where the run does not know what was trimmed, a gap is believed; what it does not cover is found all the same.
// Mutant: an excuse by a prefix gap that is never used up -> fails.
#[test]
fn holes_are_found_without_knowing_what_was_trimmed() {
    let mutants: &[Mutant] = mutants! {
        drop_one_in_the_middle => Hole;
        swap_neighbours_in_a_channel => OutOfOrder;
        extend_a_gap_over_its_next_event => GapCoversDelivered;
        tell_a_gap_where_nothing_is_gone => GapCoversNothing;
        remove_a_gap => Hole | Lost;
    };
    judge(mutants, |history| history.trimmed_to = None);
}

fn judge(mutants: &[Mutant], change: fn(&mut History)) {
    let mut missed = Vec::new();
    let mut planted = vec![0; mutants.len()];
    for seed in 0..SEEDS {
        let right = model::history(seed);
        for (mutant, planted) in mutants.iter().zip(&mut planted) {
            let mut history = right.clone();
            if (mutant.plant)(&mut history, &mut Rng::with_seed(seed ^ 0x5eed)).is_none() {
                continue;
            }
            *planted += 1;
            change(&mut history);
            let verdict = check(&history);
            if !mutant.caught_as.iter().any(|kind| verdict.has(*kind)) {
                missed.push(format!(
                    "{} with seed {seed} is not {:?}: {verdict}",
                    mutant.name, mutant.caught_as
                ));
            }
        }
    }
    for (mutant, planted) in mutants.iter().zip(planted) {
        if planted < PLANTED_MIN {
            missed.push(format!("{} found only {planted} places", mutant.name));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[test]
fn every_kind_of_violation_has_a_mutant() {
    let all = [
        Kind::Lost,
        Kind::Hole,
        Kind::Repeated,
        Kind::RepeatedOnWire,
        Kind::BeforeStart,
        Kind::OutOfOrder,
        Kind::OutOfOrderAcross,
        Kind::WrongBody,
        Kind::Invented,
        Kind::StoredTwice,
        Kind::AckConflict,
        Kind::AckPosition,
        Kind::GapCoversDelivered,
        Kind::GapCoversNothing,
        Kind::GapNextSeqWrong,
        Kind::GapLostWrong,
        Kind::GapOverKept,
        Kind::GapMisplaced,
        Kind::NotFollowed,
        Kind::SilentEpoch,
        Kind::ForeignCursor,
        Kind::NotOpen,
    ];
    for kind in all {
        let sole = MUTANTS.iter().any(|mutant| mutant.caught_as == [kind]);
        assert!(sole, "no mutant is caught as {kind:?} alone");
    }
}

/// An event of a reader: reader and index.
type Spot = (usize, usize);

fn event(history: &History, (reader, at): Spot) -> &Event {
    match &history.readers[reader].seen[at].item {
        Observed::Event(event) => event,
        other => panic!("{other:?}"),
    }
}

fn event_mut(history: &mut History, (reader, at): Spot) -> &mut Event {
    match &mut history.readers[reader].seen[at].item {
        Observed::Event(event) => event,
        other => panic!("{other:?}"),
    }
}

fn gap_mut(history: &mut History, (reader, at): Spot) -> &mut Gap {
    match &mut history.readers[reader].seen[at].item {
        Observed::Gap(gap) => gap,
        other => panic!("{other:?}"),
    }
}

fn kind(channel: &str) -> NamespaceKind {
    match channel.split(':').next() {
        Some("once") => NamespaceKind::Forgetful,
        Some("typing") => NamespaceKind::Signal,
        _ => NamespaceKind::Log,
    }
}

fn ack<'a>(history: &'a History, event: &Event) -> Option<&'a Acked> {
    let same =
        |ack: &&Acked| ack.channel == event.channel && ack.epoch == event.epoch && ack.seq == event.seq;
    history.acked.iter().find(same)
}

fn kept(history: &History, event: &Event) -> bool {
    let trimmed = history.trimmed_to.as_ref().unwrap();
    event.seq > trimmed.get(&(event.epoch.clone(), event.channel.clone())).copied().unwrap_or(0)
}

/// Events of logs, acknowledged, kept to the end and of an epoch that goes on: what is owed beyond doubt.
fn sure_events(history: &History) -> Vec<Spot> {
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

fn pick(history: &History, rng: &mut Rng, fits: impl Fn(&History, Spot) -> bool) -> Option<Spot> {
    let spots: Vec<Spot> = sure_events(history).into_iter().filter(|spot| fits(history, *spot)).collect();
    rng.choice(spots)
}

fn pick_gap(history: &History, rng: &mut Rng, fits: impl Fn(&Gap, Spot) -> bool) -> Option<Spot> {
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

/// A gap that names its next event of a log's channel, not that of an epoch.
fn names_next(gap: &Gap) -> bool {
    gap.reason == "trimmed" && gap.next_seq.is_some() && kind(&gap.channel) == NamespaceKind::Log
}

/// The next and the previous event of the same channel and epoch on the same connection, nothing of that channel
/// between.
fn beside(history: &History, (r, at): Spot, step: isize) -> Option<Spot> {
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

fn next(history: &History, spot: Spot) -> Option<Spot> {
    beside(history, spot, 1)
}

fn previous(history: &History, spot: Spot) -> Option<Spot> {
    beside(history, spot, -1)
}

fn copies(reader: &Reader, event: &Event) -> Vec<usize> {
    let same = |other: &Event| other.channel == event.channel && other.seq == event.seq;
    (0..reader.seen.len())
        .filter(|&at| matches!(&reader.seen[at].item, Observed::Event(other) if same(other)))
        .collect()
}

fn remove_all(reader: &mut Reader, spots: &[usize]) {
    for at in spots.iter().rev() {
        reader.seen.remove(*at);
    }
}

/// Whether a connection was opened with the cursor of this frame: taking the frame away would show there too.
fn is_asked(history: &History, (r, at): Spot) -> bool {
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

fn insert(history: &mut History, (r, at): Spot, connection: u64, item: Observed) {
    history.readers[r].seen.insert(at, Seen { connection, item });
}

fn connection_of(history: &History, (r, at): Spot) -> u64 {
    history.readers[r].seen[at].connection
}

fn without_cursor(event: &Event) -> Event {
    Event { cursor: None, ..event.clone() }
}

fn starts(history: &History, (r, _): Spot) -> bool {
    history.readers[r].begin == Begin::Start
}

fn drop_one_in_the_middle(history: &mut History, rng: &mut Rng) -> Option<()> {
    let (r, at) =
        pick(history, rng, |h, s| next(h, s).is_some() && previous(h, s).is_some() && !is_asked(h, s))?;
    history.readers[r].seen.remove(at);
    Some(())
}

fn drop_every_copy_of_one(history: &mut History, rng: &mut Rng) -> Option<()> {
    let spot =
        pick(history, rng, |h, s| next(h, s).is_some() && previous(h, s).is_some() && !is_asked(h, s))?;
    let event = event(history, spot).clone();
    let copies = copies(&history.readers[spot.0], &event);
    remove_all(&mut history.readers[spot.0], &copies);
    Some(())
}

fn drop_the_first_of_a_channel(history: &mut History, rng: &mut Rng) -> Option<()> {
    let first =
        |h: &History, s| event(h, s).seq == 1 && starts(h, s) && next(h, s).is_some() && !is_asked(h, s);
    let (r, at) = pick(history, rng, first)?;
    history.readers[r].seen.remove(at);
    Some(())
}

fn drop_the_last_of_a_channel(history: &mut History, rng: &mut Rng) -> Option<()> {
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

fn drop_what_a_resumed_connection_begins_with(history: &mut History, rng: &mut Rng) -> Option<()> {
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

fn drop_all_of_a_channel(history: &mut History, rng: &mut Rng) -> Option<()> {
    let spot = pick(history, rng, |h, s| starts(h, s) && h.readers[s.0].drained)?;
    let channel = event(history, spot).channel.clone();
    let reader = &mut history.readers[spot.0];
    reader.seen.retain(|seen| !matches!(&seen.item, Observed::Event(event) if event.channel == channel));
    Some(())
}

fn repeat_at_once(history: &mut History, rng: &mut Rng) -> Option<()> {
    let (r, at) = pick(history, rng, |_, _| true)?;
    let seen = history.readers[r].seen[at].clone();
    history.readers[r].seen.insert(at + 1, seen);
    Some(())
}

fn repeat_later_in_the_connection(history: &mut History, rng: &mut Rng) -> Option<()> {
    let spot = pick(history, rng, |h, s| next(h, s).is_some())?;
    let later = next(history, spot)?;
    let copy = without_cursor(event(history, spot));
    let connection = connection_of(history, spot);
    insert(history, (later.0, later.1 + 1), connection, Observed::Event(copy));
    Some(())
}

fn repeat_what_lies_below_the_cursor_resumed_from(history: &mut History, rng: &mut Rng) -> Option<()> {
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

fn repeat_past_a_forgetful_client(history: &mut History, rng: &mut Rng) -> Option<()> {
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

fn swap_neighbours_in_a_channel(history: &mut History, rng: &mut Rng) -> Option<()> {
    let spot = pick(history, rng, |h, s| {
        previous(h, s).is_some() && next(h, s).is_some_and(|other| event(h, other).seq == event(h, s).seq + 1)
    })?;
    let other = next(history, spot)?;
    history.readers[spot.0].seen.swap(spot.1, other.1);
    Some(())
}

fn swap_neighbours_across_channels(history: &mut History, rng: &mut Rng) -> Option<()> {
    let spot = pick(history, rng, |h, s| {
        let mine = event(h, s);
        matches!(h.readers[s.0].seen.get(s.1 + 1), Some(Seen { connection, item: Observed::Event(other) })
            if *connection == connection_of(h, s) && other.channel != mine.channel && other.epoch == mine.epoch
                && ack(h, other).is_some())
    })?;
    history.readers[spot.0].seen.swap(spot.1, spot.1 + 1);
    Some(())
}

fn move_an_event_behind_the_connection(history: &mut History, rng: &mut Rng) -> Option<()> {
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

fn change_a_body(history: &mut History, rng: &mut Rng) -> Option<()> {
    let spot = pick(history, rng, |_, _| true)?;
    event_mut(history, spot).body.push(b' ');
    Some(())
}

fn give_a_seq_of_the_future(history: &mut History, rng: &mut Rng) -> Option<()> {
    let spot = pick(history, rng, |_, _| true)?;
    let ghost = event_mut(history, spot);
    ghost.seq += 1_000_000;
    ghost.body = b"\"ghost\"".to_vec();
    Some(())
}

fn give_the_seq_of_its_neighbour(history: &mut History, rng: &mut Rng) -> Option<()> {
    let spot = pick(history, rng, |h, s| {
        let before = Event { seq: event(h, s).seq - 1, ..event(h, s).clone() };
        ack(h, &before).is_some()
    })?;
    event_mut(history, spot).seq -= 1;
    Some(())
}

fn give_it_an_unknown_epoch(history: &mut History, rng: &mut Rng) -> Option<()> {
    let spot = pick(history, rng, |h, s| previous(h, s).is_some())?;
    event_mut(history, spot).epoch = "nobody".to_owned();
    Some(())
}

fn give_it_to_another_channel(history: &mut History, rng: &mut Rng) -> Option<()> {
    let spot = pick(history, rng, |h, s| {
        let other = Event { channel: "room:1".into(), ..event(h, s).clone() };
        event(h, s).channel != "room:1" && ack(h, &other).is_none_or(|ack| ack.body != other.body)
    })?;
    event_mut(history, spot).channel = "room:1".into();
    Some(())
}

fn give_it_to_a_channel_not_followed(history: &mut History, rng: &mut Rng) -> Option<()> {
    let spot = pick(history, rng, |h, s| not_followed(h, s).is_some())?;
    event_mut(history, spot).channel = not_followed(history, spot)?;
    Some(())
}

fn not_followed(history: &History, (r, _): Spot) -> Option<String> {
    let set = &history.readers[r].set;
    let outside = model::all_channels().into_iter().find(|channel| !model::follows(set, channel));
    outside.map(str::to_owned)
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

fn invent_an_event(history: &mut History, rng: &mut Rng) -> Option<()> {
    append_one(history, rng, &|_, _| Some(b"\"ghost\"".to_vec()))
}

fn store_a_publish_twice(history: &mut History, rng: &mut Rng) -> Option<()> {
    append_one(history, rng, &|h, s| Some(event(h, s).body.clone()))
}

fn store_an_unanswered_publish_twice(history: &mut History, rng: &mut Rng) -> Option<()> {
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

fn tell_two_readers_other_bodies(history: &mut History, rng: &mut Rng) -> Option<()> {
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

fn send_what_lies_before_the_beginning(history: &mut History, rng: &mut Rng) -> Option<()> {
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

fn remove_a_gap(history: &mut History, rng: &mut Rng) -> Option<()> {
    let h = &*history;
    let (r, at) = pick_gap(h, rng, |gap, s| {
        names_next(gap) && next(h, s).is_some() && previous(h, s).is_some() && !is_asked(h, s)
    })?;
    history.readers[r].seen.remove(at);
    Some(())
}

fn tell_a_gap_after_its_next_event(history: &mut History, rng: &mut Rng) -> Option<()> {
    let h = &*history;
    let spot = pick_gap(h, rng, |gap, s| names_next(gap) && next(h, s).is_some())?;
    let other = next(history, spot)?;
    history.readers[spot.0].seen.swap(spot.1, other.1);
    Some(())
}

fn extend_a_gap_over_its_next_event(history: &mut History, rng: &mut Rng) -> Option<()> {
    let h = &*history;
    let spot = pick_gap(h, rng, |gap, s| names_next(gap) && next(h, s).is_some())?;
    let gap = gap_mut(history, spot);
    gap.next_seq = gap.next_seq.map(|next| next + 1);
    Some(())
}

fn extend_a_gap_and_drop_what_it_covers(history: &mut History, rng: &mut Rng) -> Option<()> {
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

fn shrink_a_gap(history: &mut History, rng: &mut Rng) -> Option<()> {
    let h = &*history;
    let spot =
        pick_gap(h, rng, |gap, s| names_next(gap) && next(h, s).is_some() && previous(h, s).is_some())?;
    let gap = gap_mut(history, spot);
    gap.next_seq = gap.next_seq.map(|next| next - 1);
    gap.lost = None;
    Some(())
}

fn count_a_gap_wrongly(history: &mut History, rng: &mut Rng) -> Option<()> {
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

fn tell_a_gap_where_nothing_is_gone(history: &mut History, rng: &mut Rng) -> Option<()> {
    tell(history, rng, |h, s| Some(gap_like(event(h, s), Some(event(h, s).seq + 1))))
}

fn tell_a_gap_over_what_was_delivered(history: &mut History, rng: &mut Rng) -> Option<()> {
    tell(history, rng, |h, s| Some(gap_like(event(h, s), Some(event(h, s).seq))))
}

fn tell_a_gap_to_beyond_the_end(history: &mut History, rng: &mut Rng) -> Option<()> {
    tell(history, rng, |h, s| Some(gap_like(event(h, s), Some(event(h, s).seq + 1_000_000))))
}

fn tell_a_gap_of_signals(history: &mut History, rng: &mut Rng) -> Option<()> {
    tell(history, rng, |h, s| {
        let followed = model::follows(&h.readers[s.0].set, "typing:1");
        followed.then(|| Gap { channel: "typing:1".to_owned(), ..gap_like(event(h, s), Some(2)) })
    })
}

fn tell_a_gap_of_a_channel_not_followed(history: &mut History, rng: &mut Rng) -> Option<()> {
    tell(history, rng, |h, s| Some(Gap { channel: not_followed(h, s)?, ..gap_like(event(h, s), Some(9)) }))
}

fn tell_a_gap_of_a_prefix_of_which_nothing_is_gone(history: &mut History, rng: &mut Rng) -> Option<()> {
    tell(history, rng, |h, s| {
        let prefix = format!("{}:*", event(h, s).channel.split(':').next()?);
        let trimmed = h.trimmed_to.as_ref()?;
        let any = trimmed
            .keys()
            .any(|(epoch, channel)| *epoch == event(h, s).epoch && model::matches(&prefix, channel));
        (!any).then(|| Gap { channel: prefix, ..gap_like(event(h, s), None) })
    })
}

fn put_a_gap_above_its_next_event(history: &mut History, rng: &mut Rng) -> Option<()> {
    let h = &*history;
    let spot = pick_gap(h, rng, |gap, s| {
        names_next(gap) && next(h, s).is_some_and(|other| ack(h, event(h, other)).is_some())
    })?;
    let position = next(history, spot).and_then(|other| ack(history, event(history, other))?.position)?;
    gap_mut(history, spot).position = Some(position);
    Some(())
}

fn put_a_gap_below_what_was_delivered(history: &mut History, rng: &mut Rng) -> Option<()> {
    let h = &*history;
    let spot = pick_gap(h, rng, |gap, s| {
        names_next(gap) && previous(h, s).is_some_and(|other| ack(h, event(h, other)).is_some())
    })?;
    let position = previous(history, spot).and_then(|other| ack(history, event(history, other))?.position)?;
    gap_mut(history, spot).position = Some(position - 1);
    Some(())
}

fn remove_the_gaps_of_an_epoch(history: &mut History, rng: &mut Rng) -> Option<()> {
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

fn resume_from_a_cursor_never_handed_out(history: &mut History, rng: &mut Rng) -> Option<()> {
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

fn skip_events_under_cover_of_a_newer_cursor(history: &mut History, rng: &mut Rng) -> Option<()> {
    // Two events in a row vanish, but the cursor of the second is still handed out, as if all were well.
    let fits = |h: &History, s: Spot| {
        let last_copy = copies(&h.readers[s.0], event(h, s)).len() == 1;
        starts(h, s) && last_copy && h.readers[s.0].drained && event(h, s).cursor.is_some()
    };
    let spot = pick(history, rng, fits)?;
    let cursor = event(history, spot).cursor.clone()?;
    let from = sosik_lab::checker::CursorFrom::CaughtUp;
    history.readers[spot.0].seen[spot.1].item = Observed::Cursor { from, cursor };
    Some(())
}

fn acknowledge_one_seq_for_two_bodies(history: &mut History, rng: &mut Rng) -> Option<()> {
    let again = rng.choice(&history.acked)?.clone();
    history.acked.push(Acked { body: b"\"another\"".to_vec(), ..again });
    Some(())
}

fn acknowledge_one_position_twice(history: &mut History, rng: &mut Rng) -> Option<()> {
    let (a, b) = two_of_a_channel(history, rng)?;
    history.acked[b].position = history.acked[a].position;
    Some(())
}

fn acknowledge_positions_that_fall(history: &mut History, rng: &mut Rng) -> Option<()> {
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

fn observe_on_a_closed_connection(history: &mut History, rng: &mut Rng) -> Option<()> {
    let spot = pick(history, rng, |_, _| true)?;
    let copy = Observed::Event(without_cursor(event(history, spot)));
    insert(history, spot, 1_000_000, copy);
    Some(())
}
