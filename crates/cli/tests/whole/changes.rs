//! All changes of transport against the real server, while events are published.

use std::{collections::HashMap, time::Duration};

use sosik_client::{Client, Data, Delivery, GapPolicy, Options, Start, Timers, Transport};

use crate::server::{Server, within};

// Mutants: repeats delivered -> a number comes twice; the new connection opened at `now` -> numbers are missing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_36_changes_in_mid_stream_lose_and_repeat_nothing() {
    let server = Server::start().await;
    let timers = Timers { poll_least: Duration::from_millis(5), ..Timers::default() };
    let tcp = Some(server.tcp.parse().unwrap());
    let client =
        Client::new(Options { http: server.http.clone(), tcp, timers, ..Options::default() }).unwrap();
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    let mut publishing = tokio::task::JoinSet::new();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    publishing.spawn(publish(client.clone(), random.fork(), stopped));

    let mut following =
        client.follow(["demo:a", "demo:many:*"], Start::Start, Transport::Sse, GapPolicy::Tell).unwrap();
    let mut seen: HashMap<String, u64> = HashMap::new();
    let mut order: Vec<_> = Transport::ALL.iter().flat_map(|&a| Transport::ALL.map(|b| (a, b))).collect();
    random.shuffle(&mut order);
    for transport in order.into_iter().flat_map(|(from, to)| [from, to]) {
        // A poll brings what came since the last one, and the next is seconds away.
        let linger = if transport == Transport::Poll { 0 } else { random.u64(1..20) };
        following.change(transport);
        let mut events = 0;
        let mut changed = false;
        while !changed || events < linger {
            match within(following.next()).await.unwrap() {
                Delivery::Event(event) => {
                    let last = seen.entry(event.channel.clone()).or_default();
                    assert_eq!(event.seq, *last + 1, "{} over {transport}, seed {seed}", event.channel);
                    *last = event.seq;
                    events += 1;
                }
                Delivery::Connected(now) => changed |= now == transport,
                Delivery::CaughtUp(_) => {}
                other => panic!("{other:?}, seed {seed}"),
            }
        }
    }
    stop.send(true).unwrap();
    let published = publishing.join_next().await.unwrap().unwrap();
    while seen.values().sum::<u64>() < published {
        if let Delivery::Event(event) = within(following.next()).await.unwrap() {
            let last = seen.entry(event.channel).or_default();
            assert_eq!(event.seq, *last + 1, "seed {seed}");
            *last = event.seq;
        }
    }
    let counts = following.counts();
    assert_eq!(
        (counts.events, counts.holes, counts.gaps, counts.interruptions),
        (published, 0, 0, 0),
        "seed {seed}"
    );
}

/// Publishes at random pauses until it is told to stop; how many.
async fn publish(
    client: Client,
    mut random: fastrand::Rng,
    stopped: tokio::sync::watch::Receiver<bool>,
) -> u64 {
    let channels = ["demo:a", "demo:many:1", "demo:many:2", "demo:many:3"];
    let mut count = 0;
    while !*stopped.borrow() {
        let channel = channels[random.usize(..channels.len())];
        client.publish(channel, "", Data::Json(count.to_string().into())).await.unwrap();
        count += 1;
        tokio::time::sleep(Duration::from_micros(random.u64(..3_000))).await;
    }
    count
}
