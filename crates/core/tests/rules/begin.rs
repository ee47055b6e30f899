//! Rule 7: where reading begins.

use super::*;

// Mutant: the floor of `last` is the N-th last event itself -> one too few.
#[tokio::test]
async fn last_tells_the_last_of_each_channel_and_no_gap() {
    for restarts in [false, true] {
        let mut rig = Rig::new().await;
        let a = rig.publish_each(&["room:a", "room:a", "room:b", "room:a", "room:b", "room:a"]).await;
        rig.trim("room:a", &a[0]).await;
        if restarts {
            rig.restart().await;
        }
        let set = ["room:a", "room:b"];
        assert_eq!(rig.told(&set, Start::Last(1)).await, ["room:b#2", "room:a#4"]);
        let told = rig.told(&set, Start::Last(2)).await;
        assert_eq!(told, ["room:b#1", "room:a#3", "room:b#2", "room:a#4"]);
        let told = rig.told(&set, Start::Last(9)).await;
        assert_eq!(told, ["room:a#2", "room:b#1", "room:a#3", "room:b#2", "room:a#4"], "fewer are left");
        assert_eq!(rig.told(&set, Start::Last(0)).await, [""; 0]);
    }
}

// Mutants: the feed starts at 0 instead of its floor -> too many; no floors of the channels -> gaps.
#[tokio::test]
async fn last_of_a_prefix_counts_over_all_of_it() {
    for restarts in [false, true] {
        let mut rig = Rig::new().await;
        let a = rig.publish_each(&["room:a", "room:b", "room:a", "room:c", "room:b", "room:c"]).await;
        rig.trim("room:a", &a[2]).await;
        if restarts {
            rig.restart().await;
        }
        assert_eq!(rig.told(&["room:*"], Start::Last(2)).await, ["room:b#2", "room:c#2"]);
        let told = rig.told(&["room:*"], Start::Last(50)).await;
        assert_eq!(told, ["room:b#1", "room:c#1", "room:b#2", "room:c#2"], "no gap for what was not asked");
    }
}

// Mutant: the floor of a name's first event without its `prev` -> a gap for what was not asked.
#[tokio::test]
async fn last_tells_nothing_of_channels_that_were_forgotten_before() {
    for restarts in [false, true] {
        let mut rig = Rig::new().await;
        rig.publish_each(&["shot:a", "shot:b", "shot:b"]).await;
        rig.forget("shot:b").await;
        rig.publish_each(&["shot:b", "shot:c"]).await;
        if restarts {
            rig.restart().await;
        }
        assert_eq!(rig.told(&["shot:b"], Start::Last(9)).await, ["shot:b#4"]);
        assert_eq!(rig.told(&["shot:*"], Start::Last(9)).await, ["shot:a#1", "shot:b#4", "shot:c#5"]);
    }
}

// Mutant: marks at or below the one seen at the beginning left out for ever -> what is forgotten later is not told.
#[tokio::test]
async fn what_is_forgotten_after_last_was_asked_is_told() {
    for set in [["shot:a"], ["shot:*"]] {
        let rig = Rig::new().await;
        rig.publish_each(&["shot:a", "shot:z"]).await;
        rig.forget("shot:z").await;
        let mut reader = rig.read(&set, Start::Last(9)).await;
        // The mark of the namespace stays where it is.
        rig.forget("shot:a").await;
        assert_eq!(rig.drain(&mut reader).await, [format!("{} forgotten at 2 next ? lost ?", set[0])]);
    }
}

// Mutant: signals made to start at 0 -> old typing is told again.
#[tokio::test]
async fn signals_start_now_expire_and_leave_no_gap() {
    let mut rig = Rig::new().await;
    rig.publish_each(&["typing:a", "room:a"]).await;
    let told = rig.told(&["typing:a", "room:a"], Start::Beginning).await;
    assert_eq!(told, ["room:a#1"], "start is now for signals");
    assert_eq!(rig.told(&["typing:a", "room:a"], Start::Last(5)).await, ["room:a#1"], "last skips them");
    assert_eq!(rig.told(&["typing:a"], behind(0)).await, ["typing:a#1"], "a poll sees what came since");
    rig.now += 10_000;
    assert_eq!(rig.told(&["typing:a"], behind(0)).await, [""; 0], "gone without a mark");
    for _ in 0..300 {
        rig.publish(&["typing:b"]).await;
    }
    let told = rig.told(&["typing:b"], behind(0)).await;
    assert_eq!((told.len(), told[0].as_str()), (256, "typing:b#45"), "the newest 256 of a channel");
}

// Mutant: the bound of channels per look applied to signals -> looks for ever.
#[tokio::test]
async fn signals_of_any_number_of_channels_are_seen_through_a_prefix() {
    let rig = Rig::new().await;
    let mut reader = rig.read(&["typing:*"], Start::Now).await;
    let names: Vec<_> = (0..100).map(|i| format!("typing:{i}")).collect();
    rig.publish(&names.iter().map(|name| &**name).collect::<Vec<_>>()).await;
    assert_eq!(rig.drain(&mut reader).await.len(), 100);
}
