//! Publishes whose answer is lost with the server itself: it is killed, comes back on its data, and knows them again.

use std::{sync::Arc, time::Duration};

use sosik_client::{
    Client, Data, Delivery, GapPolicy, History as Past, OnRetry, Options, Published, Start, Timers, Transport,
};
use sosik_lab::{
    checker::{self, Acked, History, Observed},
    proxy::{Cut, CutKind, Direction, FaultPlan, FaultProxy},
};
use sosik_testkit::carriers::{Ask, Begin, Line, News, POLL, Transcript};
use sosik_tests::{
    scratch::Scratch,
    sosik::{Serve, Sosik},
};
use sosik_wire::Cursor;
use tokio::sync::Notify;

use crate::{block_on, up};

/// A client, and the proxies between it and a server that comes and goes.
struct Behind {
    http: FaultProxy,
    tcp: FaultProxy,
    client: Client,
    /// Told when a publish had no answer.
    lost: Arc<Notify>,
}

impl Behind {
    async fn start(server: &Sosik) -> Self {
        let http = FaultProxy::start(server.http, 1).await.unwrap();
        let tcp = FaultProxy::start(server.tcp, 1).await.unwrap();
        let lost = Arc::new(Notify::new());
        let tells = lost.clone();
        let poll = Duration::from_millis(5);
        let client = Client::new(Options {
            http: format!("http://{}", http.addr()),
            tcp: Some(tcp.addr()),
            timers: Timers { poll_least: poll, poll_most: poll, ..Timers::default() },
            on_retry: Some(OnRetry::new(move |_, _| tells.notify_one())),
            ..Options::default()
        })
        .unwrap();
        Self { http, tcp, client, lost }
    }

    fn set(&self, plan: &FaultPlan) {
        self.http.faults().set(plan.clone());
        self.tcp.faults().set(plan.clone());
    }

    fn point_to(&self, server: &Sosik) {
        self.http.faults().set_upstream(server.http);
        self.tcp.faults().set_upstream(server.tcp);
    }
}

fn acked(body: &str, published: &Published) -> Acked {
    let cursor: Cursor = published.cursor.parse().unwrap();
    Acked {
        channel: "disk:once".to_owned(),
        epoch: published.epoch.clone(),
        seq: published.seq,
        body: body.as_bytes().to_vec(),
        position: Some(cursor.parts()[0].position.number()),
    }
}

// Mutant: a disk that recalls nothing -> a second `seq`.
#[test]
fn a_publish_whose_answer_was_lost_with_the_server_is_stored_once() {
    block_on(async {
        let (data, near) = (Scratch::new().unwrap(), Scratch::new().unwrap());
        let serve = Serve::open(&[("disk", "log = \"disk\"")]);
        let directory = data.path().join("data");
        let mut server = serve.start(&directory, near.path()).await.unwrap();
        let behind = Behind::start(&server).await;
        let cut = Cut { direction: Direction::Down, after_bytes: 0..=0, kind: CutKind::Rst };
        let cut_answers = FaultPlan { cut: Some(cut), ..FaultPlan::default() };
        let mut all = Vec::new();
        for (transport, way) in Transport::ALL.into_iter().flat_map(|way| [(way, "key"), (way, "producer")]) {
            let mut following =
                behind.client.follow(["disk:once"], Start::Start, transport, GapPolicy::Stop).unwrap();
            while !matches!(following.next().await.unwrap(), Delivery::CaughtUp(_)) {}
            let uplink = following.uplink();
            let text = format!("[\"{way}\",\"{transport}\"]");
            let data = Data::Json(text.clone().into());
            behind.set(&cut_answers);
            let publishing = async {
                match way {
                    "key" => uplink.publish("disk:once", "", data).await,
                    _ => uplink.producer().publish("disk:once", "", data).await,
                }
            };
            let restarting = async {
                behind.lost.notified().await;
                // The first attempt may have been cut off on its way up; another one comes until one is stored.
                is_stored(&server, &text).await;
                server.kill().await;
                let again = serve.start(&directory, near.path()).await.unwrap();
                behind.point_to(&again);
                behind.set(&FaultPlan::default());
                again
            };
            let (published, again) = tokio::join!(publishing, restarting);
            server = again;
            let published = published.unwrap();
            assert!(published.duplicate, "{text} was stored by a later attempt: {published:?}");
            all.push(acked(&text, &published));
        }
        judge(&server, all).await;
    });
}

/// Waits until the newest event is the one with this data, asking the server itself.
async fn is_stored(server: &Sosik, text: &str) {
    let direct =
        Client::new(Options { http: format!("http://{}", server.http), ..Options::default() }).unwrap();
    let text = Data::Json(text.to_owned().into());
    loop {
        let page = direct.history("disk:once", Past::Newest, 1).await.unwrap();
        if page.events.last().is_some_and(|event| event.data == text) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Reads everything from raw bytes and lets the checker judge it.
async fn judge(server: &Sosik, acked: Vec<Acked>) {
    let transcript = Transcript::default();
    let ask = Ask::new(&["disk:once"], Begin::Start);
    let mut line = Line::open_noting(&POLL, &up::place(server), ask, 1, transcript.clone()).await.unwrap();
    while !matches!(line.next().await, News::Answered) {}
    let events = transcript.seen().iter().filter(|seen| matches!(seen.item, Observed::Event(_))).count();
    let reader = checker::Reader {
        name: "a reader of everything".to_owned(),
        set: vec!["disk:once".to_owned()],
        begin: checker::Begin::Start,
        drained: true,
        seen: transcript.seen(),
    };
    let history = History { acked, readers: vec![reader], ..History::default() };
    let verdict = checker::check(&history);
    assert!(verdict.violations.is_empty(), "{verdict}");
    assert_eq!((verdict.counts.delivered, events), (12, 12), "{verdict}");
}
