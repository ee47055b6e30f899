//! `kill -9` in the middle of a burst, again and again on the same directory.
//!
//! Eight publishers and five readers live through it; the readers go over all six transports. What everybody was told is
//! judged by the history checker, and compared with what the log has in the end. `SOSIK_SEEDS` says how many directories
//! there are (one in 100 of it), each for ten kills; a seed that fails is printed.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use fastrand::Rng;
use sosik_lab::checker::{self, History, Observed, Reader};
use sosik_testkit::{
    carriers::{Carrier, LONG_POLL, POLL, Place, SIX, SSE, TCP, WEBSOCKET},
    seed::seeds,
};
use sosik_tests::{
    scratch::Scratch,
    sosik::{Serve, Sosik, note},
};
use tokio::{sync::watch, task::JoinSet, time::sleep};

use crate::{
    block_on,
    burst::{Outcomes, Publisher},
    follower::Follower,
    past,
    up::place,
};

// Mutants: the answers sent, and the head moved, 2 ms before the write; the records of channels not written (numbers are
// used again); the first event of a page left out behind a cursor -> all fail.
#[test]
fn kill_9_in_a_burst_loses_changes_and_repeats_nothing() {
    let seeds = seeds(SEEDS);
    let count = seeds.size_hint().0;
    for seed in seeds.take(count.div_ceil(SHARE).max(SEEDS as usize)) {
        block_on(life(seed.rng()));
    }
}

/// One directory, from its making to the judgement.
async fn life(mut rng: Rng) {
    let scratch = Scratch::new().unwrap();
    let serve = Serve::open(&[("talk", ""), ("short", "events_max = 40")]);
    let (outcomes, (at, whereabouts), (done, is_done)) =
        (Arc::new(Outcomes::default()), watch::channel(None), watch::channel(false));
    let mut publishing = JoinSet::new();
    for number in 0..PUBLISHERS {
        let own = Publisher::new(number, &CHANNELS, whereabouts.clone(), outcomes.clone(), rng.fork());
        publishing.spawn(own.publish(is_done.clone()));
    }
    let mut following = JoinSet::new();
    for (name, set, carriers) in readers() {
        let own = Follower::new(name, set, carriers, rng.fork());
        following.spawn(own.follow(whereabouts.clone(), is_done.clone()));
    }
    for _ in 0..KILLS {
        let server = start(&serve, &scratch, &mut rng).await;
        at.send(Some(place(&server))).unwrap();
        tokio::select! {
            () = outcomes.more(rng.u64(1..ACKS_MAX)) => {}
            failed = publishing.join_next() => panic!("a publisher ended: {failed:?}"),
            failed = following.join_next() => panic!("a reader ended: {failed:?}"),
        }
        sleep(Duration::from_micros(rng.u64(..3_000))).await;
        at.send(None).unwrap();
        server.kill().await;
    }
    let server = start(&serve, &scratch, &mut rng).await;
    at.send(Some(place(&server))).unwrap();
    done.send(true).unwrap();
    publishing.join_all().await;
    let mut readers = Vec::new();
    for follower in following.join_all().await {
        readers.push(follower.drain(&place(&server)).await);
    }
    judge(&outcomes, readers, &place(&server)).await;
    assert!(server.stop().await.status.success());
}

/// Starts it; now and then it is killed before it listens, and started again.
async fn start(serve: &Serve, scratch: &Scratch, rng: &mut Rng) -> Sosik {
    let data = scratch.path().join("data");
    while rng.u8(..4) == 0 {
        let starting = serve.begin(&data, scratch.path());
        sleep(Duration::from_millis(rng.u64(..60))).await;
        starting.kill().await;
    }
    serve.start(&data, scratch.path()).await.unwrap_or_else(|ended| panic!("it does not start: {ended:?}"))
}

