//! Rule 8: joining and leaving.

use super::*;

// Mutant: events collected once for each member that they belong to -> twice.
#[tokio::test]
async fn a_prefix_that_joins_a_channel_of_its_own_repeats_nothing() {
    for restarts in [false, true] {
        let mut rig = Rig::new().await;
        let first = rig.publish_each(&["room:a", "room:b"]).await;
        if restarts {
            rig.restart().await;
        }
        let mut reader = rig.read(&["room:a"], Start::Beginning).await;
        assert_eq!(rig.drain(&mut reader).await, ["room:a#1"]);
        reader.join(&patterns(&["room:*"]), Start::Now, rig.now, 1).await.unwrap();
        let a = rig.publish_each(&["room:a", "room:b", "room:a"]).await;
        assert_eq!(rig.drain(&mut reader).await, ["room:a#2", "room:b#2", "room:a#3"]);
        let refused = reader.join(&patterns(&["room:b"]), Start::Now, rig.now, 2).await.unwrap_err();
        assert_eq!(refused, Error::Already(pattern("room:b")));
        rig.publish_each(&["room:a"]).await;
        rig.trim("room:a", &a[2]).await;
        let cursor = reader.cursor().unwrap();
        let mut reader = rig.read(&["room:a"], behind(first[0].position.number())).await;
        let joined = reader.join(&patterns(&["room:*"]), Start::After(cursor), rig.now, 1).await.unwrap();
        assert_eq!(joined, Joined::Now, "above the feed's place");
        let told = rig.drain(&mut reader).await;
        assert_eq!(
            told,
            ["room:a trimmed at 5 next 4 lost ?", "room:a#4"],
            "once, by whoever followed it first"
        );
    }
}

// Mutant: `Joined` forgotten when it could not be written -> the client waits for its `ok` for ever.
#[tokio::test]
async fn the_end_of_a_backlog_is_told_again_until_it_was_written() {
    let rig = Rig::new().await;
    rig.publish_each(&["room:a", "room:b"]).await;
    let mut reader = rig.read(&["room:a"], Start::Now).await;
    rig.drain(&mut reader).await;
    let joined = reader.join(&patterns(&["room:b"]), Start::Beginning, rig.now, 42).await.unwrap();
    assert_eq!(joined, Joined::Later);
    let mut page = Page::default();
    reader.look(rig.now, ALL, &mut page).unwrap();
    let before = reader.cursor();
    reader.took(&page, 1);
    assert_eq!(reader.cursor(), before, "a backlog moves no cursor");
    for _ in 0..3 {
        assert_eq!(reader.look(rig.now, ALL, &mut page).unwrap(), Look::Found);
        assert!(matches!(page.items[0].what, What::Joined(42)));
        reader.took(&page, 0);
    }
    assert_eq!(rig.drain(&mut reader).await, ["joined 42"]);
    assert_eq!(rig.drain(&mut reader).await, [""; 0]);
}

// Mutant: a backlog without channels merged as it is -> the cursor keeps a part of a log that is not followed.
#[tokio::test]
async fn a_channel_can_leave_while_it_joins() {
    let rig = Rig::new().await;
    rig.publish_each(&["room:a", "disk:b", "room:b"]).await;
    let mut reader = rig.read(&["room:a"], Start::Now).await;
    rig.drain(&mut reader).await;
    reader.join(&patterns(&["room:b", "disk:b"]), Start::Beginning, rig.now, 1).await.unwrap();
    reader.leave(&patterns(&["disk:b"])).unwrap();
    assert_eq!(rig.drain(&mut reader).await, ["room:b#1", "joined 1"]);
    assert_eq!(reader.cursor().unwrap().parts().len(), 1);
    assert!(matches!(reader.leave(&patterns(&["disk:b"])), Err(Error::NotFollowed(_))));
}

// Mutant: `after` above the place ignored as a floor -> what was not asked is told.
#[tokio::test]
async fn an_after_above_the_place_is_a_floor() {
    let rig = Rig::new().await;
    rig.publish_each(&["room:a", "room:b", "room:b", "room:a", "room:b"]).await;
    let mut reader = rig.read(&["room:a"], behind(1)).await;
    let joined = reader.join(&patterns(&["room:b"]), behind(3), rig.now, 1).await.unwrap();
    assert_eq!(joined, Joined::Now);
    assert_eq!(rig.drain(&mut reader).await, ["room:a#2", "room:b#3"]);
}
