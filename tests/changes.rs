//! All 36 changes of transport in mid-stream, through a proxy that cuts, delays and cuts up: nothing lost, repeated or
//! out of order.
//!
//! A reader follows one channel in each log and a prefix while a publisher publishes at random pauses. At random moments
//! it changes between two transports, make before break (rule 10). What it was sent is taken from raw bytes, without the
//! client, and judged by the history checker. `SOSIK_SEEDS` says how many seeds each change gets (one in 200 of it); a seed
//! that fails is printed.
//!
//! Mutants, each seen to fail here: the first event of a page skipped after a resume; the cursor of the item before; the
//! cursor over both logs without the part of the other one; the SSE `id:` after its data.

#![allow(clippy::unwrap_used)]

use std::{sync::Arc, time::Duration};

use fastrand::Rng;
use serde_json::json;
use sosik_lab::{
    checker::{self, Acked, CursorFrom, History, Observed},
    proxy::{Buffer, Cut, CutKind, Delay, Direction, FaultPlan, FaultProxy, Rechunk},
};
use sosik_testkit::{
    carriers::{
        Ask, Begin, Carrier, LONG_POLL, Line, Manner, News, POLL, Place, SIX, SSE, STREAM, TCP, Transcript,
        WEBSOCKET, http::Client,
    },
    seed::seeds,
    transport_suite::{Ground, block_on},
};
use sosik_wire::Cursor;
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};

/// One test per transport that is left, each with all six that are gone to.
macro_rules! changes_from {
    ($($name:ident $carrier:expr;)*) => {
        $(
            #[test]
            fn $name() {
                changes_from(&$carrier);
            }
        )*
    };
}

changes_from! {
    poll_to_each POLL;
    long_poll_to_each LONG_POLL;
    stream_to_each STREAM;
    sse_to_each SSE;
    websocket_to_each WEBSOCKET;
    tcp_to_each TCP;
}

fn changes_from(from: &'static dyn Carrier) {
    let seeds = seeds(SEEDS);
    let count = seeds.size_hint().0;
    for seed in seeds.take(count.div_ceil(SHARE).max(SEEDS as usize)) {
        let number = seed.number();
        block_on(async {
            let ground = Ground::start(from).await;
            let place = ground.place;
            let turns = Arc::new(Semaphore::new(AT_ONCE));
            let mut runs = JoinSet::new();
            for to in SIX {
                let turns = turns.clone();
                runs.spawn(async move {
                    let _turn = turns.acquire_owned().await.unwrap();
                    change(from, to, place, number).await;
                });
            }
            while let Some(run) = runs.join_next().await {
                run.expect("a change failed, see above");
            }
        });
    }
}

// Mutants: see the head of `pump.rs` and `reader.rs` for where each was planted.
async fn change(from: &'static dyn Carrier, to: &'static dyn Carrier, place: Place, seed: u64) {
    let name = format!("{}-{}-{seed}", from.name(), to.name());
    let mut rng = Rng::with_seed(seed.wrapping_mul(64) ^ index(from) << 3 ^ index(to));
    let channels =
        [format!("disk:{name}"), format!("mem:{name}"), format!("disk:{name}:1"), format!("disk:{name}:2")];
    let set = [channels[0].clone(), channels[1].clone(), format!("disk:{name}:*")];
    let ways = [Way::open(from, place, rng.u64(..)).await, Way::open(to, place, rng.u64(..)).await];
    let mut publishing = JoinSet::new();
    publishing.spawn(publish(place, channels, rng.fork()));
    let mut reader = Reader::new(ways, &set, rng.fork());
    let acked = loop {
        tokio::select! {
            acked = publishing.join_next() => break acked.unwrap().unwrap(),
            () = reader.read() => {}
        }
    };
    let (transcript, changes) = reader.drain().await;
    let history = History {
        acked,
        readers: vec![checker::Reader {
            name: name.clone(),
            set: set.to_vec(),
            begin: checker::Begin::Start,
            drained: true,
            seen: transcript.seen(),
        }],
        ..History::default()
    };
    let verdict = checker::check(&history);
    assert!(verdict.violations.is_empty(), "{name}: {verdict}");
    assert_eq!(verdict.counts.delivered, history.acked.len() as u64, "{name}: {verdict}");
    assert_eq!((verdict.counts.gaps, changes), (0, CHANGES), "{name}: {verdict}");
}

fn index(carrier: &dyn Carrier) -> u64 {
    SIX.iter().position(|own| own.name() == carrier.name()).unwrap() as u64
}

