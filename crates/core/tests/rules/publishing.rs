//! Publishing: grouping, bounds, retention.

use super::*;

// Mutants: no bound of entries; no bound of bytes -> other group sizes.
#[tokio::test]
async fn what_arrives_during_an_append_goes_into_the_next_one() {
    let rig = Rig::new().await;
    let mut jobs = JoinSet::new();
    let publish = |jobs: &mut JoinSet<_>, count: usize, bytes: usize| {
        let node = rig.running.node.clone();
        let drafts: Vec<_> = (0..count).map(|_| draft("disk:a", vec![b'1'; bytes])).collect();
        jobs.spawn(async move { node.publish(&grant(SPACES), drafts, 1).await.unwrap() });
    };
    for count in [400, 400, 300, 1] {
        publish(&mut jobs, count, 1);
    }
    while jobs.join_next().await.is_some() {}
    // The first finds nobody at work; the rest have come by the time it is stored.
    let groups = |rig: &Rig| std::mem::take(&mut *rig.stores[0].batches.lock().unwrap());
    let events = groups(&rig);
    assert_eq!(events.iter().sum::<usize>(), 1_101);
    assert_eq!(events, [800, 301], "at most 1,000 entries");
    for _ in 0..40 {
        publish(&mut jobs, 1, 60_000);
    }
    while jobs.join_next().await.is_some() {}
    assert_eq!(groups(&rig), [17, 17, 6], "at most 1 MiB");
}

// Mutant: `commit` takes what waits without letting others run before -> an append for each of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn who_is_ready_when_a_publish_wakes_the_log_comes_into_the_same_append() {
    let rig = Rig::new().await;
    let publish = |drafts| {
        let node = rig.running.node.clone();
        async move { node.publish(&grant(SPACES), drafts, 1).await.unwrap() }
    };
    publish(vec![draft("disk:a", "0")]).await;
    let publishes: Vec<_> = (0..64).map(|_| publish(vec![draft("disk:a", "1")])).collect();
    // Spawned by a task, so that all of them are ready before the first one runs; what the first one wakes runs next.
    let mut crowd = JoinSet::new();
    crowd.spawn(async { publishes.into_iter().collect::<JoinSet<_>>().join_all().await });
    crowd.join_all().await;
    assert_eq!(*rig.stores[0].batches.lock().unwrap(), [1, 64]);
}

// Mutant: the bound of the queue left out -> nobody is refused.
#[tokio::test]
async fn more_publishes_than_may_wait_are_refused() {
    let rig = Rig::new().await;
    let mut options = NodeOptions::new(rig.spaces.clone(), 7);
    options.append_queue_max = 2;
    let stores = [5, 6].map(|epoch| Arc::new(Memory::new(Epoch::new(epoch))) as Arc<dyn Store>);
    let running = Running::open(options, stores).await;
    let mut jobs = JoinSet::new();
    for _ in 0..4 {
        let node = running.node.clone();
        jobs.spawn(async move { node.publish(&grant(SPACES), vec![draft("room:a", "1")], 1).await });
    }
    let all = jobs.join_all().await;
    assert_eq!(all.iter().filter(|outcome| **outcome == Err(Error::Overloaded)).count(), 2);
}

// Mutant: the bytes of the queue not counted, or not given back -> nobody is refused, or everybody from then on.
#[tokio::test]
async fn more_bytes_than_may_wait_are_refused() {
    let stores = [5, 6].map(|epoch| Arc::new(Memory::new(Epoch::new(epoch))) as Arc<dyn Store>);
    let running = Running::over(Rig::new().await.spaces, stores).await;
    let data = bytes::Bytes::from(vec![b'1'; 60_000]);
    let fits = APPEND_QUEUE_BYTES_MAX / data.len();
    for _ in 0..2 {
        let mut jobs = JoinSet::new();
        for _ in 0..fits + 20 {
            let (node, drafts) = (running.node.clone(), vec![draft("typing:a", data.clone())]);
            jobs.spawn(async move { node.publish(&grant(SPACES), drafts, 1).await });
        }
        let all = jobs.join_all().await;
        assert_eq!(all.iter().filter(|outcome| **outcome == Err(Error::Overloaded)).count(), 20);
    }
}

#[tokio::test]
async fn a_publish_into_both_logs_is_refused_and_nothing_is_stored() {
    let rig = Rig::new().await;
    let drafts = vec![draft("room:a", "1"), draft("disk:a", "1")];
    let refused = rig.running.node.publish(&grant(SPACES), drafts, 1).await;
    assert!(matches!(refused, Err(Error::Request(_))));
    assert!(rig.stores.iter().all(|store| store.truth.lock().unwrap().facts.is_empty()));
}

// Mutant: trimmed to a mark above `seq - keep` -> fewer than `events_max` stay.
#[tokio::test]
async fn retention_keeps_at_least_what_it_promises_and_at_most_a_tenth_more() {
    for most in [1, 7, 100, 1_000] {
        let rig = Rig::with(|space| space.events_max = most).await;
        for _ in 0..(most * 3).div_ceil(50) + 20 {
            rig.publish(&vec!["room:a"; 50.min(most as usize)]).await;
            settle().await;
            let truth = rig.stores[1].truth.lock().unwrap();
            let kept = truth.facts.iter().filter(|fact| fact.removed.is_none()).count() as u64;
            let all = truth.facts.len() as u64;
            assert!(kept >= most.min(all), "{kept} of {all} kept, {most} promised");
            assert!(kept <= most + most / 10 + 64.min(most / 16 + 1), "{kept} kept, {most} promised");
        }
    }
}
