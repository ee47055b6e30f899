//! Python's `websockets` on `/v1/websocket`: handshake, masking, pings and fragments as somebody else understood them.

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use sosik_tests::{
    foreign::{Ran, websocket, websocket_cases, websocket_parts},
    process::publish,
    server::{demo, lab},
};

fn types(lines: &[Value]) -> Vec<&str> {
    lines.iter().map(|line| line["type"].as_str().unwrap()).collect()
}

// Mutants: the first event skipped; a length that counts one byte too many; the subprotocol not echoed -> each fails.
#[tokio::test]
async fn python_websockets_follows_from_the_start() {
    let server = demo().await.unwrap();
    for number in 1..=3 {
        publish(server.http, &json!({ "n": number, "text": "소식\u{2028}" })).await.unwrap();
    }
    let url = format!("ws://{}/v1/websocket", server.http);
    let subscribe = r#"{"type":"subscribe","id":7,"channels":["demo:lobby"],"after":"start"}"#;
    let lines = websocket(&url, r#"{"type":"hello","protocol":1}"#, subscribe, 6).await.unwrap().expect_ok();
    assert_eq!(types(&lines), ["welcome", "ok", "event", "event", "event", "caught_up"]);
    assert_eq!(lines[1]["id"], 7);
    for (number, line) in (1..).zip(&lines[2..5]) {
        assert_eq!(
            (&line["seq"], &line["data"]),
            (&json!(number), &json!({"n": number, "text": "소식\u{2028}"}))
        );
    }
    assert_eq!(lines[5]["cursor"], lines[4]["cursor"]);
}

// Mutants: a message of several fragments dropped; pings not answered -> each fails.
#[tokio::test]
async fn python_websockets_publishes_in_fragments_and_pings_between_them() {
    let server = demo().await.unwrap();
    let url = format!("ws://{}/v1/websocket", server.http);
    let lines = websocket_parts(&url, "demo:lobby", "여러 조각 ✓").await.unwrap().expect_ok();
    let event = lines.iter().find(|line| line["type"] == "event").unwrap();
    assert_eq!(event["data"], "여러 조각 ✓");
    let ok = lines.iter().find(|line| line["id"] == 2).unwrap();
    assert_eq!((&ok["type"], &ok["seq"]), (&json!("ok"), &event["seq"]));
    assert_eq!(lines[lines.len() - 2..], [json!({"pong": true}), json!({"pong": true})]);
}

// Mutant: a refused connection that is closed without a close frame -> the code is 1006.
#[tokio::test]
async fn python_websockets_is_told_why_it_is_closed() {
    let server = demo().await.unwrap();
    let url = format!("ws://{}/v1/websocket", server.http);
    let ran: Ran = websocket(&url, r#"{"type":"ping","id":1}"#, "", 9).await.unwrap();
    assert!(!ran.ok, "{ran:?}");
    let goodbye = &ran.lines[0];
    assert_eq!((&goodbye["type"], &goodbye["code"]), (&json!("goodbye"), &json!(4000)), "{ran:?}");
    assert_eq!(ran.lines[1], json!({"close": 4000, "reason": "bad_request"}), "{ran:?}");
}

// Mutants: one of the reserved bits let through; text looked at when its frame is whole; a close not answered; pings
// forgotten when a pong comes; pongs sent behind the message that was read after them -> each fails.
#[tokio::test]
async fn python_websockets_finds_what_rfc_6455_asks_for_case_by_case() {
    let server = lab().await.unwrap();
    let lines = websocket_cases(&format!("ws://{}/lab/echo", server.http)).await.unwrap().expect_ok();
    // A list that was cut short would pass too.
    assert!(lines[0]["cases"].as_u64().is_some_and(|cases| cases > 580), "{lines:?}");
}
