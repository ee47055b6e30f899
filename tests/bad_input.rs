//! Bad input: each its documented code, alike over every transport, with what to do next; what can survive does.

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use sosik_testkit::{
    carriers::{
        self, Ask, Begin, Carrier, Line, Manner, POLL, Refusal, TCP, TCP_BINARY, WEBSOCKET, WEBSOCKET_BINARY,
        http::header,
    },
    transport_suite::{Ground, block_on},
};
use sosik_wire::{Code, Cursor, Part, Position, binary::wrap_json};

/// What is asked to be read, the code it is refused with, and a word of what to do next.
fn bad_readings() -> Vec<(Vec<&'static str>, Begin, Code, &'static str)> {
    let long: &'static str = String::leak(format!("disk:{}", "x".repeat(251)));
    let now = || Begin::Now;
    let after = |text: &str| Begin::After(text.to_owned());
    vec![
        (vec!["no-colon"], now(), Code::BadRequest, "room:7"),
        (vec![""], now(), Code::BadRequest, "1 to 255"),
        (vec!["disk:"], now(), Code::BadRequest, "after the colon"),
        (vec!["Disk:a"], now(), Code::BadRequest, "room:7"),
        (vec!["disk:a b"], now(), Code::BadRequest, "not allowed"),
        (vec!["disk:a\nb"], now(), Code::BadRequest, "not allowed"),
        (vec!["disk:e\u{301}"], now(), Code::BadRequest, "normalise"),
        (vec![long], now(), Code::BadRequest, "1 to 255"),
        (vec!["*"], now(), Code::BadRequest, "match:*"),
        (vec!["disk:a*"], now(), Code::BadRequest, "match:*"),
        (vec!["disk:*:b"], now(), Code::BadRequest, "match:*"),
        (vec!["disk:good", "no-colon"], now(), Code::BadRequest, "room:7"),
        (vec!["unknown:a"], now(), Code::Forbidden, "name = \"unknown\""),
        (vec!["closed:a"], now(), Code::Forbidden, "read = \"anyone\""),
        (vec!["disk:a", "closed:*"], now(), Code::Forbidden, "read = \"anyone\""),
        (vec!["$presence:a"], now(), Code::Forbidden, "not allowed"),
        (vec!["disk:a"], after("yesterday"), Code::BadRequest, "`start` and `now`"),
        (vec!["disk:a"], after("1"), Code::BadRequest, "exactly as it was handed out"),
        (vec!["disk:a"], after("1d0123456789abcw"), Code::BadRequest, "exactly as it was handed out"),
        (vec!["disk:a"], Begin::Last(1_001), Code::Limit, "1000"),
    ]
}

// Mutant: `by_core` of the subscribe with another code than the request's -> fails.
#[test]
fn what_cannot_be_read_is_refused_alike_and_the_connection_goes_on() {
    block_on(async {
        let ground = Ground::start(&POLL).await;
        ground.publish_numbers("disk:good", 1, 1).await;
        for carrier in carriers::ALL {
            for (channels, begin, code, next) in bad_readings() {
                let about = format!("{} of {channels:?} {begin:?}", carrier.name());
                let bad = Ask::new(&channels, begin);
                let good = Ask::new(&["disk:good"], Begin::Start);
                let mut line = Line::open(carrier, &ground.place, bad, 3).await.unwrap();
                let refusal = line.refusal().await;
                check(&about, &refusal, code, next, carrier);
                // On the same connection.
                line.ask_again(good);
                assert_eq!(line.event().await.channel, "disk:good", "{about}");
            }
        }
    });
}

fn check(about: &str, refusal: &Refusal, code: Code, next: &str, carrier: &dyn Carrier) {
    assert_eq!(refusal.code, code.name(), "{about}: {refusal:?}");
    assert!(refusal.message.contains(next), "{about}: {:?} says nothing of {next:?}", refusal.message);
    let status = if carrier.manner() == Manner::TwoWay { 0 } else { code.http_status() };
    assert_eq!(refusal.status, status, "{about}");
}

