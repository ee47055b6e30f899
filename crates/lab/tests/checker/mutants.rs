//! Each way of breaking a history is caught, under the name it should have.
mod acks;
mod events;
mod gaps;
mod spots;

use fastrand::Rng;
use sosik_lab::checker::{History, Kind, check};

use crate::model;
use acks::*;
use events::*;
use gaps::*;

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
    acknowledge_a_publish_sent_again_as_another => StoredTwice;
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
