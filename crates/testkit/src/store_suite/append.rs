//! Appends: all or nothing, guards, places, and batches that are sent again.

use sosik_core::{
    cursor::Position,
    store::{AppendError, Appended, Batch, Place, Placed},
};

use super::{
    ALL, Listener, Maker, channel, entry,
    hand::{Hand, after},
};

/// Numbers count from 1, `prev` is the event before, positions rise over all channels.
// Mutant: `prev` taken from the log's last event -> the link check fails.
pub async fn positions_rise_seq_counts_and_prev_links(maker: &Maker) {
    let store = maker.store(1).await;
    let mut hand = Hand::new(&*store);
    let (a, b) = (channel("room:a"), channel("room:b"));
    for count in [1, 3, 2] {
        hand.put(&a, count).await;
        hand.put(&b, count).await;
    }
    assert!(hand.stored.is_sorted_by(|one, next| one.position < next.position));
    assert!(hand.stored[0].position > Position::START);
    for channel in [a, b] {
        let events = hand.of(&channel);
        let page = store.page(&channel, Position::START, Position::END, ALL).await.unwrap();
        assert_eq!(page.events, events[..page.events.len()]);
        assert!(events.iter().map(|event| event.seq).eq(1..=6));
        assert_eq!(events[0].prev, Position::START);
        assert!(events.windows(2).all(|pair| pair[1].prev == pair[0].position));
        let head = hand.head(&channel).await.unwrap();
        assert_eq!((head.seq, head.position, head.first_seq), (6, events[5].position, 1));
        assert_eq!(head.trimmed_to, Position::START);
    }
}

/// `Behind` refers to the entry before of the same channel, wherever it stands in the batch.
// Mutant: `Behind` counting from the stored record instead of the entry -> numbers repeat.
pub async fn a_batch_over_many_channels_chains_each_of_them(maker: &Maker) {
    let store = maker.store(2).await;
    let mut hand = Hand::new(&*store);
    let (a, b, c) = (channel("room:a"), channel("room:b"), channel("match:c"));
    let first = hand.put(&a, 1).await[0];
    let entries = vec![
        entry(&a, Place::After { seq: 2, prev: first.position }, "0", true),
        entry(&b, Place::After { seq: 1, prev: Position::START }, "1", true),
        entry(&c, Place::First { prev: Position::START }, "2", true),
        entry(&a, Place::Behind(0), "3", true),
        entry(&b, Place::Behind(1), "4", true),
        entry(&c, Place::Behind(2), "5", true),
        entry(&a, Place::Behind(3), "6", true),
    ];
    let placed = hand.append(entries).await.unwrap();
    assert!(placed.is_sorted_by(|one, next| one.position < next.position));
    let third = placed[2].position.number();
    assert!(placed.iter().map(|placed| placed.seq).eq([2, 1, third, 3, 2, third + 1, 4]));
    for channel in [a, b, c] {
        let page = store.page(&channel, Position::START, Position::END, ALL).await.unwrap();
        super::check_page(
            &hand.of(&channel),
            &page,
            (Position::START, Position::END),
            ALL,
            placed[6].position,
        );
    }
}

/// One guard that does not hold keeps the whole batch out.
// Mutant: entries stored one by one until a guard fails -> the first entry is found.
pub async fn a_batch_with_one_wrong_guard_stores_nothing(maker: &Maker) {
    let store = maker.store(3).await;
    let mut hand = Hand::new(&*store);
    let (a, b) = (channel("room:a"), channel("room:b"));
    hand.put(&b, 1).await;
    let mut listener = Listener::new(&*store, Position::START, Default::default());
    let entries = vec![
        entry(&a, after(None), "first", true),
        entry(&a, Place::Behind(0), "second", true),
        entry(&b, after(None), "wrong", true),
    ];
    assert_eq!(hand.append(entries).await.unwrap_err(), AppendError::Conflict);
    assert_eq!(hand.head(&a).await, None);
    assert_eq!(hand.head(&b).await.unwrap().seq, 1);
    let last = hand.put(&a, 1).await[0];
    assert_eq!(last.seq, 1);
    listener.until(last.position).await;
    assert!(listener.events().eq(&hand.stored));
}

