//! Rule 6: forgotten channels.

use super::*;

// Mutant: a first event numbered 1 where channels can be forgotten -> the reused name goes back.
#[tokio::test]
async fn the_first_number_of_a_name_that_can_be_forgotten_is_its_position() {
    let rig = Rig::new().await;
    rig.publish_each(&["room:a", "room:a"]).await;
    let first = rig.publish_each(&["shot:a", "shot:a"]).await;
    assert_eq!((first[0].seq, first[1].seq), (3, 4));
    rig.forget("shot:a").await;
    let again = rig.publish_each(&["room:a", "shot:a"]).await;
    assert_eq!(again[1].seq, 6, "a reused name never goes back");
    let told = rig.told(&["shot:a"], behind(3)).await;
    assert_eq!(told, ["shot:a forgotten at 4 next 6 lost ?", "shot:a#6"]);
    assert_eq!(rig.told(&["shot:a"], behind(4)).await, ["shot:a#6"]);
}

// Mutant: channels with a record compared with the namespace's mark -> each reader is told gaps of others.
#[tokio::test]
async fn only_a_channel_without_a_record_is_compared_with_the_mark_of_its_namespace() {
    for restarts in [false, true] {
        let mut rig = Rig::new().await;
        rig.publish_each(&["shot:a", "shot:b", "shot:b"]).await;
        rig.forget("shot:b").await;
        if restarts {
            rig.restart().await;
        }
        assert_eq!(rig.told(&["shot:a"], behind(1)).await, [""; 0], "it has a record");
        assert_eq!(rig.told(&["shot:x"], behind(1)).await, ["shot:x forgotten at 3 next ? lost ?"]);
        assert_eq!(rig.told(&["shot:*"], behind(1)).await, ["shot:* forgotten at 3 next ? lost ?"]);
        assert_eq!(rig.told(&["shot:x"], behind(3)).await, [""; 0]);
        let mut fresh = rig.read(&["shot:x"], Start::Now).await;
        assert_eq!(rig.drain(&mut fresh).await, [""; 0]);
        rig.publish(&["shot:x"]).await;
        assert_eq!(rig.drain(&mut fresh).await, ["shot:x#4"], "now is the mark: nothing was asked below it");
    }
}

// Mutant: the mark raised here only when the store tells of it -> who reads a page in between is told nothing.
#[tokio::test]
async fn what_is_being_forgotten_is_told_before_the_store_tells_of_it() {
    for set in [["shot:a"], ["shot:*"]] {
        let mut rig = Rig::new().await;
        rig.publish_each(&["shot:a", "shot:a", "room:a"]).await;
        rig.restart().await;
        let mut reader = rig.read(&set, behind(0)).await;
        assert_eq!(reader.look(rig.now, ALL, &mut Page::default()).unwrap(), Look::Below);
        // Not settled: the news is still on its way.
        rig.running.node.log(LogId::Memory).forget(&channel("shot:a")).await.unwrap();
        let told = rig.drain(&mut reader).await;
        assert_eq!(told, [format!("{} forgotten at 2 next ? lost ?", set[0])]);
    }
}

#[tokio::test]
async fn a_name_can_be_used_again_at_once_after_it_was_forgotten() {
    let rig = Rig::new().await;
    rig.publish_each(&["shot:a", "shot:a"]).await;
    let store = rig.stores[1].clone();
    // Another node does it: this one has not heard of it yet.
    store.inner.forget(&channel("shot:a")).await.unwrap();
    let node = rig.running.node.clone();
    let mut publish =
        Box::pin(async move { node.publish(&grant(SPACES), vec![draft("shot:a", "1")], 1).await });
    let placed = is_ready(&mut publish).await.unwrap().unwrap();
    assert_eq!(placed[0].seq, 3);
}
