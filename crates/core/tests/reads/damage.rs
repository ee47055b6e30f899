//! Events that cannot be read: a gap in their place, wherever they stand.

use std::fmt::Write;

use sosik_core::{GapReason, Side, store};

use super::*;

/// Eight events of two channels, of which those are damaged that `damaged` names by their position, 1 to 8. Odd ones are
/// in `room:a`.
async fn eight(damaged: &[u64]) -> (Rig, Vec<Published>) {
    let mut rig = Rig::new().await;
    let mut all = Vec::new();
    for i in 0..8 {
        all.extend(rig.publish(&[["room:a", "room:b"][i % 2]]).await);
    }
    let damaged = damaged.iter().map(|at| Position::new(*at));
    rig.stores[1].damaged.lock().unwrap().extend(damaged);
    rig.restart().await;
    (rig, all)
}

/// Everything a reader is told of its channels, by position: an event as its position, a gap as `!` and where it stands.
async fn told(reader: &mut Reader, budget: Budget) -> String {
    let (mut page, mut out) = (Page::default(), String::new());
    for _ in 0..1_000 {
        match reader.look(1, budget, &mut page).unwrap() {
            Look::Nothing => return out.trim_end().to_owned(),
            Look::Below => reader.fetch().await.unwrap(),
            Look::Found => {
                for item in &page.items {
                    match &item.what {
                        What::Event(event) => write!(out, "{} ", event.position.number()).unwrap(),
                        What::Gap(gap) => {
                            assert_eq!(gap.reason, GapReason::Trimmed);
                            write!(out, "!{} ", gap.part.position.number()).unwrap();
                        }
                        What::CaughtUp | What::Joined(_) => {}
                    }
                }
                reader.took(&page, page.items.len());
            }
        }
    }
    panic!("looks for ever: {out}");
}

// Mutants, each planted and seen to fail: an event that cannot be read left out of what was found; its mark left out;
// the page that it ends ends behind it.
#[tokio::test]
async fn a_reader_is_told_of_every_event_that_cannot_be_read_in_its_place() {
    for damaged in 0..256_u64 {
        let gone: Vec<_> = (1..=8).filter(|at| damaged & (1 << (at - 1)) != 0).collect();
        let (rig, _) = eight(&gone).await;
        for (set, wanted) in [(vec!["room:a"], 1), (vec!["room:*"], 3), (vec!["room:a", "room:b"], 3)] {
            for budget in [ALL, Budget { events: 1, bytes: 1 }] {
                let mut reader = rig.read(&set, Start::Beginning).await;
                let own = (1..=8).filter(|at| wanted == 3 || at % 2 == wanted);
                let expected: Vec<_> = own
                    .map(|at: u64| if gone.contains(&at) { format!("!{at}") } else { at.to_string() })
                    .collect();
                assert_eq!(told(&mut reader, budget).await, expected.join(" "), "{set:?} without {gone:?}");
            }
        }
    }
}

/// Walks the history of `room:a` in one direction: events as numbers, gaps as `!` and where they stand.
async fn walk(rig: &Rig, limit: usize, up: bool) -> Vec<String> {
    let (grant, channel) = (grant(SPACES), channel("room:a"));
    let mut cursor: Option<Cursor> = None;
    let mut all: Vec<String> = Vec::new();
    let start = Part { log: LogId::Memory, epoch: Epoch::new(2), position: Position::START };
    for _ in 0..100 {
        let side = match up {
            true => Side::After(cursor.clone().unwrap_or_else(|| Cursor::new([start]))),
            false => Side::Before(cursor.clone()),
        };
        let page = rig.running.node.history(&grant, &channel, side, limit, 1).await.unwrap();
        let gap = page.gap.iter().map(|gap| {
            let first = page.events.first().map(|event| event.seq);
            assert!(first.is_none_or(|first| gap.next_seq == Some(first)), "{page:?}");
            format!("!{}", gap.part.position.number())
        });
        let part: Vec<_> =
            gap.chain(page.events.iter().map(|event| event.position.number().to_string())).collect();
        all.splice(if up { all.len()..all.len() } else { 0..0 }, part);
        if !page.more {
            return all;
        }
        assert_ne!(Some(&page.cursor), cursor.as_ref(), "asks for ever: {page:?}");
        cursor = Some(page.cursor);
    }
    panic!("asks for ever");
}