/// Every way in which a single guard can fail.
// Mutants: ignoring `prev` of `After`; ignoring the mark of `First` -> both fail.
pub async fn a_wrong_guard_is_a_conflict(maker: &Maker) {
    let store = maker.store(4).await;
    let mut hand = Hand::new(&*store);
    let (a, b, new) = (channel("room:a"), channel("room:b"), channel("room:new"));
    let own = hand.put(&a, 3).await;
    let other = hand.put(&b, 1).await[0].position;
    let gone = channel("match:gone");
    let first = vec![entry(&gone, Place::First { prev: Position::START }, "", true)];
    hand.append(first).await.unwrap();
    let mark = store.forget(&gone).await.unwrap();
    let (last, before) = (own[2].position, own[1].position);
    let wrong = [
        (&a, Place::After { seq: 3, prev: last }),
        (&a, Place::After { seq: 5, prev: last }),
        (&a, Place::After { seq: 4, prev: before }),
        (&a, Place::After { seq: 4, prev: other }),
        (&a, Place::After { seq: 4, prev: Position::START }),
        (&a, Place::After { seq: 1, prev: Position::START }),
        (&a, Place::After { seq: 0, prev: last }),
        (&a, Place::First { prev: Position::START }),
        (&a, Place::First { prev: last }),
        (&new, Place::After { seq: 2, prev: Position::START }),
        (&new, Place::After { seq: 0, prev: Position::START }),
        (&new, Place::After { seq: 1, prev: last }),
        (&gone, Place::First { prev: Position::START }),
        (&gone, Place::First { prev: last }),
        (&gone, Place::First { prev: Position::END }),
        (&new, Place::First { prev: mark }),
    ];
    for (channel, place) in wrong {
        let entries = vec![entry(channel, place, "", true)];
        assert_eq!(hand.append(entries).await.unwrap_err(), AppendError::Conflict, "{channel} {place:?}");
    }
    let right = vec![
        entry(&a, Place::After { seq: 4, prev: last }, "", true),
        entry(&gone, Place::First { prev: mark }, "", true),
        entry(&new, Place::First { prev: Position::START }, "", true),
    ];
    hand.append(right).await.unwrap();
}

/// Every way in which the entries of one batch can contradict each other.
// Mutant: `Behind` accepting any earlier entry of the channel -> two events with one number.
pub async fn a_wrong_link_inside_a_batch_is_a_conflict(maker: &Maker) {
    let store = maker.store(5).await;
    let mut hand = Hand::new(&*store);
    let (a, b) = (channel("room:a"), channel("room:b"));
    let one = Place::After { seq: 1, prev: Position::START };
    let first = Place::First { prev: Position::START };
    let wrong: [&[_]; 9] = [
        &[(&a, Place::Behind(0))],
        &[(&a, one), (&a, Place::Behind(1))],
        &[(&a, one), (&a, Place::Behind(7))],
        &[(&a, one), (&b, Place::Behind(0))],
        &[(&a, one), (&a, Place::Behind(0)), (&a, Place::Behind(0))],
        &[(&a, one), (&a, one)],
        &[(&a, first), (&a, first)],
        &[(&a, one), (&a, first)],
        &[(&a, Place::Behind(1)), (&a, one)],
    ];
    for places in wrong {
        let entries = places.iter().map(|(channel, place)| entry(channel, *place, "", true)).collect();
        assert_eq!(hand.append(entries).await.unwrap_err(), AppendError::Conflict, "{places:?}");
    }
    assert_eq!((hand.head(&a).await, hand.head(&b).await), (None, None));
}

