//! Repeats, holes and gaps as the dedupe of one client tells them.
#![allow(clippy::unwrap_used)]
use sosik_wire::Data;

use super::*;
use Verdict::{Hole, New, Repeat};

fn event(channel: &str, epoch: &str, seq: u64) -> EventFrame {
    EventFrame {
        channel: channel.into(),
        epoch: epoch.into(),
        seq,
        time: 0,
        name: String::new(),
        data: Data::Json("1".into()),
        from: String::new(),
        signal: false,
        cursor: String::new(),
    }
}

fn gap(channel: &str, reason: GapReason, epoch: &str, next_seq: Option<u64>) -> GapFrame {
    GapFrame {
        channel: channel.into(),
        reason,
        epoch: epoch.into(),
        next_seq,
        lost: None,
        cursor: String::new(),
    }
}

fn judge(dedupe: &mut Dedupe, channel: &str, seqs: &[u64]) -> Vec<Verdict> {
    seqs.iter().map(|&seq| dedupe.event(&event(channel, "a", seq))).collect()
}

// Mutant: `<=` made `<` -> the last event is delivered twice after each reconnect.
#[test]
fn what_is_at_or_below_the_last_number_is_dropped() {
    let mut dedupe = Dedupe::new();
    assert_eq!(judge(&mut dedupe, "room:1", &[7, 8, 8, 7, 1, 9]), [New, New, Repeat, Repeat, Repeat, New]);
    assert_eq!(judge(&mut dedupe, "room:2", &[1]), [New]);
}

// Mutant: a hole noted as delivered -> the event that heals it is dropped as a repeat.
#[test]
fn a_hole_is_told_until_it_is_filled_or_accepted() {
    let mut dedupe = Dedupe::new();
    assert_eq!(judge(&mut dedupe, "room:1", &[1, 4, 4]), [New, Hole { expected: 2 }, Hole { expected: 2 }]);
    assert_eq!(judge(&mut dedupe, "room:1", &[2, 3, 4]), [New, New, New]);
    dedupe.accept(&event("room:1", "a", 9));
    assert_eq!(judge(&mut dedupe, "room:1", &[9, 10]), [Repeat, New]);
}

// Mutant: records kept by channel alone -> numbers of a new epoch look like repeats.
#[test]
fn another_epoch_counts_afresh_and_the_old_one_is_still_known() {
    let mut dedupe = Dedupe::new();
    for (epoch, seq, verdict) in
        [("a", 50, New), ("b", 3, New), ("a", 50, Repeat), ("b", 3, Repeat), ("b", 4, New), ("a", 51, New)]
    {
        assert_eq!(dedupe.event(&event("room:1", epoch, seq)), verdict, "{epoch} {seq}");
    }
}

// Mutant: `trimmed` ignored -> the event after it is a hole; `max` made an assignment -> a late gap lowers.
#[test]
fn gaps_raise_and_never_lower() {
    for reason in [GapReason::Trimmed, GapReason::Forgotten] {
        let mut dedupe = Dedupe::new();
        assert_eq!(judge(&mut dedupe, "room:1", &[5]), [New]);
        assert!(dedupe.gap(&gap("room:1", reason, "a", Some(20))));
        assert_eq!(judge(&mut dedupe, "room:1", &[19, 20]), [Repeat, New]);
        assert!(!dedupe.gap(&gap("room:1", reason, "a", Some(10))));
        assert_eq!(judge(&mut dedupe, "room:1", &[10, 21]), [Repeat, New]);
    }
}

// Mutant: a gap always counts as new -> both connections of a change tell it.
#[test]
fn a_gap_that_was_told_is_not_told_again() {
    let mut dedupe = Dedupe::new();
    for _ in 0..2 {
        judge(&mut dedupe, "room:1", &[1]);
    }
    assert!(dedupe.gap(&gap("room:1", GapReason::Trimmed, "a", Some(8))));
    assert!(!dedupe.gap(&gap("room:1", GapReason::Trimmed, "a", Some(8))));
    assert!(dedupe.gap(&gap("room:1", GapReason::Epoch, "b", Some(8))));
    assert!(!dedupe.gap(&gap("room:1", GapReason::Epoch, "b", Some(8))));
    assert_eq!(dedupe.event(&event("room:1", "b", 99)), New, "an epoch's gap raises nothing");
}

// Mutant: `excused` not taken -> a second hole stays silent; not limited to the prefix -> one elsewhere does.
#[test]
fn a_gap_of_a_prefix_excuses_one_hole_of_each_of_its_channels() {
    let mut dedupe = Dedupe::new();
    for channel in ["match:1", "match:2", "room:1"] {
        assert_eq!(judge(&mut dedupe, channel, &[1]), [New]);
    }
    assert!(dedupe.gap(&gap("match:*", GapReason::Trimmed, "a", None)));
    assert_eq!(judge(&mut dedupe, "match:1", &[9, 12]), [New, Hole { expected: 10 }]);
    assert_eq!(judge(&mut dedupe, "match:2", &[2, 9, 1]), [New, New, Repeat]);
    assert_eq!(judge(&mut dedupe, "room:1", &[9]), [Hole { expected: 2 }]);
    assert_eq!(judge(&mut dedupe, "match:3", &[77]), [New], "newly heard of");
}

// Mutant: signals judged like events -> each one that expired unseen is re-read as a hole.
#[test]
fn signals_drop_by_number_and_have_no_holes() {
    let mut dedupe = Dedupe::new();
    let signal = |seq| EventFrame { signal: true, ..event("typing:1", "a", seq) };
    let verdicts = [3, 9, 9, 4, 20].map(|seq| dedupe.event(&signal(seq)));
    assert_eq!(verdicts, [New, New, Repeat, Repeat, New]);
}

// Mutant: the youngest dropped, or use not noted -> a busy channel is forgotten.
#[test]
fn the_channel_heard_of_longest_ago_is_forgotten_first() {
    let mut dedupe = Dedupe::with_limit(2);
    for channel in ["room:1", "room:2"] {
        judge(&mut dedupe, channel, &[5]);
    }
    assert_eq!(judge(&mut dedupe, "room:1", &[6]), [New]);
    assert_eq!(judge(&mut dedupe, "room:3", &[1]), [New]);
    assert_eq!((dedupe.channels.len(), dedupe.by_age.len()), (2, 2));
    assert_eq!(judge(&mut dedupe, "room:1", &[6]), [Repeat]);
    assert_eq!(judge(&mut dedupe, "room:2", &[5]), [New], "forgotten: accepted whatever its number");
}

// Mutant: every epoch kept -> a server whose memory log restarts often fills the client.
#[test]
fn only_the_last_epochs_of_a_channel_are_kept() {
    let mut dedupe = Dedupe::new();
    for epoch in 0..50 {
        dedupe.event(&event("room:1", &epoch.to_string(), 1));
    }
    assert_eq!(dedupe.channels["room:1"].epochs.len(), EPOCHS_MAX);
}
