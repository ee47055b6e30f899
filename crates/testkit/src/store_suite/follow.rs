//! News: everything above a place, in order, once, with the marks of what is missing.

use std::ops::Range;

use sosik_core::{
    cursor::Position,
    store::{Batch, Change, Place, Store},
};
use tokio::task::JoinSet;

use super::{
    ALL, Listener, Maker, channel, check_page, entry,
    hand::{Hand, after},
    listener::as_told,
    space,
};

/// From 0, from the middle, from the head.
// Mutant: the place itself told again -> fails.
pub async fn follow_tells_everything_above_its_place(maker: &Maker) {
    let store = maker.store(31).await;
    let mut hand = Hand::new(&*store);
    for _ in 0..10 {
        hand.put(&channel("room:a"), 2).await;
        hand.put(&channel("match:b"), 1).await;
    }
    let places = [Position::START].into_iter().chain(hand.stored.iter().map(|event| event.position));
    let mut listeners: Vec<_> =
        places.map(|place| Listener::new(&*store, place, Default::default())).collect();
    hand.put(&channel("room:a"), 3).await;
    let last = hand.stored[32].position;
    for (told, listener) in listeners.iter_mut().enumerate() {
        listener.until(last).await;
        assert!(listener.events().eq(&hand.stored[told..]), "from {:?}", listener.after);
        assert_eq!(listener.head, last);
    }
}

/// A follower that keeps up and one that sleeps hear the same.
// Mutant: each answer beginning with the last event of the one before -> fails.
pub async fn follow_goes_on_while_events_come(maker: &Maker) {
    let store = maker.store(32).await;
    let mut hand = Hand::new(&*store);
    let mut awake = Listener::new(&*store, Position::START, Default::default());
    let mut sleepy = Listener::new(&*store, Position::START, Default::default());
    for _ in 0..50 {
        let placed = hand.put(&channel("room:a"), 1).await[0];
        awake.until(placed.position).await;
    }
    sleepy.until(awake.head).await;
    assert!(awake.events().eq(&hand.stored) && sleepy.events().eq(&hand.stored));
}

/// What one follower was told is not gone for the other.
// Mutant: events dropped when one follower has them -> the other waits for ever.
pub async fn two_followers_hear_the_same(maker: &Maker) {
    let store = maker.store(33).await;
    let mut hand = Hand::new(&*store);
    let (own, signals) = (channel("room:a"), channel("typing:a"));
    let mut one = Listener::new(&*store, Position::START, Default::default());
    let mut other = Listener::new(&*store, Position::START, Default::default());
    let placed = hand.put(&own, 4).await;
    hand.put_as(&signals, 2, false).await;
    one.until(placed[1].position).await;
    drop(Listener::new(&*store, Position::START, Default::default()));
    store.trim(&own, placed[0].position).await.unwrap();
    let last = hand.put(&own, 1).await[0].position;
    one.until(last).await;
    other.until(last).await;
    assert!(one.events().filter(|event| event.seq > 1).eq(other.events().filter(|event| event.seq > 1)));
    assert_eq!(one.records, other.records);
}

