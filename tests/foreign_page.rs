//! The demo page in Chromium, and Chromium's own EventSource and WebSocket on the paths behind it.

#![allow(clippy::unwrap_used)]

use std::sync::atomic::Ordering::Relaxed;

use serde_json::{Value, json};
use sosik_lab::proxy::{CutKind, FaultPlan, FaultProxy};
use sosik_server::Running;
use sosik_tests::{
    foreign::{Ran, page, page_in},
    process::publish,
    server::{deliveries, demo, open, until},
};
use sosik_wire::TransportName;

fn url(server: &Running) -> String {
    format!("http://{}/", server.http)
}

/// What the steps answered, in their order; the page must have logged nothing, as each refusal by its policy would.
fn values(ran: Ran) -> Vec<Value> {
    let said = ran.stderr.clone();
    let lines = ran.expect_ok();
    assert_eq!(said, "", "the page logged");
    lines.into_iter().map(|mut line| line["value"].take()).collect()
}

const READY: &str = "wait:document.body.dataset.transport === 'sse'";
/// As drawn with the next picture: the page draws what it was told before.
const FIGURES: &str = "eval:new Promise(requestAnimationFrame).then(() =>
    ['lost', 'repeated', 'gaps', 'coming'].map((id) => +document.getElementById(id).textContent))";
const SEQS: &str = "eval:[...document.querySelectorAll('#feed .event')].map((line) => +line.dataset.seq)";
const CHANGES: &str = "eval:document.querySelectorAll('#feed .change').length";

/// Chooses a transport, waits until it is in use, and until an event has come by it.
fn change(transport: &str, name: &str) -> [String; 3] {
    [
        format!("click:[value={transport}]"),
        format!("wait:document.body.dataset.transport === '{transport}'"),
        format!("wait:[...document.querySelectorAll('#feed .event .by')].at(-1)?.textContent === '{name}'"),
    ]
}

// Mutants: the new connection opened at `now` and not at the cursor; repeats not dropped; the old connection left open;
// `caught_up` not told by the polls, which then never take over -> each fails.
#[tokio::test]
async fn page_changes_through_all_five_and_loses_and_repeats_nothing() {
    let server = demo().await.unwrap();
    // Somebody else publishes all the while, every 20 ms, and knows the last number.
    let other = "eval:window.newest = 0, window.publish = async () => {
        const body = JSON.stringify({channel: 'demo:lobby', data: 'from elsewhere'});
        const answer = await fetch('/v1/publish', {method: 'POST', body, headers: {'Content-Type': 'application/json'}});
        window.newest = Math.max(window.newest, (await answer.json()).seq);
    }, window.feeder = setInterval(window.publish, 20), null";
    let mut steps: Vec<String> = [
        READY,
        "fill:#text=hello from the page",
        "press:Enter",
        "wait:document.querySelector('#feed .event .said')?.textContent === 'hello from the page'",
        other,
        "click:#burst",
    ]
    .map(Into::into)
    .into();
    for (transport, name) in [
        ("websocket", "WebSocket"),
        ("long_poll", "Long-poll"),
        ("stream", "HTTP stream"),
        ("poll", "Poll"),
        ("sse", "SSE"),
        ("poll", "Poll"),
        ("websocket", "WebSocket"),
    ] {
        steps.extend(change(transport, name));
    }
    steps.extend(
        [
            "eval:clearInterval(window.feeder)",
            "wait:!document.querySelector('#burst').disabled",
            "wait:document.querySelector('#coming').textContent === '0'",
            "eval:window.publish()",
            "wait:+document.querySelector('#received').textContent === window.newest",
            SEQS,
            CHANGES,
            FIGURES,
        ]
        .map(Into::into),
    );
    let steps: Vec<&str> = steps.iter().map(String::as_str).collect();
    let answers = values(page(&url(&server), &steps).await.unwrap());
    let [.., seqs, changes, figures] = &answers[..] else { panic!("{answers:?}") };
    let seqs: Vec<u64> = serde_json::from_value(seqs.clone()).unwrap();
    let (first, last) = (seqs[0], *seqs.last().unwrap());
    assert!(last > 60, "the burst and more: {last}");
    assert_eq!(seqs, (first..=last).collect::<Vec<_>>());
    assert_eq!((changes, figures), (&json!(7), &json!([0, 0, 0, 0])));
    assert_eq!(server.hub.figures.holes.load(Relaxed), 0);
}

