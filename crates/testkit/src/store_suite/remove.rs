//! Trimming and forgetting: what stays, and what never goes back.

use sosik_core::{
    cursor::Position,
    store::{AppendError, Place},
};

use super::{
    ALL, Maker, channel, check_before, check_page, entry,
    hand::{Hand, after},
    space,
};

/// Events at or below are gone from every read; the record only learns the mark.
// Mutant: the event at the mark itself kept -> fails.
pub async fn a_trim_raises_the_mark_and_keeps_the_record(maker: &Maker) {
    let store = maker.store(21).await;
    let mut hand = Hand::new(&*store);
    let (own, other) = (channel("room:a"), channel("room:b"));
    for _ in 0..5 {
        hand.put(&own, 1).await;
        hand.put(&other, 1).await;
    }
    let before = hand.head(&own).await.unwrap();
    let (events, last) = (hand.of(&own), hand.stored[9].position);
    let to = events[1].position;
    store.trim(&own, to).await.unwrap();
    let head = hand.head(&own).await.unwrap();
    assert_eq!((head.seq, head.position), (before.seq, before.position));
    assert_eq!((head.trimmed_to, head.first_seq), (to, 3));
    let page = store.page(&own, Position::START, last, ALL).await.unwrap();
    check_page(&events[2..], &page, (Position::START, last), ALL, last);
    assert_eq!(page.events[0].prev, to, "the first event left links to the mark");
    let page = store.before(&own, Position::END, ALL).await.unwrap();
    check_before(&events[2..], &page, Position::END, ALL);
    let kept: Vec<_> =
        hand.stored.iter().filter(|event| event.channel == other || event.seq > 2).cloned().collect();
    let range = store.range(space("room"), Position::START, last, ALL).await.unwrap();
    check_page(&kept, &range, (Position::START, last), ALL, last);
    assert_eq!(hand.head(&other).await.unwrap().trimmed_to, Position::START);
}

/// The record outlives all events: numbers go on, and the next event links to the trimmed one.
// Mutant: the record removed with the last event -> the guard conflicts and numbers begin again.
pub async fn a_channel_trimmed_to_nothing_goes_on(maker: &Maker) {
    let store = maker.store(22).await;
    let mut hand = Hand::new(&*store);
    let own = channel("room:a");
    let last = hand.put(&own, 3).await[2].position;
    store.trim(&own, last).await.unwrap();
    let head = hand.head(&own).await.unwrap();
    assert_eq!((head.seq, head.position, head.trimmed_to, head.first_seq), (3, last, last, 4));
    let began_again = hand.append(vec![entry(&own, after(None), "", true)]).await;
    assert_eq!(began_again.unwrap_err(), AppendError::Conflict);
    let next = hand.put(&own, 1).await[0];
    assert_eq!(next.seq, 4);
    let page = store.page(&own, Position::START, next.position, ALL).await.unwrap();
    check_page(&hand.of(&own)[3..], &page, (Position::START, next.position), ALL, next.position);
    assert_eq!((page.events[0].prev, page.trimmed_to, page.first_seq), (last, last, 4));
}

/// Trimming to a lower place does nothing.
// Mutant: the mark set to what was asked -> it falls.
pub async fn a_mark_never_falls(maker: &Maker) {
    let store = maker.store(23).await;
    let mut hand = Hand::new(&*store);
    let own = channel("room:a");
    let placed = hand.put(&own, 5).await;
    store.trim(&own, placed[3].position).await.unwrap();
    for lower in [3, 1, 0] {
        store.trim(&own, placed[lower].position).await.unwrap();
        let head = hand.head(&own).await.unwrap();
        assert_eq!((head.trimmed_to, head.first_seq), (placed[3].position, 5));
    }
}

/// Nothing of it is read any more, and the namespace's mark is at least its last place.
// Mutants: events left in the range; the mark set to the channel forgotten last -> both fail.
pub async fn a_forgotten_channel_leaves_only_the_mark(maker: &Maker) {
    let store = maker.store(24).await;
    let mut hand = Hand::new(&*store);
    let (old, new, stays) = (channel("match:old"), channel("match:new"), channel("match:stays"));
    hand.put(&old, 3).await;
    hand.put(&new, 3).await;
    hand.put(&stays, 1).await;
    let last = hand.stored[6].position;
    for forgotten in [&new, &old] {
        let mark = store.forget(forgotten).await.unwrap();
        assert!(mark >= hand.of(&new)[2].position, "the mark fell");
        assert_eq!(store.namespace("match").await.unwrap().forgotten_to, mark);
        assert_eq!(hand.head(forgotten).await, None);
        let page = store.page(forgotten, Position::START, last, ALL).await.unwrap();
        check_page(&[], &page, (Position::START, last), ALL, last);
        let page = store.before(forgotten, Position::END, ALL).await.unwrap();
        assert!(page.events.is_empty());
    }
    let range = store.range(space("match"), Position::START, last, ALL).await.unwrap();
    check_page(&hand.of(&stays), &range, (Position::START, last), ALL, last);
    let names: Vec<_> =
        store.namespace("match").await.unwrap().channels.into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, [stays]);
    assert_eq!(store.namespace("room").await.unwrap().forgotten_to, Position::START);
}

/// Its first number is above every number it ever had; its first `prev` is the mark.
// Mutant: `First` beginning at 1 -> fails.
pub async fn a_reused_name_never_goes_back(maker: &Maker) {
    let store = maker.store(25).await;
    let mut hand = Hand::new(&*store);
    let own = channel("match:a");
    let (mut seq, mut mark) = (0, Position::START);
    for _ in 0..5 {
        let entries = vec![entry(&own, Place::First { prev: mark }, "", true)];
        let first = hand.append(entries).await.unwrap()[0];
        assert!(first.seq > seq && first.seq == first.position.number());
        let page = store.page(&own, Position::START, first.position, ALL).await.unwrap();
        assert_eq!((page.events[0].prev, page.events.len()), (mark, 1));
        assert_eq!(page.trimmed_to, Position::START, "a mark of an earlier life");
        seq = hand.put(&own, 3).await[2].seq;
        store.trim(&own, first.position).await.unwrap();
        mark = store.forget(&own).await.unwrap();
        assert!(mark >= hand.stored[hand.stored.len() - 1].position);
    }
}

/// A name without a record has nothing to forget.
// Mutant: the mark raised to the head -> fails.
pub async fn forgetting_nothing_answers_the_present_mark(maker: &Maker) {
    let store = maker.store(26).await;
    let mut hand = Hand::new(&*store);
    let (own, none) = (channel("match:a"), channel("match:none"));
    assert_eq!(store.forget(&none).await.unwrap(), Position::START);
    hand.put(&own, 2).await;
    let mark = store.forget(&own).await.unwrap();
    hand.put(&channel("room:a"), 2).await;
    assert_eq!(store.forget(&own).await.unwrap(), mark);
    assert_eq!(store.forget(&none).await.unwrap(), mark);
}
