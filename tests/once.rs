//! A publish is stored once, whichever way it is sent again: every transport × every other, cut off after the publish was
//! sent and before its `ok` came. First as raw bytes, then by the Rust client, which does it by itself. What readers are
//! given afterwards is taken from raw bytes and judged by the history checker.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use serde_json::{Value, json};
use sosik_client::{
    Client, Data, Delivery, Following, GapPolicy, OnRetry, Options, Published, Start, Timers, Transport,
};
use sosik_lab::{
    checker::{self, Acked, History, Observed},
    proxy::{Cut, CutKind, Direction, FaultPlan, FaultProxy, Faults},
};
use sosik_testkit::{
    carriers::{
        Ask, Begin, Carrier, Line, Manner, News, POLL, Place, Publisher, SIX, Transcript,
        http::{Client as Http, header, request},
    },
    transport_suite::{Ground, block_on},
};
use sosik_wire::Cursor;
use tokio::task::JoinSet;

/// The connection ends with the first byte that the server answers: by then it has stored what it was sent.
fn cut_answers() -> FaultPlan {
    let cut = Cut { direction: Direction::Down, after_bytes: 0..=0, kind: CutKind::Rst };
    FaultPlan { cut: Some(cut), ..FaultPlan::default() }
}

fn acked(channel: &str, data: &str, epoch: &str, seq: u64, cursor: &str) -> Acked {
    let cursor: Cursor = cursor.parse().unwrap();
    Acked {
        channel: channel.to_owned(),
        epoch: epoch.to_owned(),
        seq,
        body: data.as_bytes().to_vec(),
        position: Some(cursor.parts()[0].position.number()),
    }
}

/// Reads everything under a prefix from raw bytes and lets the checker judge it.
async fn judge(place: &Place, prefix: &str, acked: Vec<Acked>) {
    let transcript = Transcript::default();
    let ask = Ask::new(&[prefix], Begin::Start);
    let mut line = Line::open_noting(&POLL, place, ask, 1, transcript.clone()).await.unwrap();
    let mut events = 0;
    let mut before = usize::MAX;
    while before != events {
        before = events;
        while !matches!(line.next().await, News::Answered) {}
        events = transcript.seen().iter().filter(|seen| matches!(seen.item, Observed::Event(_))).count();
    }
    let reader = checker::Reader {
        name: "a reader of everything".to_owned(),
        set: vec![prefix.to_owned()],
        begin: checker::Begin::Start,
        drained: true,
        seen: transcript.seen(),
    };
    let history = History { acked, readers: vec![reader], ..History::default() };
    let verdict = checker::check(&history);
    assert!(verdict.violations.is_empty(), "{verdict}");
    assert_eq!(
        (verdict.counts.delivered, events),
        (history.acked.len() as u64, history.acked.len()),
        "{verdict}"
    );
}

/// Sends a frame over a carrier's way up and loses the answer.
async fn send_and_lose(carrier: &'static dyn Carrier, proxy: &FaultProxy, frame: &Value) {
    let place = Place { http: proxy.addr(), tcp: proxy.addr(), dialect: None };
    let before = proxy.faults().counts().cuts;
    if carrier.manner() == Manner::TwoWay {
        let ask = Ask::new(&["mem:nothing-comes-here"], Begin::Now);
        let mut line = Line::open(carrier, &place, ask, 1).await.unwrap();
        line.live().await;
        proxy.faults().set(cut_answers());
        line.say(&frame.to_string());
        while !matches!(line.next().await, News::Ended) {}
    } else {
        // A reader beside it, as a client of this transport has.
        let mut reader =
            Line::open(carrier, &place, Ask::new(&["mem:nothing-comes-here"], Begin::Now), 1).await.unwrap();
        reader.live().await;
        let mut up = Http::connect(place.http).await;
        proxy.faults().set(cut_answers());
        let headers = [header("Content-Type", "application/json")];
        up.write(&request("POST", "/v1/send", place.http, &headers, frame.to_string().as_bytes())).await;
        assert!(up.answer().await.is_none(), "the answer came through");
    }
    proxy.faults().set(FaultPlan::default());
    assert!(proxy.faults().counts().cuts > before);
}