// Mutants: the connection in use closed when another one is chosen -> nothing comes any more; a failed change that leaves
// the choice where it was not taken -> fails.
#[tokio::test]
async fn page_stays_on_what_works_when_the_other_transport_does_not_open() {
    let server = demo().await.unwrap();
    let proxy = FaultProxy::start(server.http, 1).await.unwrap();
    proxy.faults().set(FaultPlan { strip_upgrade: true, ..FaultPlan::default() });
    let steps = [
        READY,
        "click:[value=websocket]",
        "wait:document.querySelector('#feed .note')?.textContent.startsWith('WebSocket ended')",
        "wait:document.querySelector('[value=sse]').checked && document.body.dataset.transport === 'sse'",
        "fill:#text=still here",
        "click:#say .main",
        "wait:document.querySelector('#feed .event .said')?.textContent === 'still here'",
        FIGURES,
    ];
    let url = format!("http://{}/", proxy.addr());
    let lines = page(&url, &steps).await.unwrap().expect_ok();
    assert_eq!(lines.last().unwrap()["value"], json!([0, 0, 0, 0]));
    assert_eq!(
        server.hub.figures.of(TransportName::Sse).opened.load(Relaxed),
        1,
        "the first one, all the while"
    );
}

// Mutants: a gap not shown, or shown at the end; the events of a new epoch compared with the numbers of the old one ->
// each fails.
#[tokio::test]
async fn page_tells_a_lost_log_in_its_place() {
    let (old, new) = (demo().await.unwrap(), demo().await.unwrap());
    let proxy = FaultProxy::start(old.http, 1).await.unwrap();
    for number in 1..=3 {
        publish(old.http, &json!(format!("old {number}"))).await.unwrap();
    }
    let url = format!("http://{}/", proxy.addr());
    let steps = [
        READY,
        "click:[value=websocket]",
        "wait:document.body.dataset.transport === 'websocket'",
        "wait:document.querySelector('#feed .gap')",
        "wait:document.querySelectorAll('#feed .event').length === 4",
        "eval:[...document.querySelectorAll('#feed .event, #feed .gap')].map((line) => line.className === 'gap' ? 'gap' : line.querySelector('.said').textContent)",
        FIGURES,
    ];
    let restart = async {
        // The page closes what it had before when the other one has everything.
        until("a WebSocket", || open(&old, TransportName::WebSocket) == 1).await;
        until("and no SSE", || open(&old, TransportName::Sse) == 0).await;
        publish(new.http, &json!("new 1")).await.unwrap();
        proxy.faults().set_upstream(new.http);
        proxy.faults().cut_all(CutKind::Fin);
    };
    let (ran, ()) = tokio::join!(page(&url, &steps), restart);
    let answers = ran.unwrap().expect_ok();
    let [.., list, figures] = &answers[..] else { panic!("{answers:?}") };
    assert_eq!(list["value"], json!(["old 1", "old 2", "old 3", "gap", "new 1"]));
    assert_eq!(figures["value"], json!([0, 0, 1, 0]));
}

// Mutants: `navigator.language` not asked; a word missing in Korean; a least width of 400 px; a transport that is no radio
// button; an inline style, which the policy refuses -> each fails.
#[tokio::test]
async fn page_speaks_korean_fits_a_phone_and_needs_no_mouse() {
    let server = demo().await.unwrap();
    let steps = [
        READY,
        "eval:document.documentElement.lang + ' ' + document.querySelector('#say .main').textContent",
        "eval:[...document.querySelectorAll('[data-text]')].filter((item) => !item.textContent).length",
        "size:360x740",
        "eval:document.documentElement.scrollWidth",
        "click:#language",
        "eval:document.documentElement.lang + ' ' + document.querySelector('#say .main').textContent",
        "eval:document.documentElement.scrollWidth",
        "eval:document.querySelector('[value=sse]').focus()",
        "press:ArrowDown",
        "wait:document.body.dataset.transport === 'websocket'",
        "press:ArrowDown", // TCP cannot be chosen: on to the first
        "wait:document.body.dataset.transport === 'poll'",
    ];
    let answers = values(page_in("ko-KR", &url(&server), &steps).await.unwrap());
    assert_eq!(answers[2..4], [json!("ko 보내기"), json!(0)]);
    assert_eq!(answers[5], 360);
    assert_eq!(answers[7..9], [json!("en Send"), json!(360)]);
}