/// Publishes [`EVENTS`] events, one or a few at a time, at random pauses, and answers what was acknowledged.
async fn publish(place: Place, channels: [String; 4], mut rng: Rng) -> Vec<Acked> {
    let mut client = Client::connect(place.http).await;
    let mut acked = Vec::new();
    while acked.len() < EVENTS {
        let count = if rng.u8(..8) == 0 { rng.usize(2..30) } else { 1 };
        // One log per publish.
        let among = if rng.bool() { &channels[1..2] } else { &channels[..] };
        let log = among[rng.usize(..among.len())].split(':').next().unwrap().to_owned();
        let own: Vec<_> = channels.iter().filter(|name| name.starts_with(&format!("{log}:"))).collect();
        let events: Vec<_> = (0..count)
            .map(|_| {
                let padding = if rng.u8(..16) == 0 { rng.usize(..20_000) } else { rng.usize(..100) };
                json!({ "channel": own[rng.usize(..own.len())], "data": [rng.u64(..), "x".repeat(padding)] })
            })
            .collect();
        let answered = client.post("/v1/publish", &json!(events).to_string()).await;
        assert_eq!(answered.status(), 200, "{:?}", answered.refusal());
        for (event, ok) in events.iter().zip(answered.json().as_array().unwrap()) {
            let cursor: Cursor = ok["cursor"].as_str().unwrap().parse().unwrap();
            acked.push(Acked {
                channel: event["channel"].as_str().unwrap().to_owned(),
                epoch: ok["epoch"].as_str().unwrap().to_owned(),
                seq: ok["seq"].as_u64().unwrap(),
                body: event["data"].to_string().into_bytes(),
                position: Some(cursor.parts()[0].position.number()),
            });
        }
        sleep(Duration::from_micros(rng.u64(..PAUSE_US_MAX))).await;
    }
    acked
}

/// A transport with a proxy of its own before it.
struct Way {
    carrier: &'static dyn Carrier,
    proxy: FaultProxy,
    place: Place,
}

impl Way {
    async fn open(carrier: &'static dyn Carrier, place: Place, seed: u64) -> Self {
        let proxy = FaultProxy::start(carrier.addr(&place), seed).await.unwrap();
        let place = Place { http: proxy.addr(), tcp: proxy.addr(), dialect: None };
        Self { carrier, proxy, place }
    }

    /// Other faults from now on: none, one or several.
    fn afflict(&self, rng: &mut Rng) {
        let ms = Duration::from_millis;
        let one_shot = self.carrier.manner() == Manner::OneShot;
        let delay = |rng: &mut Rng| Delay { fixed: ms(rng.u64(..3)), jitter_max: ms(rng.u64(..4)) };
        let cut = |rng: &mut Rng| Cut {
            direction: if rng.u8(..4) == 0 { Direction::Up } else { Direction::Down },
            after_bytes: 0..=[60, 2_000, 30_000][rng.usize(..3)],
            kind: if rng.bool() { CutKind::Fin } else { CutKind::Rst },
        };
        let one_in = |n: u8, rng: &mut Rng| rng.u8(..n) == 0;
        self.proxy.faults().set(FaultPlan {
            cut: one_in(3, rng).then(|| cut(rng)),
            delay_up: one_in(4, rng).then(|| delay(rng)),
            delay_down: one_in(4, rng).then(|| delay(rng)),
            rechunk: one_in(2, rng).then(|| Rechunk { piece_max: rng.usize(1..200), pause: Duration::ZERO }),
            buffer: (one_shot && one_in(2, rng)).then(|| match rng.bool() {
                true => Buffer::UntilEnd,
                false => Buffer::UntilBytes(rng.usize(1..500)),
            }),
            strip_upgrade: self.carrier.name() != "websocket" && rng.bool(),
        });
        if one_in(4, rng) {
            self.proxy.faults().cut_all(if rng.bool() { CutKind::Fin } else { CutKind::Rst });
        }
    }
}

/// A reader that changes its way now and then, by rule 10.
struct Reader {
    ways: [Way; 2],
    /// The way that holds.
    at: usize,
    ask: Ask,
    current: Option<Line>,
    /// The way that is being gone to.
    next: Option<Line>,
    changes: u32,
    change_at: Instant,
    afflict_at: Instant,
    transcript: Transcript,
    rng: Rng,
}

impl Reader {
    fn new(ways: [Way; 2], set: &[String], rng: Rng) -> Self {
        let set: Vec<_> = set.iter().map(String::as_str).collect();
        let now = Instant::now();
        Self {
            ways,
            at: 0,
            ask: Ask::new(&set, Begin::Start),
            current: None,
            next: None,
            changes: 0,
            change_at: now,
            afflict_at: now,
            transcript: Transcript::default(),
            rng,
        }
    }

