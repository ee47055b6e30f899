//! Rules 1 and 2: cursors and order.

use super::*;

// Mutant: `took` moves `told` to the place looked at -> the cursor is the head.
#[tokio::test]
async fn the_cursor_is_the_place_of_the_last_item_and_never_the_head() {
    let rig = Rig::new().await;
    rig.publish_each(&["room:a", "room:b", "room:b"]).await;
    let mut reader = rig.read(&["room:a"], Start::Beginning).await;
    assert_eq!(rig.drain(&mut reader).await, ["room:a#1"]);
    let part = |reader: &Reader| reader.cursor().unwrap().part(LogId::Memory).unwrap().position.number();
    assert_eq!(part(&reader), 1);
    rig.publish(&["room:b"]).await;
    assert!(rig.drain(&mut reader).await.is_empty());
    assert_eq!(part(&reader), 1, "nothing of its set has come");
    assert_eq!(part(&rig.read(&["room:a"], Start::Now).await), 1, "now is of the set, not of the log");
    assert_eq!(part(&rig.read(&["room:a", "room:b"], Start::Now).await), 4);
}

#[tokio::test]
async fn a_cursor_has_a_part_for_each_log_of_the_set_and_drops_those_that_it_left() {
    let rig = Rig::new().await;
    rig.publish_each(&["room:a", "disk:a"]).await;
    let mut reader = rig.read(&["room:a"], Start::Now).await;
    assert_eq!(reader.cursor().unwrap().parts().len(), 1);
    reader.join(&patterns(&["disk:a"]), Start::Now, rig.now, 1).await.unwrap();
    assert_eq!(reader.cursor().unwrap().parts().len(), 2, "the missing part is filled at once");
    rig.publish_each(&["room:a", "disk:a"]).await;
    assert_eq!(rig.drain(&mut reader).await.len(), 2);
    reader.leave(&patterns(&["room:a"])).unwrap();
    let cursor = reader.cursor().unwrap();
    assert_eq!(cursor.parts().len(), 1);
    assert_eq!(cursor.part(LogId::Disk).unwrap().position.number(), 2);
    let lacking = rig.read(&["room:a", "disk:a"], Start::After(cursor)).await.cursor().unwrap();
    assert_eq!(lacking.part(LogId::Memory).unwrap().position.number(), 2, "a part that lacks is `now`");
}
