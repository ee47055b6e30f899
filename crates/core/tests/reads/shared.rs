//! Readers that come near each other share the reads of the store.

use sosik_core::limits;
use tokio::task::JoinSet;

use super::*;

/// Opens readers behind each of `places` and drains them side by side.
async fn crowd(rig: &Rig, set: &[&str], places: impl Iterator<Item = Start>) -> Vec<Vec<Arc<Event>>> {
    let mut readers = JoinSet::new();
    for (i, start) in places.enumerate() {
        let mut reader = rig.read(set, start).await;
        readers.spawn(async move { (i, drain(&mut reader).await) });
    }
    let mut seen: Vec<_> = readers.join_all().await;
    seen.sort_by_key(|(i, _)| *i);
    seen.into_iter()
        .map(|(_, (events, gaps))| {
            assert_eq!(gaps, 0);
            events
        })
        .collect()
}

// Mutants, each planted and seen to fail: nothing is held; a read under way is not joined; the lowest place of those who
// wait not remembered.
#[tokio::test]
async fn a_crowd_that_comes_back_after_a_restart_reads_a_handful_of_pages() {
    for set in [&["room:a"], &["room:*"]] {
        let mut rig = Rig::dawdling().await;
        let all = rig.publish(&vec!["room:a"; 1_000]).await;
        rig.restart().await;
        rig.reads();
        // Up to a hundred events behind, those that are furthest behind come last.
        let places: Vec<_> = (0..5_000).map(|i| all.len() - 1 - i / 50).collect();
        let seen = crowd(&rig, set, places.iter().map(|&at| behind(&all[at]))).await;
        let reads = rig.reads();
        assert!(reads <= 4, "{reads} reads for {set:?}");
        for (events, at) in seen.iter().zip(&places) {
            let positions = events.iter().map(|event| event.position);
            assert!(positions.eq(all[at + 1..].iter().map(|published| published.position)));
        }
    }
}

// Mutants: an answer not kept -> a read for each; kept whatever has happened since -> the last events of yesterday.
#[tokio::test]
async fn a_crowd_that_asks_for_the_last_events_reads_them_once() {
    let mut rig = Rig::dawdling().await;
    let all = rig.publish(&["room:a"; 100]).await;
    rig.restart().await;
    rig.reads();
    let mut readers = JoinSet::new();
    for _ in 0..200 {
        let node = rig.running.node.clone();
        readers.spawn(async move {
            node.read(grant(SPACES), &patterns(&["room:a"]), Start::Last(10), 1).await.unwrap()
        });
    }
    for mut reader in readers.join_all().await {
        let (events, gaps) = drain(&mut reader).await;
        assert_eq!((events.len(), gaps, events[0].position), (10, 0, all[90].position));
    }
    let reads = rig.reads();
    assert!(reads <= 3, "{reads} reads");
    let more = rig.publish(&["room:a"; 2]).await;
    let (events, _) = drain(&mut rig.read(&["room:a"], Start::Last(10)).await).await;
    assert_eq!((events.len(), events[9].position), (10, more[1].position));
}

// Mutant: each reader decodes for itself -> as many encodings as readers.
#[tokio::test]
async fn events_that_are_read_back_are_decoded_once_for_all() {
    let mut rig = Rig::new().await;
    let all = rig.publish(&["room:a"; 100]).await;
    rig.restart().await;
    let seen = crowd(&rig, &["room:a"], (0..100).map(|_| behind(&all[9]))).await;
    for events in &seen {
        assert!(events.iter().zip(&seen[0]).all(|(own, first)| Arc::ptr_eq(own, first)));
    }
}

// Mutant: whoever joins another's read waits for that reader -> the others hang.
#[tokio::test]
async fn a_reader_that_leaves_takes_nobody_elses_read_with_it() {
    let mut rig = Rig::new().await;
    let all = rig.publish(&["room:a"; 100]).await;
    rig.restart().await;
    let held = rig.stores[1].reading.clone().write_owned().await;
    let (mut first, mut second) = (JoinSet::new(), JoinSet::new());
    for readers in [&mut first, &mut second] {
        for _ in 0..3 {
            let mut reader = rig.read(&["room:a"], behind(&all[9])).await;
            readers.spawn(async move { drain(&mut reader).await.0.len() });
        }
        settle().await;
    }
    first.shutdown().await;
    drop(held);
    assert_eq!(second.join_all().await, [90, 90, 90]);
}