async fn judge(outcomes: &Outcomes, mut readers: Vec<Reader>, place: &Place) {
    let whole = Follower::new("afterwards", &["talk:*", "short:*"], vec![&TCP], Rng::new());
    readers.push(whole.drain(place).await);
    let (acked, uncertain) = outcomes.told();
    note(&format!("{} acknowledged, {} of unknown fate", acked.len(), uncertain.len()));
    assert!(!uncertain.is_empty(), "nothing was cut off: the kills came at no burst");
    let epochs: Vec<_> = acked.iter().map(|ack| &ack.epoch).collect();
    assert!(epochs.windows(2).all(|pair| pair[0] == pair[1]), "a mere kill began a new epoch");

    let history = History { acked, uncertain, readers, ..History::default() };
    let verdict = checker::check(&history);
    assert!(verdict.violations.is_empty(), "{verdict}");
    assert_eq!(verdict.counts.dropped, 0, "something came twice: {verdict}");

    let (_, afterwards) = seen(history.readers.last().unwrap());
    for reader in &history.readers {
        let (gaps, own) = seen(reader);
        assert_eq!(gaps, 0, "{} was told a gap where everything is kept", reader.name);
        let kept = |events: &Events| -> Events {
            let kept =
                events.iter().filter(|((name, _), _)| name.starts_with("talk") && follows(&reader.set, name));
            kept.map(|(event, body)| (event.clone(), body.clone())).collect()
        };
        assert!(kept(&own) == kept(&afterwards), "{} saw something else than the log has", reader.name);
    }
    for channel in CHANNELS.iter().filter(|name| name.starts_with("talk")) {
        let own = afterwards.iter().filter(|((name, _), _)| name == channel);
        let own: Vec<_> = own.map(|((_, seq), (_, body))| (*seq, body.clone())).collect();
        assert_eq!(past(place, channel).await, own, "the history of {channel}");
    }
}

/// An event by its channel and `seq`, with its epoch and body.
type Events = BTreeMap<(String, u64), (String, String)>;

/// The gaps that a reader was told where everything is kept, and the events that it was sent.
fn seen(reader: &Reader) -> (usize, Events) {
    let (mut gaps, mut events) = (0, Events::new());
    for seen in &reader.seen {
        match &seen.item {
            Observed::Gap(gap) if gap.channel.starts_with("talk") => gaps += 1,
            Observed::Event(event) => {
                let body = String::from_utf8(event.body.clone()).unwrap();
                events.insert((event.channel.clone(), event.seq), (event.epoch.clone(), body));
            }
            _ => {}
        }
    }
    (gaps, events)
}

fn follows(set: &[String], channel: &str) -> bool {
    set.iter().any(|entry| match entry.strip_suffix('*') {
        Some(prefix) => channel.starts_with(prefix),
        None => entry == channel,
    })
}

/// Name, set, and the transports in the order in which they are taken.
fn readers() -> [(&'static str, &'static [&'static str], Vec<&'static dyn Carrier>); 5] {
    [
        ("one by WebSocket", &["talk:1", "talk:2"], vec![&WEBSOCKET]),
        ("all by SSE and long-poll", &["talk:*"], vec![&SSE, &LONG_POLL]),
        ("one by TCP and poll", &["talk:0"], vec![&TCP, &POLL]),
        ("all over everything", &["talk:*"], SIX.to_vec()),
        ("what is soon trimmed", &["short:*"], SIX.to_vec()),
    ]
}

/// Directories in `make test`.
const SEEDS: u64 = 1;
/// A directory takes many seconds: of the seeds asked for by `SOSIK_SEEDS`, one in so many is run.
const SHARE: usize = 100;
/// Of one directory, not counting those before it listens.
const KILLS: usize = 10;
const PUBLISHERS: usize = 8;
/// Acknowledgements between a start and a kill.
const ACKS_MAX: u64 = 400;
const CHANNELS: [&str; 5] = ["talk:0", "talk:1", "talk:2", "talk:3", "short:0"];
