//! Rule 9: epochs.

use super::*;

// Mutant: the gap told for signals too -> one too many.
#[tokio::test]
async fn a_cursor_of_another_epoch_is_told_one_gap_for_each_member_at_the_base() {
    let mut rig = Rig::new().await;
    rig.publish_each(&["room:a", "room:a", "typing:a"]).await;
    rig.lose_memory().await;
    rig.publish_each(&["room:b", "room:a", "typing:a"]).await;
    let told = rig.told(&["room:a", "room:x", "typing:a"], behind(3)).await;
    assert_eq!(
        told,
        ["room:a epoch at 0 next 1 lost ?", "room:x epoch at 0 next ? lost ?", "room:a#1", "typing:a#1"]
    );
    let mut signals = rig.read(&["typing:a"], behind(3)).await;
    assert_eq!(rig.drain(&mut signals).await, ["typing:a#1"], "signals are moved without a word");
    assert_eq!(signals.cursor().unwrap().part(LogId::Memory).unwrap().epoch, Epoch::new(9));
}

// Mutant: `given` not asked -> the cursor waits five seconds and is sent in a circle.
#[tokio::test]
async fn a_cursor_above_what_a_store_that_is_alone_has_given_is_told_a_gap() {
    let rig = Rig::new().await;
    rig.publish_each(&["room:a", "room:a"]).await;
    assert_eq!(rig.told(&["room:a"], behind(2)).await, [""; 0]);
    let told = rig.told(&["room:a"], behind(3)).await;
    assert_eq!(told, ["room:a epoch at 0 next 1 lost ?", "room:a#1", "room:a#2"]);
}
