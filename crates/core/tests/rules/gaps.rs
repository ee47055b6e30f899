//! Rule 4: gaps.

use super::*;

// Mutants: `gap_before` left out; `lost` counted with the event itself -> fails.
#[tokio::test]
async fn a_gap_stands_at_the_prev_of_the_first_event_that_is_left() {
    for restarts in [false, true] {
        let mut rig = Rig::new().await;
        let a = rig.publish_each(&["room:a", "room:b", "room:a", "room:a"]).await;
        rig.trim("room:a", &a[2]).await;
        if restarts {
            rig.restart().await;
        }
        let told = rig.told(&["room:a", "room:b"], behind(1)).await;
        assert_eq!(told, ["room:b#1", "room:a trimmed at 3 next 3 lost ?", "room:a#3"]);
        let told = rig.told(&["room:a"], Start::Beginning).await;
        assert_eq!(told, ["room:a trimmed at 3 next 3 lost 2", "room:a#3"], "lost is known from the start");
        assert_eq!(rig.told(&["room:a"], behind(3)).await, ["room:a#3"], "above the mark nothing is missing");
    }
}

// Mutant: a channel without events in the page tells no mark -> silence.
#[tokio::test]
async fn a_channel_of_which_nothing_is_left_tells_its_mark() {
    for restarts in [false, true] {
        let mut rig = Rig::new().await;
        let a = rig.publish_each(&["room:a", "room:a", "room:b"]).await;
        rig.trim("room:a", &a[1]).await;
        if restarts {
            rig.restart().await;
        }
        let told = rig.told(&["room:a", "room:b"], behind(1)).await;
        assert_eq!(told, ["room:a trimmed at 2 next 3 lost ?", "room:b#1"]);
        assert_eq!(rig.told(&["room:a", "room:b"], behind(2)).await, ["room:b#1"]);
        let told = rig.told(&["room:*"], behind(1)).await;
        assert_eq!(told, ["room:a trimmed at 2 next 3 lost ?", "room:b#1"], "one alone is told by its name");
    }
}

// Mutant: the marks sorted from the highest -> the gap stands behind what it should stand before.
#[tokio::test]
async fn many_marks_under_a_prefix_are_one_gap_at_the_lowest() {
    let rig = Rig::new().await;
    let a = rig.publish_each(&["room:a", "room:b", "room:c", "room:a", "room:b", "room:d"]).await;
    rig.trim("room:a", &a[3]).await;
    rig.trim("room:b", &a[4]).await;
    let told = rig.told(&["room:*"], Start::Beginning).await;
    assert_eq!(told, ["room:c#1", "room:* trimmed at 4 next ? lost ?", "room:d#1"]);
    let one = Budget { events: 1, bytes: 1 };
    let told = rig.drain_by(&mut rig.read(&["room:*"], Start::Beginning).await, one, 1).await;
    let apart =
        ["room:c#1", "room:* trimmed at 4 next ? lost ?", "room:b trimmed at 5 next 3 lost ?", "room:d#1"];
    assert_eq!(told, apart, "whoever stops behind the lowest is told of the rest when it comes back");
}

// Mutant: each item carries its own position -> a client that stops after the first gap never hears of the second.
#[tokio::test]
async fn of_items_at_one_position_only_the_last_carries_it() {
    let mut rig = Rig::new().await;
    let held = after(LogId::Memory, 77, 5);
    rig.publish_each(&["room:a", "room:b"]).await;
    let mut reader = rig.read(&["room:a", "room:b"], held).await;
    let mut page = Page::default();
    assert_eq!(reader.look(rig.now, ALL, &mut page).unwrap(), Look::Found);
    let parts = page.items.iter().map(|item| match (&item.cursor, &item.what) {
        (Some(cursor), _) => cursor.part(LogId::Memory).unwrap(),
        (None, What::Event(event)) => event.part(),
        (None, other) => panic!("{other:?}"),
    });
    let parts: Vec<_> = parts.map(|part| (part.epoch.bits(), part.position.number())).collect();
    assert_eq!(parts, [(77, 5), (2, 0), (2, 1), (2, 2)]);
    // Stopped between the two gaps: both come again, on this node and on the next.
    reader.took(&page, 1);
    let again = rig.drain(&mut reader).await;
    assert_eq!(again.len(), 4, "{again:?}");
    rig.restart().await;
}

