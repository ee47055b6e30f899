//! Rule 3: the committed head.

use super::*;

// Mutants: `Life::apply` moves the head with each event -> half a batch is visible; before the events -> they are passed.
#[tokio::test]
async fn a_reader_on_another_thread_sees_whole_batches_only() {
    // So few that all of them stay in the tails.
    const BATCHES: usize = 25;
    let rig = Rig::new().await;
    let names: Vec<_> = (0..200).map(|i| format!("room:{}", i % 5)).collect();
    let mut reader = rig.read(&["room:0", "room:1", "room:2", "room:3", "room:4"], Start::Now).await;
    let (now, over) = (rig.now, Arc::new(AtomicBool::new(false)));
    let published = over.clone();
    let watching = std::thread::spawn(move || {
        let (mut page, mut seen) = (Page::default(), 0);
        loop {
            let was_over = published.load(Ordering::SeqCst);
            if reader.look(now, ALL, &mut page).unwrap() == Look::Found {
                let events = page.items.iter().filter(|item| matches!(item.what, What::Event(_))).count();
                assert_eq!(events % 200, 0, "half a batch, after {seen} events");
                seen += events;
                reader.took(&page, page.items.len());
            } else if was_over {
                return seen;
            }
        }
    });
    for _ in 0..BATCHES {
        let drafts: Vec<_> = names.iter().map(|name| draft(name, "1")).collect();
        rig.running.node.publish(&grant(SPACES), drafts, now).await.unwrap();
    }
    over.store(true, Ordering::SeqCst);
    assert_eq!(watching.join().unwrap(), BATCHES * 200);
}

// Mutant: a channel's later entries linked to the first entry of the batch -> the log hangs in conflicts.
#[tokio::test]
async fn an_atomic_batch_is_consecutive_and_becomes_visible_at_once() {
    let rig = Rig::new().await;
    let mut reader = rig.read(&["room:*"], Start::Now).await;
    rig.drain(&mut reader).await;
    let names = ["room:a", "room:b", "room:a", "room:c"];
    let mut jobs = JoinSet::new();
    for _ in 0..20 {
        let node = rig.running.node.clone();
        let drafts: Vec<_> = names.iter().map(|name| draft(name, "1")).collect();
        jobs.spawn(async move { node.publish(&grant(SPACES), drafts, 1).await.unwrap() });
    }
    let (mut page, mut seen) = (Page::default(), 0);
    while seen < 80 {
        tokio::task::yield_now().await;
        if reader.look(rig.now, ALL, &mut page).unwrap() == Look::Found {
            let events = page.items.iter().filter(|item| matches!(item.what, What::Event(_))).count();
            assert_eq!(events % names.len(), 0, "half a batch is visible");
            seen += events;
            reader.took(&page, page.items.len());
        }
    }
    while let Some(published) = jobs.join_next().await {
        let published = published.unwrap();
        let places: Vec<_> = published.iter().map(|placed| placed.position.number()).collect();
        assert!(places.windows(2).all(|two| two[0] + 1 == two[1]), "{places:?}");
        assert_eq!(published[2].seq, published[0].seq + 1);
    }
}

// Mutants: the herald called for channels that nobody follows; prefixes left out -> other calls.
#[tokio::test]
async fn the_herald_is_called_once_per_change_and_for_followed_channels_only() {
    let rig = Rig::new().await;
    let heard = rig.running.heard.clone();
    rig.publish(&["room:a", "room:b"]).await;
    assert_eq!(heard.take(), []);
    let named = rig.read(&["room:a"], Start::Now).await;
    let under = rig.read(&["room:*"], Start::Now).await;
    rig.publish(&["room:a", "room:a", "room:b"]).await;
    let mut told = heard.take();
    told.sort();
    let mut both: Vec<_> = named.watches().chain(under.watches()).collect();
    both.sort();
    assert_eq!(told, both);
    rig.publish(&["room:b"]).await;
    assert_eq!(heard.take(), under.watches().collect::<Vec<_>>());
    drop(under);
    rig.publish(&["room:b"]).await;
    assert_eq!(heard.take(), []);
}