    /// One step: something read, a change begun or done, other faults. May be dropped at any moment.
    async fn read(&mut self) {
        if self.current.is_none() {
            self.current = self.open(self.at, self.ask.begin.clone()).await;
            return;
        }
        if self.next.is_none() && self.changes < CHANGES && Instant::now() >= self.change_at {
            self.next = self.open(1 - self.at, self.ask.begin.clone()).await;
            return;
        }
        let change_at =
            if self.next.is_none() && self.changes < CHANGES { Some(self.change_at) } else { None };
        tokio::select! {
            news = async { self.current.as_mut().unwrap().next().await } => self.on_current(news),
            news = async { self.next.as_mut().unwrap().next().await }, if self.next.is_some() => self.on_next(news),
            () = sleep_until(self.afflict_at) => {
                self.ways.iter().for_each(|way| way.afflict(&mut self.rng));
                self.afflict_at = Instant::now() + Duration::from_millis(self.rng.u64(5..60));
            }
            () = sleep_until(change_at.unwrap_or_else(Instant::now)), if change_at.is_some() => {}
        }
    }

    async fn open(&mut self, way: usize, begin: Begin) -> Option<Line> {
        let Way { carrier, place, .. } = &self.ways[way];
        let (ask, seed) = (self.ask.from(begin), self.rng.u64(..));
        Line::open_noting(*carrier, place, ask, seed, self.transcript.clone()).await.ok()
    }

    fn on_current(&mut self, news: News) {
        let line = self.current.as_ref().unwrap();
        if let Some(cursor) = line.cursor() {
            self.ask.begin = Begin::After(cursor.to_owned());
        }
        match news {
            News::Seen(_) | News::Answered => {}
            // Cut: it is opened again with its cursor. The one that is being gone to goes its own way.
            News::Ended => self.current = None,
            News::Refused(refusal) => panic!("{}: {refusal:?}", line.carrier().name()),
        }
    }

    fn on_next(&mut self, news: News) {
        match news {
            News::Seen(
                Observed::Event(_) | Observed::Gap(_) | Observed::Cursor { from: CursorFrom::CaughtUp, .. },
            )
            | News::Answered => self.arrive(),
            News::Seen(_) => {}
            News::Ended => self.next = None,
            News::Refused(refusal) => panic!("{:?}: {refusal:?}", self.next),
        }
    }

    /// The new one has delivered, or said that there is nothing: the old one is closed, and the cursor is the new one's.
    fn arrive(&mut self) {
        let new = self.next.take().unwrap();
        self.ask.begin = Begin::After(new.cursor().expect("what has delivered has a cursor").to_owned());
        if let Some(old) = self.current.replace(new)
            && self.rng.bool()
        {
            old.cut();
        }
        self.at = 1 - self.at;
        self.changes += 1;
        self.change_at = Instant::now() + Duration::from_millis(self.rng.u64(1..CHANGE_MS_MAX));
    }

    /// The faults are over: reads to the end, changing as often as is still due.
    async fn drain(mut self) -> (Transcript, u32) {
        let healthy = |way: &Way| way.proxy.faults().set(FaultPlan::default());
        while self.changes < CHANGES || self.next.is_some() {
            self.ways.iter().for_each(healthy);
            self.afflict_at = Instant::now() + Duration::from_secs(600);
            self.read().await;
        }
        self.ways.iter().for_each(healthy);
        self.current = None;
        while !self.is_at_the_end().await {}
        (self.transcript, self.changes)
    }

    /// Opens once more without any fault: whether nothing followed.
    async fn is_at_the_end(&mut self) -> bool {
        let mut line = self.open(self.at, self.ask.begin.clone()).await.expect("nothing is in the way");
        let mut events = 0;
        loop {
            match line.next().await {
                News::Seen(Observed::Event(_)) => events += 1,
                News::Answered | News::Seen(Observed::Cursor { from: CursorFrom::CaughtUp, .. }) => break,
                News::Seen(_) => {}
                other => panic!("{other:?} without any fault"),
            }
        }
        self.ask.begin = line.cursor().map_or(Begin::Start, |cursor| Begin::After(cursor.to_owned()));
        events == 0
    }
}

/// Seeds per change when nobody says more.
const SEEDS: u64 = 3;
/// A run takes a second: of the seeds asked for by `SOSIK_SEEDS`, one in so many is run.
const SHARE: usize = 200;
/// Runs at the same time.
const AT_ONCE: usize = 3;
const EVENTS: usize = 220;
/// Changes in one run.
const CHANGES: u32 = 7;
const PAUSE_US_MAX: u64 = 5_000;
const CHANGE_MS_MAX: u64 = 70;