/// The channels of a namespace that may be forgotten begin at a number that was never used.
// Mutant: `First` beginning at 1 -> fails.
pub async fn a_first_event_takes_its_number_from_its_position(maker: &Maker) {
    let store = maker.store(6).await;
    let mut hand = Hand::new(&*store);
    let (noise, own) = (channel("room:noise"), channel("match:1"));
    hand.put(&noise, 5).await;
    let entries = vec![entry(&own, Place::First { prev: Position::START }, "", true)];
    let Placed { position, seq } = hand.append(entries).await.unwrap()[0];
    assert_eq!(seq, position.number());
    hand.put(&noise, 5).await;
    let next = hand.put(&own, 1).await[0];
    assert_eq!(next.seq, seq + 1);
    let head = hand.head(&own).await.unwrap();
    assert_eq!((head.seq, head.position, head.first_seq), (next.seq, next.position, seq));
}

/// The same batch again is `Duplicate`, whatever happened to its channels meanwhile, and stores nothing.
// Mutants: guards before the batch's id -> `Conflict`; ids not remembered -> stored twice or `Conflict`.
pub async fn a_batch_sent_again_is_answered_with_its_places(maker: &Maker) {
    let store = maker.store(7).await;
    let mut hand = Hand::new(&*store);
    let (a, b) = (channel("room:a"), channel("match:b"));
    let batch = hand.batch(vec![
        entry(&a, after(None), "0", true),
        entry(&b, Place::First { prev: Position::START }, "1", true),
        entry(&a, Place::Behind(0), "2", true),
    ]);
    let placed = hand.send(batch.clone()).await.unwrap();
    let again = async |why: &str| {
        let answer = store.append(batch.clone()).await;
        let Err(AppendError::Duplicate(Appended { placed: same, .. })) = answer else {
            panic!("{why}: {answer:?}")
        };
        assert_eq!(same, placed, "{why}");
    };
    again("at once").await;
    hand.put(&a, 2).await;
    again("behind other events").await;
    store.trim(&a, placed[2].position).await.unwrap();
    again("after its events were trimmed").await;
    store.forget(&b).await.unwrap();
    again("after its channel was forgotten").await;
    assert_eq!(hand.head(&a).await.unwrap().seq, 4);
    assert_eq!(hand.head(&b).await, None);
}

/// Only what was stored is remembered.
// Mutant: remembering the id before the guards are read -> `Duplicate` of nothing.
pub async fn a_batch_that_conflicted_may_be_stored_later(maker: &Maker) {
    let store = maker.store(8).await;
    let mut hand = Hand::new(&*store);
    let a = channel("room:a");
    let batch = Batch::new(u128::MAX, vec![entry(&a, after(None), "late", true)]);
    let second =
        Batch::new(u128::MAX - 1, vec![entry(&a, Place::After { seq: 2, prev: Position::new(1) }, "", true)]);
    assert_eq!(store.append(second.clone()).await.unwrap_err(), AppendError::Conflict);
    let first = hand.send(batch).await.unwrap()[0];
    let place = Place::After { seq: 2, prev: first.position };
    let second = Batch { entries: vec![entry(&a, place, "", true)], ..second };
    hand.send(second).await.unwrap();
}

/// Not after a conflict, not after a trim, not after a channel is forgotten.
// Mutant: positions continuing from the last event that still exists -> a position comes back.
pub async fn positions_are_never_used_twice(maker: &Maker) {
    let store = maker.store(9).await;
    let mut hand = Hand::new(&*store);
    let a = channel("match:a");
    let mut last = Position::START;
    for round in 0..20 {
        let mark = store.namespace("match").await.unwrap().forgotten_to;
        let place = Place::First { prev: mark };
        let entries = vec![entry(&a, place, "", true), entry(&a, Place::Behind(0), "", true)];
        let placed = hand.append(entries).await.unwrap();
        assert!(placed[0].position > last && placed[1].position > placed[0].position, "round {round}");
        assert!(placed[0].seq > last.number(), "round {round}: a number came back");
        last = placed[1].position;
        let _conflict = hand.append(vec![entry(&a, place, "", true)]).await.unwrap_err();
        if round % 2 == 0 {
            store.trim(&a, last).await.unwrap();
        }
        store.forget(&a).await.unwrap();
        if let Some(given) = store.given() {
            assert!(given >= last);
        }
        assert!(store.open().await.unwrap().head <= hand.put(&channel("room:b"), 1).await[0].position);
    }
}