// Mutants: an `event:` line on events -> `onmessage` sees none; `id:` missing -> it repeats after the cut.
#[tokio::test]
async fn chromium_event_source_resumes_by_itself() {
    let server = demo().await.unwrap();
    let proxy = FaultProxy::start(server.http, 1).await.unwrap();
    for number in 1..=5 {
        publish(server.http, &json!(number)).await.unwrap();
    }
    let follow = "eval:window.seen = [], window.source = new EventSource('/v1/sse?channel=demo:lobby&after=start'),
        window.source.onmessage = ({data, lastEventId}) => window.seen.push([JSON.parse(data).data, lastEventId]), null";
    let steps = [follow, "wait:window.seen.length >= 10", "eval:window.source.close()", "eval:window.seen"];
    let cut = async {
        // The page follows too, with its own.
        until("both have the five", || deliveries(&server, TransportName::Sse) >= 10).await;
        proxy.faults().cut_all(CutKind::Rst);
        for number in 6..=10 {
            publish(server.http, &json!(number)).await.unwrap();
        }
    };
    let url = format!("http://{}/", proxy.addr());
    let (ran, ()) = tokio::join!(page(&url, &steps), cut);
    let lines = ran.unwrap().expect_ok();
    let seen: Vec<(u64, String)> = serde_json::from_value(lines[4]["value"].clone()).unwrap();
    assert_eq!(seen.iter().map(|(data, _)| *data).collect::<Vec<_>>(), (1..=10).collect::<Vec<_>>());
    assert!(seen.iter().all(|(_, id)| !id.is_empty()), "{seen:?}");
    assert!(proxy.faults().counts().cuts > 0);
}

// Mutant: the subprotocol not echoed -> Chromium closes the socket.
#[tokio::test]
async fn chromium_websocket_follows_and_publishes() {
    let server = demo().await.unwrap();
    let talk = "eval:new Promise((done, failed) => {
        const frames = [];
        const socket = new WebSocket(location.origin.replace('http', 'ws') + '/v1/websocket', ['sosik.v1.json']);
        const send = (frame) => socket.send(JSON.stringify(frame));
        socket.onopen = () => {
            send({type: 'hello', protocol: 1});
            send({type: 'subscribe', id: 1, channels: ['demo:lobby']});
            send({type: 'publish', id: 2, channel: 'demo:lobby', data: {text: 'from Chromium'}});
        };
        socket.onmessage = ({data}) => {
            frames.push(JSON.parse(data));
            const types = frames.map(({type, id}) => type + (id ?? ''));
            if (['welcome', 'ok1', 'ok2', 'event'].every((type) => types.includes(type))) socket.close(1000);
        };
        socket.onclose = ({code, wasClean}) => done({code, wasClean, protocol: socket.protocol, frames});
        socket.onerror = () => failed(new Error('the socket failed'));
    })";
    let lines = page(&url(&server), &[talk]).await.unwrap().expect_ok();
    let talk = &lines[1]["value"];
    assert_eq!(talk["protocol"], "sosik.v1.json");
    assert_eq!((&talk["code"], &talk["wasClean"]), (&json!(1000), &json!(true)));
    let frames = talk["frames"].as_array().unwrap();
    let find = |kind: &str| frames.iter().find(|frame| frame["type"] == kind).unwrap();
    let ok = frames.iter().find(|frame| frame["id"] == 2).unwrap();
    assert_eq!(find("event")["data"], json!({"text": "from Chromium"}));
    assert_eq!((&find("event")["seq"], &find("event")["cursor"]), (&ok["seq"], &ok["cursor"]));
}