#[test]
fn a_cursor_of_elsewhere_or_of_the_future_is_answered_by_a_gap() {
    block_on(async {
        let ground = Ground::start(&POLL).await;
        ground.publish_numbers("disk:a", 1, 3).await;
        let mut line = ground.follow(&["disk:a"], Begin::Start).await;
        line.events(3).await;
        let own: Cursor = line.cursor().unwrap().parse().unwrap();
        let future =
            Part { position: Position::new(own.parts()[0].position.number() + 1_000), ..own.parts()[0] };
        let foreign = "1d0123456789abc1";
        for after in [foreign.to_owned(), Cursor::new([future]).to_string()] {
            for carrier in carriers::ALL {
                let ask = Ask::new(&["disk:a"], Begin::After(after.clone()));
                let mut line = Line::open(carrier, &ground.place, ask, 3).await.unwrap();
                let gap = line.gap().await;
                assert_eq!(
                    (gap.channel.as_str(), gap.reason.as_str()),
                    ("disk:a", "epoch"),
                    "{}",
                    carrier.name()
                );
                let seqs: Vec<_> = line.events(3).await.iter().map(|event| event.seq).collect();
                assert_eq!(seqs, [1, 2, 3], "{}", carrier.name());
            }
        }
    });
}

/// Frames that are refused: the code, and a word of what to do next.
fn bad_frames() -> Vec<(Value, Code, &'static str)> {
    let publish = |more: Value| {
        let mut frame = json!({ "type": "publish", "id": 7, "channel": "disk:a" });
        frame.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        frame
    };
    let big = "x".repeat(64 * 1024);
    let deep = (0..65).fold(json!(1), |inner, _| json!([inner]));
    vec![
        (json!({ "id": 7 }), Code::BadRequest, "`type`"),
        (json!({ "type": 5, "id": 7 }), Code::BadRequest, "malformed"),
        (json!({ "type": "dance", "id": 7 }), Code::Unsupported, "known are"),
        (json!({ "type": "presence", "id": 7, "channel": "disk:a" }), Code::Unsupported, "yet"),
        (json!({ "type": "token", "id": 7, "token": "x" }), Code::Unsupported, "yet"),
        (json!({ "type": "call", "id": 7, "method": "trim" }), Code::Unsupported, "yet"),
        (
            publish(json!({ "data": 1, "producer": { "id": "x", "epoch": 1, "seq": 0 } })),
            Code::BadRequest,
            "counts from 1",
        ),
        (
            publish(json!({ "data": 1, "producer": { "id": "x", "seq": 1 } })),
            Code::BadRequest,
            "whole numbers",
        ),
        (publish(json!({ "data": 1, "key": "a b" })), Code::BadRequest, "visible ASCII"),
        (
            publish(json!({ "data": 1, "key": "x", "producer": { "id": "x", "epoch": 1, "seq": 1 } })),
            Code::BadRequest,
            "not both",
        ),
        (publish(json!({})), Code::BadRequest, "exactly one of"),
        (publish(json!({ "data": 1, "binary": "" })), Code::BadRequest, "exactly one of"),
        (publish(json!({ "binary": "no base64!" })), Code::BadRequest, "base64"),
        (publish(json!({ "data": big })), Code::TooLarge, "send less"),
        (publish(json!({ "data": 1, "name": "n".repeat(256) })), Code::TooLarge, "255"),
        (publish(json!({ "data": deep })), Code::BadRequest, "flatter"),
        (publish(json!({ "data": 1, "channel": "no-colon" })), Code::BadRequest, "room:7"),
        (publish(json!({ "data": 1, "channel": "disk:*" })), Code::BadRequest, "'*'"),
        (publish(json!({ "data": 1, "channel": "unknown:a" })), Code::Forbidden, "publish = \"anyone\""),
        (publish(json!({ "data": 1, "channel": "closed:a" })), Code::Forbidden, "publish = \"anyone\""),
        (json!({ "type": "publish", "id": 7, "data": 1 }), Code::BadRequest, "name the channel"),
        (
            json!({ "type": "history", "id": 7, "channel": "closed:a" }),
            Code::Forbidden,
            "history = \"anyone\"",
        ),
        (json!({ "type": "history", "id": 7, "channel": "disk:a", "limit": 0 }), Code::Limit, "1 to 256"),
        (json!({ "type": "history", "id": 7, "channel": "disk:a", "limit": 257 }), Code::Limit, "1 to 256"),
        (
            json!({ "type": "history", "id": 7, "channel": "disk:a", "before": "x", "after": "y" }),
            Code::BadRequest,
            "not both",
        ),
        (
            json!({ "type": "history", "id": 7, "channel": "disk:a", "before": "x" }),
            Code::BadRequest,
            "handed out",
        ),
        (json!({ "type": "history", "id": 7, "channel": "disk:*" }), Code::BadRequest, "'*'"),
    ]
}