// Mutant: the bound left out -> everything that was ever read stays.
#[tokio::test]
async fn what_is_held_is_bounded_and_goes_when_nobody_uses_it() {
    let mut rig = Rig::new().await;
    let data = vec![b'1'; 10_000];
    for _ in 0..20 {
        let drafts: Vec<_> = (0..100).map(|_| draft("room:a", data.clone())).collect();
        rig.running.node.publish(&grant(SPACES), drafts, 1).await.unwrap();
    }
    rig.restart().await;
    rig.reads();
    let (events, _) = drain(&mut rig.read(&["room:a"], Start::Beginning).await).await;
    let whole = rig.reads();
    drop(events);
    let (events, _) = drain(&mut rig.read(&["room:a"], Start::Beginning).await).await;
    assert!(rig.reads() >= whole / 2, "more is held than may be");
    let held = events.iter().map(Arc::downgrade).collect();
    drop(events);
    let bytes = |held: &Vec<std::sync::Weak<Event>>| {
        held.iter().filter_map(|event| event.upgrade()).map(|event| event.data.bytes().len()).sum::<usize>()
    };
    assert!(bytes(&held) > 0, "nothing is held");
    assert!(bytes(&held) <= limits::READS_HELD_BYTES_MAX, "{} bytes", bytes(&held));
    for now in 1..4 {
        rig.running.node.tick(now * 10_000);
    }
    assert_eq!(bytes(&held), 0, "nobody has come for it");
}

// Mutant: the bound of what is held left out -> everything is in memory at once.
#[tokio::test]
async fn a_reader_very_far_behind_holds_a_page_and_nothing_else() {
    let mut rig = Rig::new().await;
    let data = vec![b'1'; 10_000];
    for _ in 0..24 {
        let drafts: Vec<_> = (0..100).map(|_| draft("room:a", data.clone())).collect();
        rig.running.node.publish(&grant(SPACES), drafts, 1).await.unwrap();
    }
    rig.restart().await;
    let mut reader = rig.read(&["room:a"], Start::Beginning).await;
    let (mut page, mut seen, mut most) = (Page::default(), Vec::new(), 0);
    loop {
        match reader.look(1, ALL, &mut page).unwrap() {
            Look::Nothing => break,
            Look::Below => reader.fetch().await.unwrap(),
            Look::Found => {
                for item in &page.items {
                    if let What::Event(event) = &item.what {
                        seen.push(Arc::downgrade(event));
                    }
                }
                reader.took(&page, page.items.len());
            }
        }
        most = most.max(seen.iter().filter(|event| event.strong_count() > 0).count() * data.len());
    }
    assert_eq!(seen.len(), 2_400);
    let bound = limits::READS_HELD_BYTES_MAX + 2 * limits::PAGE_BYTES_MAX;
    assert!(most <= bound, "{most} bytes at once");
}

// Mutant: the count of forgotten channels not compared -> events of a channel that was forgotten come back.
#[tokio::test]
async fn nothing_comes_out_of_a_read_that_was_forgotten_or_trimmed_since() {
    let mut rig = Rig::new().await;
    let all = rig.publish(&["shot:a", "shot:b", "room:a", "room:a", "room:a"]).await;
    rig.restart().await;
    let seen = crowd(&rig, &["shot:*", "room:a"], [Start::Beginning].into_iter()).await;
    assert_eq!(seen[0].len(), 5);
    let log = rig.running.node.log(LogId::Memory);
    log.forget(&channel("shot:a")).await.unwrap();
    log.trim(&channel("room:a"), all[3].position, 3).await.unwrap();
    rig.reads();
    let (events, gaps) = drain(&mut rig.read(&["shot:*", "room:a"], Start::Beginning).await).await;
    let positions: Vec<_> = events.iter().map(|event| event.position).collect();
    assert_eq!(positions, [all[1].position, all[4].position]);
    assert_eq!(gaps, 2);
    assert_eq!(rig.reads(), 1, "the channel that was trimmed is not read again");
    assert!(positions.iter().all(|position| *position > Position::START));
}

// Mutant: one event for each of many members -> as many reads as events, for each member.
#[tokio::test]
async fn many_channels_that_are_behind_are_read_in_few_rounds() {
    let mut rig = Rig::new().await;
    let names: Vec<_> = (0..200).map(|i| format!("room:{i}")).collect();
    for _ in 0..8 {
        rig.publish(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    }
    rig.restart().await;
    rig.reads();
    let set: Vec<_> = names.iter().map(String::as_str).collect();
    let (events, gaps) = drain(&mut rig.read(&set, Start::Beginning).await).await;
    assert_eq!((events.len(), gaps), (1_600, 0));
    let reads = rig.reads();
    assert!(reads <= 600, "{reads} reads of 200 channels with 8 events each");
}