/// A wait that is given up at any moment leaves the news for the next one.
// Mutant: the place moved before the news is handed over, with an await between -> events are missing.
pub async fn a_cancelled_wait_loses_nothing(maker: &Maker) {
    let store = maker.store(34).await;
    let mut hand = Hand::new(&*store);
    let mut listener = Listener::new(&*store, Position::START, Default::default());
    let own = channel("room:a");
    for round in 0..20 {
        for _ in 0..round % 4 {
            listener.glance().await;
        }
        let placed = hand.put(&own, 1 + round % 3).await;
        if round % 5 == 0 {
            store.trim(&own, placed[0].position).await.unwrap();
        }
    }
    let last = hand.put(&own, 1).await[0].position;
    for _ in 0..100_000 {
        if listener.head < last && !listener.glance().await {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(listener.head, last, "cancelled waits never come to an end");
    assert_eq!(listener.records[&own], as_told(hand.head(&own).await.unwrap()));
    let missed = hand.stored.iter().filter(|&event| listener.events().all(|told| told != event));
    for event in missed {
        assert!(listener.knows_gone(&own, event.position), "{event:?} was neither told nor told gone");
    }
}

/// News that holds no event wakes a waiting follower like any other.
// Mutants: trimming not signalled to a waiting follower; a follower that looks first and begins to watch for changes one
// poll later -> nothing is told.
pub async fn a_waiting_follower_is_woken_by_a_trim_and_by_a_forgotten_channel(maker: &Maker) {
    let store = maker.store(30).await;
    let mut hand = Hand::new(&*store);
    let own = channel("match:a");
    let mut listener = Listener::new(&*store, Position::START, Default::default());
    let placed = hand.put(&own, 2).await;
    listener.until(placed[1].position).await;
    let trim = async {
        tokio::task::yield_now().await;
        store.trim(&own, placed[0].position).await.unwrap();
    };
    tokio::join!(listener.until_change(3), trim);
    assert_eq!(listener.records[&own], as_told(hand.head(&own).await.unwrap()));
    let forget = async {
        tokio::task::yield_now().await;
        store.forget(&own).await.unwrap();
    };
    tokio::join!(listener.until_change(4), forget);
    assert_eq!(listener.records.len(), 0);
    assert_eq!(listener.head, placed[1].position);
}

/// A follower that keeps up hears an event, then its end, then the next event.
// Mutant: no notice of trimming -> fails.
pub async fn a_trim_is_told_before_the_event_behind_it(maker: &Maker) {
    let store = maker.store(35).await;
    let mut hand = Hand::new(&*store);
    let own = channel("room:a");
    let mut listener = Listener::new(&*store, Position::START, Default::default());
    let placed = hand.put(&own, 3).await;
    listener.until(placed[2].position).await;
    let to = placed[1].position;
    store.trim(&own, to).await.unwrap();
    let last = hand.put(&own, 1).await[0].position;
    listener.until(last).await;
    let tail: Vec<_> = listener.changes.iter().skip(3).cloned().collect();
    let told = Change::Trimmed { channel: own.clone(), to, first_seq: 3 };
    assert_eq!(tail, [told, Change::Event(hand.stored[3].clone())]);
    assert_eq!(listener.records[&own], as_told(hand.head(&own).await.unwrap()));
}

/// A sleepy follower misses only what it is told to be gone, at every step of its head.
// Mutants: the notice told after the events; the head moved while notices are still to come -> both fail.
pub async fn what_is_removed_before_it_was_told_is_told_as_removed(maker: &Maker) {
    let store = maker.store(36).await;
    let mut hand = Hand::new(&*store);
    let (own, gone) = (channel("room:a"), channel("match:a"));
    let mut listener = Listener::new(&*store, Position::START, Default::default());
    for round in 0..30 {
        let placed = hand.put(&own, 3).await;
        store.trim(&own, placed[round % 3].position).await.unwrap();
        if round == 15 {
            hand.put(&gone, 2).await;
        }
    }
    store.forget(&gone).await.unwrap();
    let last = hand.stored[hand.stored.len() - 1].position;
    while listener.head < last {
        listener.hear().await;
        for event in hand.stored.iter().filter(|event| event.position <= listener.head) {
            let known = listener.events().any(|told| told == event)
                || listener.knows_gone(&event.channel, event.position);
            assert!(known, "the head {:?} passed {event:?} in silence", listener.head);
        }
    }
    let left = store.page(&own, Position::START, last, ALL).await.unwrap();
    assert!(left.events.iter().all(|event| listener.events().any(|told| told == event)));
}

/// A name's second life is told after the end of its first.
// Mutant: being forgotten not told, or told behind the new events -> fails.
pub async fn a_reused_name_is_told_as_forgotten_first(maker: &Maker) {
    let store = maker.store(37).await;
    let mut hand = Hand::new(&*store);
    let own = channel("match:a");
    let mut awake = Listener::new(&*store, Position::START, Default::default());
    let sleepy = Listener::new(&*store, Position::START, Default::default());
    let mut mark = Position::START;
    for _ in 0..4 {
        let entries =
            vec![entry(&own, Place::First { prev: mark }, "", true), entry(&own, Place::Behind(0), "", true)];
        let placed = hand.append(entries).await.unwrap();
        awake.until(placed[1].position).await;
        store.trim(&own, placed[0].position).await.unwrap();
        mark = store.forget(&own).await.unwrap();
    }
    let entries = vec![entry(&own, Place::First { prev: mark }, "", true)];
    let last = hand.append(entries).await.unwrap()[0];
    let record = hand.head(&own).await;
    for mut listener in [awake, sleepy] {
        listener.until(last.position).await;
        assert_eq!(listener.records.get(&own).copied(), record.map(as_told));
        let end = listener.changes.len();
        let forgotten =
            listener.changes.iter().rposition(|change| matches!(change, Change::Forgotten { .. }));
        assert_eq!(forgotten, Some(end - 2), "{:?}", listener.changes);
        assert!(matches!(&listener.changes[end - 2], Change::Forgotten { mark: told, .. } if *told >= mark));
    }
}

/// A signal has a place and a number like any event, and is nowhere but in the news.
// Mutants: signals in pages; signals not counted -> both fail.
pub async fn signals_are_told_and_counted_but_in_no_page(maker: &Maker) {
    let store = maker.store(38).await;
    let mut hand = Hand::new(&*store);
    let (own, kept) = (channel("typing:a"), channel("room:a"));
    let mut listener = Listener::new(&*store, Position::START, Default::default());
    for _ in 0..5 {
        hand.put_as(&own, 3, false).await;
        hand.put(&kept, 1).await;
    }
    let last = hand.put_as(&own, 1, false).await[0].position;
    let head = hand.head(&own).await.unwrap();
    assert_eq!((head.seq, head.position, head.trimmed_to, head.first_seq), (16, last, Position::START, 17));
    listener.until(last).await;
    assert!(listener.events().eq(&hand.stored));
    assert_eq!(listener.records[&own], as_told(head));
    let page = store.page(&own, Position::START, last, ALL).await.unwrap();
    check_page(&[], &page, (Position::START, last), ALL, last);
    let range = store.range(space("typing"), Position::START, last, ALL).await.unwrap();
    check_page(&[], &range, (Position::START, last), ALL, last);
    assert!(store.before(&own, Position::END, ALL).await.unwrap().events.is_empty());
}

/// Four writers and two followers on threads of their own, all at once.
// Mutant: appends not signalled to waiting followers -> nothing is told.
pub async fn appends_from_many_threads_are_told_once_and_in_order(maker: &Maker) {
    let store = maker.store(39).await;
    let threads =
        tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_time().build().unwrap();
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let store = store.clone();
        let own = async move { write(&*store, writer, 0..EVENTS_EACH as u64).await };
        writers.spawn_on(own, threads.handle());
    }
    let mut followers = JoinSet::new();
    for _ in 0..2 {
        let mut listener = Listener::new(&*store, Position::START, Default::default());
        followers.spawn_on(
            async move {
                let all = WRITERS as usize * EVENTS_EACH;
                while listener.events().count() < all {
                    listener.hear().await;
                }
                listener
            },
            threads.handle(),
        );
    }
    while let Some(done) = writers.join_next().await {
        done.unwrap();
    }
    let mut heard = followers.join_all().await;
    let (one, other) = (heard.remove(0), heard.remove(0));
    assert!(one.events().eq(other.events()));
    assert_eq!(one.records, other.records);
    for writer in 0..WRITERS {
        let own = channel(&format!("room:{writer}"));
        let page = store.page(&own, Position::START, one.head, ALL).await.unwrap();
        let told: Vec<_> = one.events().filter(|event| event.channel == own).cloned().collect();
        assert_eq!(told.len(), EVENTS_EACH);
        check_page(&told, &page, (Position::START, one.head), ALL, one.head);
    }
    threads.shutdown_background();
}

async fn write(store: &dyn Store, writer: u128, numbers: Range<u64>) {
    let own = channel(&format!("room:{writer}"));
    for number in numbers {
        let place = after(store.channel(&own).await.unwrap());
        let id = writer << 64 | u128::from(number);
        store.append(Batch::new(id, vec![entry(&own, place, "", true)])).await.unwrap();
    }
}

const WRITERS: u128 = 4;
const EVENTS_EACH: usize = 200;