// Mutant: `once` dropped between wire and core -> a second `seq`.
#[test]
fn a_publish_cut_off_before_its_ok_is_stored_once_whichever_way_it_is_sent_again() {
    block_on(async {
        let ground = Ground::start(&POLL).await;
        let mut all = Vec::new();
        for (a, first) in SIX.into_iter().enumerate() {
            let proxy = FaultProxy::start(first.addr(&ground.place), a as u64).await.unwrap();
            for (b, second) in SIX.into_iter().enumerate() {
                let mut again = Publisher::connect(second, &ground.place).await;
                for (way, once) in [
                    ("key", json!({ "key": format!("of-{a}-{b}") })),
                    ("producer", json!({ "producer": { "id": format!("p-{a}-{b}"), "epoch": 1, "seq": 1 } })),
                ] {
                    let (channel, data) = (format!("mem:once-{way}"), format!("[\"{way}\",{a},{b}]"));
                    let mut frame = json!({ "type": "publish", "id": 9, "channel": channel });
                    frame["data"] = serde_json::from_str(&data).unwrap();
                    frame.as_object_mut().unwrap().extend(once.as_object().unwrap().clone());
                    send_and_lose(first, &proxy, &frame).await;
                    let ok = again.send(&frame).await.unwrap();
                    let what = format!("{way}, {} then {}: {ok}", first.name(), second.name());
                    assert_eq!(ok["duplicate"], true, "{what}");
                    let text = |key: &str| ok[key].as_str().unwrap();
                    all.push(acked(
                        &channel,
                        &data,
                        text("epoch"),
                        ok["seq"].as_u64().unwrap(),
                        text("cursor"),
                    ));
                }
            }
        }
        assert_eq!(all.len(), 72);
        judge(&ground.place, "mem:*", all).await;
    });
}

// Mutant: the header ignored -> fails.
#[test]
fn a_batch_sent_again_with_its_header_is_stored_once() {
    block_on(async {
        let ground = Ground::start(&POLL).await;
        let body =
            r#"[{"channel":"mem:a","data":1},{"channel":"mem:b","data":2},{"channel":"mem:a","data":3}]"#;
        let mut first = Value::Null;
        for (key, duplicate) in [("\"order-17\"", false), ("order-17", true), ("\"order-17\"", true)] {
            let headers = [header("Content-Type", "application/json"), header("Idempotency-Key", key)];
            let mut client = ground.client().await;
            let answered = client.ask("POST", "/v1/publish", &headers, body.as_bytes()).await;
            assert_eq!(answered.status(), 200, "{:?}", answered.refusal());
            let mut oks = answered.json();
            for ok in oks.as_array_mut().unwrap() {
                assert_eq!(ok["duplicate"].take(), duplicate, "{ok}");
            }
            if first.is_null() {
                first = oks;
            } else {
                assert_eq!(oks, first);
            }
        }
        let mut client = ground.client().await;
        for (headers, body, status, code) in [
            (
                vec![header("Idempotency-Key", "order-17")],
                "{\"channel\":\"mem:a\",\"data\":9}",
                409,
                "key_conflict",
            ),
            (vec![header("Idempotency-Key", "a b")], body, 400, "bad_request"),
            (vec![header("Idempotency-Key", "a"), header("Idempotency-Key", "b")], body, 400, "bad_request"),
        ] {
            let headers = [vec![header("Content-Type", "application/json")], headers].concat();
            let answered = client.ask("POST", "/v1/publish", &headers, body.as_bytes()).await;
            assert_eq!((answered.status(), &*answered.refusal().unwrap().code), (status, code));
        }
        let frame =
            r#"{"type":"publish","channel":"mem:c","data":1,"producer":{"id":"p","epoch":1,"seq":3}}"#;
        let answered = client.post("/v1/publish", frame).await;
        assert_eq!((answered.status(), answered.json()["expected"].as_u64()), (409, Some(1)), "{answered:?}");
    });
}

/// A client behind two proxies, whose faults end when a publish is about to be sent again.
struct Behind {
    http: FaultProxy,
    tcp: FaultProxy,
    client: Client,
}

impl Behind {
    async fn start(place: &Place, seed: u64) -> Self {
        let http = FaultProxy::start(place.http, seed).await.unwrap();
        let tcp = FaultProxy::start(place.tcp, seed).await.unwrap();
        let heal: [Faults; 2] = [http.faults(), tcp.faults()];
        let poll = Duration::from_millis(5);
        let client = Client::new(Options {
            http: format!("http://{}", http.addr()),
            tcp: Some(tcp.addr()),
            timers: Timers { poll_least: poll, poll_most: poll, ..Timers::default() },
            on_retry: Some(OnRetry::new(move |_, _| {
                heal.iter().for_each(|way| way.set(FaultPlan::default()))
            })),
            ..Options::default()
        })
        .unwrap();
        Self { http, tcp, client }
    }

