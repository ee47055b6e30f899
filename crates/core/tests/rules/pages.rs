//! Pages: where one ends, and what it must not pass over.

use super::*;

// Mutant: a page that was fetched for others is kept although a member has fallen behind it -> looks for ever.
#[tokio::test]
async fn a_member_that_falls_behind_while_others_are_fetched_is_fetched_too() {
    let mut rig = Rig::new().await;
    rig.publish(&vec!["room:a"; 600]).await;
    rig.restart().await;
    let mut reader = rig.read(&["room:a", "room:b"], Start::Beginning).await;
    let mut page = Page::default();
    assert_eq!(reader.look(rig.now, ALL, &mut page).unwrap(), Look::Below);
    reader.fetch().await.unwrap();
    for _ in 0..2 {
        rig.publish(&vec!["room:b"; 1_000]).await;
    }
    assert_eq!(rig.drain(&mut reader).await.len(), 2_600);
}

// Mutants: holes in a page not looked for; events behind the place of the gap left in the page -> silence.
#[tokio::test]
async fn a_page_that_was_trimmed_while_it_was_read_ends_below_the_gap() {
    let mut rig = Rig::new().await;
    let a = rig.publish_each(&["room:a", "room:a", "room:b", "room:a"]).await;
    rig.restart().await;
    let mut reader = rig.read(&["room:*"], Start::Beginning).await;
    assert_eq!(reader.look(rig.now, ALL, &mut Page::default()).unwrap(), Look::Below);
    // The first event was read before the trim, the others behind it.
    *rig.stores[1].edit.lock().unwrap() =
        Some(|page| page.events.retain(|event| event.position != Position::new(2)));
    reader.fetch().await.unwrap();
    rig.stores[1].inner.trim(&channel("room:a"), a[1].position).await.unwrap();
    let told = rig.drain(&mut reader).await;
    assert_eq!(told, ["room:a#1", "room:a trimmed at 2 next 3 lost ?", "room:b#1", "room:a#3"]);
}

// Mutant: a budget of nothing taken by its word -> looks for ever.
#[tokio::test]
async fn a_page_holds_at_least_one_event_whatever_the_budget() {
    let rig = Rig::new().await;
    rig.publish_each(&["room:a", "room:b", "room:a"]).await;
    let nothing = Budget { events: 0, bytes: 0 };
    let mut reader = rig.read(&["room:*"], Start::Beginning).await;
    assert_eq!(rig.drain_by(&mut reader, nothing, 1).await, ["room:a#1", "room:b#1", "room:a#2"]);
    let _: Pattern = pattern("room:*");
}