// Mutant: `marks_before` left out -> the gap is passed in silence.
#[tokio::test]
async fn a_gap_below_an_event_of_a_later_page_does_not_wait_for_it() {
    for restarts in [false, true] {
        let mut rig = Rig::new().await;
        // A name that was used before, and is used again behind events of another channel.
        rig.publish_each(&["shot:a", "shot:a"]).await;
        rig.forget("shot:a").await;
        rig.publish_each(&["shot:b", "shot:b", "shot:a"]).await;
        if restarts {
            rig.restart().await;
        }
        let one = Budget { events: 1, bytes: 1 };
        let mut reader = rig.read(&["shot:a", "shot:b"], behind(0)).await;
        let told = rig.drain_by(&mut reader, one, 1).await;
        assert!(told.contains(&"shot:a forgotten at 2 next 5 lost ?".to_owned()), "{told:?}");
    }
}

// Mutant: the mark that a page brings along not taken -> what another node has trimmed is passed in silence.
#[tokio::test]
async fn a_mark_that_was_raised_elsewhere_comes_with_the_page() {
    let mut rig = Rig::new().await;
    let a = rig.publish_each(&["room:a", "room:a", "room:b"]).await;
    rig.restart().await;
    let mut reader = rig.read(&["room:a", "room:b"], Start::Beginning).await;
    assert_eq!(reader.look(rig.now, ALL, &mut Page::default()).unwrap(), Look::Below);
    // Not settled: this node has not heard of it.
    rig.stores[1].inner.trim(&channel("room:a"), a[1].position).await.unwrap();
    assert_eq!(rig.drain(&mut reader).await, ["room:a trimmed at 2 next 3 lost 2", "room:b#1"]);
}

// Mutant: `retain_kept` left out -> an event above the place hides that those below it are gone.
#[tokio::test]
async fn a_read_that_meets_a_removal_waits_for_what_the_store_says() {
    let mut rig = Rig::new().await;
    rig.publish(&["room:a", "room:a"]).await;
    rig.publish(&["room:b"; 300]).await;
    let a = rig.publish(&["room:a", "room:a"]).await;
    let first = a[0].position;
    rig.running.node.log(LogId::Memory).trim(&channel("room:a"), Position::new(2), 3).await.unwrap();
    rig.restart().await;
    let mut reader = rig.read(&["room:*"], Start::Beginning).await;
    let mut page = Page::default();
    assert_eq!(reader.look(rig.now, ALL, &mut page).unwrap(), Look::Below);
    reader.fetch().await.unwrap();
    // The first page ends below it. Now it is being removed, and the store takes its time.
    let held = rig.stores[1].trimming.clone().lock_owned().await;
    let log = rig.running.node.log(LogId::Memory).clone();
    let mut trim = Box::pin(async move { log.trim(&channel("room:a"), first, 4).await });
    assert!(is_ready(&mut trim).await.is_none());
    let told = {
        let mut drained = Box::pin(rig.drain(&mut reader));
        assert!(is_ready(&mut drained).await.is_none(), "nobody knows yet what is gone");
        drop(held);
        drained.await
    };
    let gap = format!("room:a trimmed at {} next 4 lost ?", first.number());
    assert_eq!(told[0], "room:a trimmed at 2 next 3 lost 2");
    assert_eq!(told[301..], [gap, "room:a#4".to_owned()]);
    is_ready(&mut trim).await.unwrap().unwrap();
}
