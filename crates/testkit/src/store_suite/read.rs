//! Reads: pages forward and backward, ranges over a namespace, records.

use sosik_core::{
    cursor::Position,
    limits::APPEND_EVENTS_MAX,
    store::{PageLimit, Place, Store, Stored},
};

use super::{
    ALL, Listener, Maker, channel, check_before, check_page, entry,
    hand::{Hand, after},
    listener::as_told,
    space,
};

/// Three channels of two namespaces, interleaved; records of different sizes.
async fn filled(store: &dyn Store) -> Vec<Stored> {
    let mut hand = Hand::new(store);
    let channels = [channel("room:a"), channel("room:b"), channel("match:a"), channel("roomy:a")];
    for round in 0..12 {
        for (i, channel) in channels.iter().enumerate() {
            if (round + i) % 3 != 0 {
                let data = "x".repeat(round * 7 % 30);
                let place = after(hand.head(channel).await);
                hand.append(vec![entry(channel, place, &data, true)]).await.unwrap();
            }
        }
    }
    hand.stored
}

fn of(all: &[Stored], wanted: impl Fn(&Stored) -> bool) -> Vec<Stored> {
    all.iter().filter(|event| wanted(event)).cloned().collect()
}

/// 0, every position that was given, and the end.
fn boundaries(all: &[Stored]) -> Vec<Position> {
    let given = all.iter().map(|event| event.position);
    [Position::START].into_iter().chain(given).chain([Position::END]).collect()
}

const LIMITS: [PageLimit; 6] = [
    PageLimit { events: 1, bytes: usize::MAX },
    PageLimit { events: 2, bytes: usize::MAX },
    PageLimit { events: 5, bytes: 100 },
    PageLimit { events: 100, bytes: 0 },
    PageLimit { events: 0, bytes: 0 },
    ALL,
];

/// From every place to every place, under every limit, nothing is left out or told twice.
// Mutants: `after` inclusive; `up_to` exclusive; `complete_to` always `up_to` -> all three fail.
pub async fn pages_join_at_every_boundary(maker: &Maker) {
    let store = maker.store(11).await;
    let all = filled(&*store).await;
    let own = channel("room:a");
    let kept = of(&all, |event| event.channel == own);
    let head = all[all.len() - 1].position;
    for &from in &boundaries(&all) {
        for &up_to in &boundaries(&all) {
            for limit in LIMITS {
                let page = store.page(&own, from, up_to, limit).await.unwrap();
                check_page(&kept, &page, (from, up_to), limit, head);
            }
        }
    }
    for limit in LIMITS {
        let (mut read, mut place) = (Vec::new(), Position::START);
        while place < head {
            let page = store.page(&own, place, head, limit).await.unwrap();
            assert!(page.complete_to > place, "no way on from {place:?}: {page:?}");
            place = page.complete_to;
            read.extend(page.events);
        }
        assert_eq!(read, kept, "{limit:?}");
    }
}

/// The same for all channels of a namespace, in the order of the log.
// Mutant: events of `roomy:` told with those of `room:` -> fails.
pub async fn ranges_join_at_every_boundary(maker: &Maker) {
    let store = maker.store(12).await;
    let all = filled(&*store).await;
    let kept = of(&all, |event| event.channel.namespace() == "room");
    let head = all[all.len() - 1].position;
    for &from in &boundaries(&all) {
        for &up_to in &boundaries(&all) {
            for limit in LIMITS {
                let page = store.range(space("room"), from, up_to, limit).await.unwrap();
                check_page(&kept, &page, (from, up_to), limit, head);
            }
        }
    }
    for limit in LIMITS {
        let (mut read, mut place) = (Vec::new(), Position::START);
        while place < head {
            let page = store.range(space("room"), place, head, limit).await.unwrap();
            assert!(page.complete_to > place, "no way on from {place:?}: {page:?}");
            place = page.complete_to;
            read.extend(page.events);
        }
        assert_eq!(read, kept, "{limit:?}");
    }
}

/// Going on from `complete_to` reaches the first event, newest first.
// Mutants: `before` inclusive; oldest first -> fails.
pub async fn pages_backwards_join_at_every_boundary(maker: &Maker) {
    let store = maker.store(13).await;
    let all = filled(&*store).await;
    let own = channel("room:a");
    let mut kept = of(&all, |event| event.channel == own);
    for &from in &boundaries(&all) {
        for limit in LIMITS {
            let page = store.before(&own, from, limit).await.unwrap();
            check_before(&kept, &page, from, limit);
        }
    }
    for limit in LIMITS {
        let (mut read, mut place) = (Vec::new(), Position::END);
        while place > Position::START {
            let page = store.before(&own, place, limit).await.unwrap();
            assert!(page.complete_to < place, "no way on from {place:?}: {page:?}");
            place = page.complete_to;
            read.extend(page.events);
        }
        read.reverse();
        assert_eq!(read, kept, "{limit:?}");
    }
    let to = kept[2].position;
    store.trim(&own, to).await.unwrap();
    kept.drain(..3);
    let page = store.before(&own, Position::END, ALL).await.unwrap();
    check_before(&kept, &page, Position::END, ALL);
    assert_eq!((page.trimmed_to, page.first_seq), (to, 4));
}