/// Texts that are no frame at all, or hold data that is no JSON.
const BAD_TEXTS: [(&str, &str); 7] = [
    (r#"{"type":"publish","id":7,"channel":"disk:a","data":"#, "malformed"),
    ("[1,2]", "one JSON object"),
    ("hello", "one JSON object"),
    (r#"{"type":"publish","id":7,"channel":"disk:a","data":"\ud800"}"#, "not valid JSON"),
    (r#"{"type":"publish","id":7,"channel":"disk:a","data":1e999}"#, "not valid JSON"),
    (r#"{"type":"publish","id":7,"channel":"disk:a","data":01}"#, "malformed"),
    (r#"{"type":"publish","id":"seven","channel":"disk:a","data":1}"#, "malformed"),
];

const TWO_WAY: [&dyn Carrier; 4] = [&WEBSOCKET, &WEBSOCKET_BINARY, &TCP, &TCP_BINARY];

// Mutant: `retry` true for `unsupported` -> fails. A parser that ignores `producer` -> fails.
#[test]
fn frames_that_cannot_be_carried_out_are_refused_alike_and_the_connection_goes_on() {
    let texts = BAD_TEXTS.map(|(text, next)| (text.to_owned(), Code::BadRequest, next));
    let frames = bad_frames().into_iter().map(|(frame, code, next)| (frame.to_string(), code, next));
    let all: Vec<_> = frames.chain(texts).collect();
    block_on(async {
        let ground = Ground::start(&POLL).await;
        let mut watch = ground.follow_live(&["disk:a"]).await;
        for carrier in TWO_WAY {
            let ask = Ask::new(&["mem:a"], Begin::Now);
            let mut line = Line::open(carrier, &ground.place, ask, 3).await.unwrap();
            line.live().await;
            for (text, code, next) in &all {
                line.say(text);
                let error = line.frame("error").await;
                check_error(&format!("{} of {text:.80}", carrier.name()), &error, *code, next, text);
                line.say(r#"{"type":"ping","id":8}"#);
                assert_eq!(line.frame("ok").await["id"], 8, "{text:.80}");
            }
        }
        let mut client = ground.client().await;
        let lines_of_frames = [header("Content-Type", "application/x-ndjson")];
        for (text, code, next) in &all {
            // Among others, line by line.
            let body = format!("{{\"type\":\"ping\",\"id\":6}}\n{text}\n{{\"type\":\"ping\",\"id\":8}}\n");
            let answered = client.ask("POST", "/v1/send", &lines_of_frames, body.as_bytes()).await;
            let said = String::from_utf8(answered.body).unwrap();
            let lines: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            assert_eq!((lines.len(), &lines[0]["id"], &lines[2]["id"]), (3, &json!(6), &json!(8)), "{said}");
            check_error(&format!("send of {text:.80}"), &lines[1], *code, next, text);
            // The plain form.
            if text.contains("publish") {
                let refusal = client.post("/v1/publish", text).await.refusal().expect("a problem");
                assert_eq!(
                    (refusal.code.as_str(), refusal.status),
                    (code.name(), code.http_status()),
                    "{text:.80}"
                );
                let whole = text.starts_with('{') && serde_json::from_str::<Value>(text).is_ok();
                assert!(!whole || refusal.message.contains(next), "{refusal:?}");
            }
        }
        // None of it was stored.
        client.post("/v1/publish", r#"{"channel":"disk:a","data":"good"}"#).await;
        assert_eq!(watch.event().await.seq, 1);
    });
}

fn check_error(about: &str, error: &Value, code: Code, next: &str, text: &str) {
    assert_eq!(error["code"], code.name(), "{about}: {error}");
    assert!(error["message"].as_str().unwrap().contains(next), "{about}: {error} says nothing of {next:?}");
    assert_eq!((&error["retry"], &error["retry_after_ms"]), (&json!(false), &json!(0)), "{about}");
    if serde_json::from_str::<Value>(text).is_ok_and(|frame| frame["id"] == 7) {
        assert_eq!(error["id"], 7, "{about}: {error}");
    }
}

#[test]
fn bytes_that_are_no_text_are_refused_where_they_are() {
    block_on(async {
        let ground = Ground::start(&POLL).await;
        let bad = b"{\"type\":\"ping\",\"id\":7,\"x\":\"\xff\"}";
        for (carrier, bytes) in [(&TCP, [&bad[..], b"\n"].concat()), (&TCP_BINARY, wrap_json(bad).to_vec())] {
            let mut line =
                Line::open(carrier, &ground.place, Ask::new(&["disk:a"], Begin::Now), 3).await.unwrap();
            line.live().await;
            line.push(&bytes);
            let error = line.frame("error").await;
            assert_eq!(error["code"], "bad_request");
            assert!(error["message"].as_str().unwrap().contains("UTF-8"), "{error}");
            line.say(r#"{"type":"ping","id":8}"#);
            assert_eq!(line.frame("ok").await["id"], 8);
        }
        // A kind of frame that clients do not send.
        let mut line =
            Line::open(&TCP_BINARY, &ground.place, Ask::new(&["disk:a"], Begin::Now), 3).await.unwrap();
        line.live().await;
        line.push(&[0, 0, 0, 2, 9, 9]);
        assert_eq!(line.refusal().await.code, "bad_request");
        line.say(r#"{"type":"ping","id":8}"#);
        assert_eq!(line.frame("ok").await["id"], 8);
        let mut client = ground.client().await;
        let lines = [header("Content-Type", "application/x-ndjson")];
        let answered = client
            .ask("POST", "/v1/send", &lines, &[&bad[..], b"\n{\"type\":\"ping\",\"id\":8}"].concat())
            .await;
        let said = String::from_utf8(answered.body).unwrap();
        assert!(
            said.starts_with(r#"{"type":"error","code":"bad_request""#) && said.contains("\"id\":8"),
            "{said}"
        );
        for path in ["/v1/publish", "/v1/poll", "/v1/sse"] {
            let answered = client.ask("POST", path, &[header("Content-Type", "application/json")], bad).await;
            let refusal = answered.refusal().expect("a problem");
            assert_eq!((refusal.code.as_str(), refusal.status), ("bad_request", 400), "{path}");
            assert!(refusal.message.contains("UTF-8"), "{refusal:?}");
        }
    });
}

// Mutants: `send_lines` carrying out every history -> a body of 1 MiB is answered by gigabytes; taking any number of
// lines -> a hundred times its size in refusals.
#[test]
fn one_send_cannot_ask_for_more_than_its_answer_may_hold() {
    block_on(async {
        let ground = Ground::start(&POLL).await;
        ground.publish_padded("disk:a", 1, 300, 1_000).await;
        let mut client = ground.client().await;
        let history = "{\"type\":\"history\",\"id\":1,\"channel\":\"disk:a\",\"limit\":256}\n";
        let body = [&history.repeat(20), "{\"type\":\"ping\",\"id\":2}\n"].concat();
        let said = String::from_utf8(client.post("/v1/send", &body).await.body).unwrap();
        let lines: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let types: Vec<&str> = lines.iter().filter_map(|line| line["type"].as_str()).collect();
        assert_eq!(types, [vec!["ok"; 16], vec!["error"; 4], vec!["ok"]].concat());
        check_error("the 17th", &lines[16], Code::Limit, "another request", history);
        let ping = "{\"type\":\"ping\"}\n";
        assert_eq!(
            client
                .post("/v1/send", &ping.repeat(10_000))
                .await
                .body
                .iter()
                .filter(|&&byte| byte == b'\n')
                .count(),
            10_000
        );
        let refusal = client.post("/v1/send", &ping.repeat(10_001)).await.refusal().expect("a problem");
        assert_eq!(refusal.code, "limit");
        assert!(refusal.message.contains("several requests"), "{refusal:?}");
    });
}