// Mutants, each planted and seen to fail: what cannot be read left out in silence; a page of nothing else goes on where
// it was asked; events above and below what is missing in one page, in each direction.
#[tokio::test]
async fn history_says_what_cannot_be_read_and_goes_on() {
    for damaged in 0..16_u64 {
        let gone: Vec<_> = (0..4).filter(|i| damaged & (1 << i) != 0).map(|i| i * 2 + 1).collect();
        let (rig, _) = eight(&gone).await;
        for limit in 1..5 {
            for up in [true, false] {
                let all = walk(&rig, limit, up).await;
                for at in [1, 3, 5, 7_u64] {
                    let here = all.contains(&at.to_string());
                    assert_eq!(here, !gone.contains(&at), "{at} of {all:?} without {gone:?}");
                }
                // Whatever is gone has a gap between its neighbours.
                let numbers = all.iter().map(|text| text.trim_start_matches('!').parse::<u64>().unwrap());
                assert!(numbers.is_sorted(), "{all:?}");
                for at in &gone {
                    let above = all.iter().position(|text| text.parse::<u64>().is_ok_and(|own| own > *at));
                    let before = &all[..above.unwrap_or(all.len())];
                    let below = before.iter().rev().take_while(|text| text.starts_with('!'));
                    assert!(below.count() > 0, "{at} is gone in silence: {all:?}");
                }
            }
        }
    }
}

#[tokio::test]
async fn history_tells_what_was_trimmed() {
    let (rig, all) = eight(&[]).await;
    let log = rig.running.node.log(LogId::Memory);
    log.trim(&channel("room:a"), all[2].position, 3).await.unwrap();
    for limit in 1..5 {
        assert_eq!(walk(&rig, limit, true).await, ["!3", "5", "7"]);
        assert_eq!(walk(&rig, limit, false).await, ["!3", "5", "7"]);
    }
    log.trim(&channel("room:a"), all[6].position, 5).await.unwrap();
    assert_eq!(walk(&rig, 2, true).await, ["!7"]);
    assert_eq!(walk(&rig, 2, false).await, ["!7"]);
}

// Mutants, each planted and seen to fail: what a page says of the event before not looked at, in each direction; events
// at or below the mark that came with them served.
#[tokio::test]
async fn a_page_of_history_that_was_trimmed_while_it_was_read_has_its_gap() {
    let without_the_third = |page: &mut store::Page| {
        page.events.retain(|event| event.position != Position::new(5));
    };
    let marked_late = |page: &mut store::Page| {
        (page.trimmed_to, page.first_seq) = (Position::new(3), 3);
    };
    let (rig, _) = eight(&[]).await;
    let (grant, name) = (grant(SPACES), channel("room:a"));
    let start = Cursor::new([Part { log: LogId::Memory, epoch: Epoch::new(2), position: Position::START }]);
    for side in [Side::After(start), Side::Before(None)] {
        let up = side != Side::Before(None);
        *rig.stores[1].edit.lock().unwrap() = Some(without_the_third);
        let page = rig.running.node.history(&grant, &name, side.clone(), 9, 1).await.unwrap();
        let positions: Vec<_> = page.events.iter().map(|event| event.position.number()).collect();
        let gap = page.gap.map(|gap| (gap.part.position.number(), gap.next_seq));
        match up {
            true => assert_eq!((positions, gap), (vec![1, 3], None), "the next page begins with it"),
            false => assert_eq!((positions, gap), (vec![7], Some((5, Some(4))))),
        }
        assert!(page.more);
        *rig.stores[1].edit.lock().unwrap() = Some(marked_late);
        let page = rig.running.node.history(&grant, &name, side, 9, 1).await.unwrap();
        let positions: Vec<_> = page.events.iter().map(|event| event.position.number()).collect();
        assert_eq!((positions, page.gap.unwrap().part.position), (vec![5, 7], Position::new(3)));
    }
}