/// A limit below the size of one event still gives one.
// Mutant: the limit of bytes read before the first event is taken -> an empty page.
pub async fn a_page_holds_at_least_one_event_and_respects_its_limits(maker: &Maker) {
    let store = maker.store(14).await;
    let mut hand = Hand::new(&*store);
    let own = channel("room:a");
    hand.put(&own, 30).await;
    let kept = hand.of(&own);
    let (last, size) = (kept[29].position, kept[0].body.len());
    for limit in [
        PageLimit { events: 10, bytes: size - 1 },
        PageLimit { events: 10, bytes: size },
        PageLimit { events: 10, bytes: 3 * size },
        PageLimit { events: 3, bytes: usize::MAX },
    ] {
        let page = store.page(&own, Position::START, last, limit).await.unwrap();
        check_page(&kept, &page, (Position::START, last), limit, last);
        assert!(!page.events.is_empty() && page.complete_to < last);
        let page = store.before(&own, Position::END, limit).await.unwrap();
        check_before(&kept, &page, Position::END, limit);
        assert!(!page.events.is_empty() && page.complete_to > Position::START);
    }
}

/// The mark comes with the page, also when the page is empty.
// Mutant: `trimmed_to` told only when it lies in the page -> fails.
pub async fn a_page_after_a_trim_tells_the_mark(maker: &Maker) {
    let store = maker.store(15).await;
    let mut hand = Hand::new(&*store);
    let own = channel("room:a");
    let placed = hand.put(&own, 6).await;
    let last = placed[5].position;
    for trimmed in [2, 3, 6] {
        let to = placed[trimmed - 1].position;
        store.trim(&own, to).await.unwrap();
        let kept = &hand.of(&own)[trimmed..];
        for from in [Position::START, placed[0].position, to, last] {
            let page = store.page(&own, from, last, ALL).await.unwrap();
            check_page(kept, &page, (from, last), ALL, last);
            assert_eq!((page.trimmed_to, page.first_seq), (to, trimmed as u64 + 1));
        }
        let range = store.range(space("room"), Position::START, last, ALL).await.unwrap();
        check_page(kept, &range, (Position::START, last), ALL, last);
        assert_eq!(range.trimmed_to, Position::START, "a range has no mark");
    }
}

/// Names that were never used read as empty, to the end of what can be vouched for.
pub async fn what_does_not_exist_is_read_as_nothing(maker: &Maker) {
    let store = maker.store(16).await;
    let mut hand = Hand::new(&*store);
    let last = hand.put(&channel("room:a"), 3).await[2].position;
    let none = channel("room:b");
    assert_eq!(hand.head(&none).await, None);
    assert_eq!(store.namespace("match").await.unwrap(), Default::default());
    let page = store.page(&none, Position::START, last, ALL).await.unwrap();
    check_page(&[], &page, (Position::START, last), ALL, last);
    assert_eq!((page.trimmed_to, page.first_seq), (Position::START, 0));
    let range = store.range(space("match"), Position::START, last, ALL).await.unwrap();
    check_page(&[], &range, (Position::START, last), ALL, last);
    let page = store.before(&none, Position::END, ALL).await.unwrap();
    check_before(&[], &page, Position::END, ALL);
    store.trim(&none, last).await.unwrap();
    assert_eq!(hand.head(&none).await, None, "trimming nothing made a record");
}

/// Namespaces are told apart by their whole name.
// Mutant: records found by the first letters of the namespace -> `roomy:` is answered for `room`.
pub async fn a_namespace_answers_all_its_records_and_no_other(maker: &Maker) {
    let store = maker.store(17).await;
    let mut hand = Hand::new(&*store);
    let names = ["room:a", "room:b", "room:a:x", "roomy:a", "roo:m", "$room:a", "room-a:a"];
    for (count, name) in names.into_iter().enumerate() {
        hand.put(&channel(name), count + 1).await;
    }
    let mut found = store.namespace("room").await.unwrap().channels;
    found.sort_by(|one, other| one.0.cmp(&other.0));
    assert!(found.iter().map(|(name, head)| (name.as_str(), head.seq)).eq([
        ("room:a", 1),
        ("room:a:x", 3),
        ("room:b", 2)
    ]));
    for (name, head) in found {
        assert_eq!(Some(head), hand.head(&name).await);
    }
}

/// Many channels at once: appends, records, ranges, news and marks are all complete.
// Mutant: a follower that moves its head before all marks are told -> some are missing.
pub async fn ten_thousand_channels(maker: &Maker) {
    let store = maker.store(18).await;
    let mut hand = Hand::new(&*store);
    let mut listener = Listener::new(&*store, Position::START, Default::default());
    let channels: Vec<_> = (0..10_000).map(|number| channel(&format!("match:{number}"))).collect();
    for some in channels.chunks(APPEND_EVENTS_MAX / 2) {
        let entries =
            some.iter().map(|channel| entry(channel, Place::First { prev: Position::START }, "", true));
        let behind =
            some.iter().enumerate().map(|(i, channel)| entry(channel, Place::Behind(i as u32), "", true));
        hand.append(entries.chain(behind).collect()).await.unwrap();
    }
    let head = hand.stored[hand.stored.len() - 1].position;
    let (mut read, mut place) = (0, Position::START);
    while place < head {
        let page = store
            .range(space("match"), place, head, PageLimit { events: 999, bytes: usize::MAX })
            .await
            .unwrap();
        assert!(page.events.iter().eq(&hand.stored[read..read + page.events.len()]));
        (read, place) = (read + page.events.len(), page.complete_to);
    }
    assert_eq!(read, hand.stored.len());
    assert_eq!(store.namespace("match").await.unwrap().channels.len(), channels.len());
    listener.until(head).await;
    assert!(listener.events().eq(&hand.stored));
    for channel in &channels {
        let head = hand.head(channel).await.unwrap();
        store.trim(channel, head.position).await.unwrap();
    }
    let last = hand.put(&channel("room:end"), 1).await[0].position;
    listener.until(last).await;
    for (channel, head) in store.namespace("match").await.unwrap().channels {
        assert_eq!(listener.records[&channel], as_told(head));
        assert_eq!((head.trimmed_to, head.first_seq), (head.position, head.seq + 1));
    }
}