    fn cut_answers(&self) {
        self.http.faults().set(cut_answers());
        self.tcp.faults().set(cut_answers());
    }
}

/// Follows until everything that there is has been delivered.
async fn caught_up(following: &mut Following) {
    while !matches!(following.next().await.unwrap(), Delivery::CaughtUp(_)) {}
}

fn note(channel: &str, data: &str, published: &Published) -> Acked {
    acked(channel, data, &published.epoch, published.seq, &published.cursor)
}

/// Follows a channel of its own over a transport and publishes into it three ways, each answer lost once.
async fn publish_and_lose(place: Place, transport: Transport) -> Vec<Acked> {
    let behind = Behind::start(&place, 1).await;
    let channel = format!("mem:over-{transport}");
    let mut following = behind.client.follow([&*channel], Start::Start, transport, GapPolicy::Stop).unwrap();
    caught_up(&mut following).await;
    let (uplink, producer) = (following.uplink(), following.uplink().producer());
    let work = async {
        let mut all = Vec::new();
        for way in ["key", "producer", "post"] {
            let text = format!("[\"{way}\"]");
            let data = Data::Json(text.clone().into());
            behind.cut_answers();
            let published = match way {
                "key" => uplink.publish(&channel, "", data).await,
                "producer" => producer.publish(&channel, "", data).await,
                _ => behind.client.publish(&channel, "", data).await,
            };
            let published = published.unwrap();
            assert!(published.duplicate, "{way} over {transport} was answered at once");
            all.push(note(&channel, &text, &published));
        }
        all
    };
    tokio::pin!(work);
    let mut all = None;
    while all.is_none() || following.counts().events < 3 {
        tokio::select! {
            acked = &mut work, if all.is_none() => all = Some(acked),
            delivery = following.next() => drop(delivery.unwrap()),
        }
    }
    let counts = following.counts();
    assert_eq!((counts.events, counts.holes, counts.gaps), (3, 0, 0), "{transport}");
    all.unwrap()
}

// Mutants: `once` dropped in the server; another key for the second attempt; a producer that begins anew after a cut -> each
// fails.
#[test]
fn the_client_sends_again_by_itself_and_it_is_stored_once() {
    block_on(async {
        let ground = Ground::start(&POLL).await;
        let mut clients = JoinSet::new();
        for transport in Transport::ALL {
            clients.spawn(publish_and_lose(ground.place, transport));
        }
        judge(&ground.place, "mem:*", clients.join_all().await.concat()).await;
    });
}

// Mutant: one id for all producers -> the second is a duplicate, and its event is lost.
#[test]
fn two_clients_restored_from_one_session_both_send_and_both_are_stored() {
    block_on(async {
        let ground = Ground::start(&POLL).await;
        let before = Behind::start(&ground.place, 1).await;
        let mut session =
            before.client.follow(["mem:tabs"], Start::Start, Transport::Sse, GapPolicy::Stop).unwrap();
        before.client.publish("mem:tabs", "", Data::Json("0".into())).await.unwrap();
        while session.counts().events == 0 {
            session.next().await.unwrap();
        }
        let saved = session.cursor().unwrap().to_owned();
        let mut all = Vec::new();
        let tabs = [Transport::WebSocket, Transport::LongPoll].map(|transport| (transport, saved.clone()));
        let mut producers = Vec::new();
        for (transport, saved) in tabs {
            let tab = Behind::start(&ground.place, 2).await;
            let mut following =
                tab.client.follow(["mem:tabs"], Start::After(saved), transport, GapPolicy::Stop).unwrap();
            caught_up(&mut following).await;
            producers.push((following.uplink().producer(), following, tab));
        }
        // The same text from both: only who says it tells them apart.
        for text in ["\"hello\"", "\"again\""] {
            for (producer, ..) in &producers {
                let published = producer.publish("mem:tabs", "", Data::Json(text.into())).await.unwrap();
                assert!(!published.duplicate, "{published:?}");
                all.push(published.seq);
            }
        }
        assert_eq!(all, [2, 3, 4, 5]);
    });
}
