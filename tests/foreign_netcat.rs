//! netcat on the TCP port: what a shell with a pipe can do.

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use sosik_server::Running;
use sosik_tests::{
    process::{Process, publish},
    server::demo,
};

const HELLO: &str = r#"{"type":"hello","protocol":1}"#;
const SUBSCRIBE: &str = r#"{"type":"subscribe","id":1,"channels":["demo:lobby"],"after":"start"}"#;

async fn nc(server: &Running, options: &[&str], input: &[u8]) -> Process {
    let tcp = server.tcp.unwrap();
    let (host, port) = (tcp.ip().to_string(), tcp.port().to_string());
    let mut nc = Process::start("nc", &[options, &[&host, &port]].concat()).unwrap();
    nc.write(input, true).await.unwrap();
    nc
}

fn lines(seen: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(seen).unwrap();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn has(seen: &[u8], text: &str) -> bool {
    seen.ends_with(b"\n") && lines(seen).iter().any(|line| line["data"] == text)
}

// Mutants: the end of the input taken for the end of the connection (`listens_after_end` false); the first byte lost ->
// each fails. -N sends the end of the input on; without it nc keeps it to itself.
#[tokio::test]
async fn netcat_goes_on_receiving_after_its_input_has_ended() {
    let server = demo().await.unwrap();
    for options in [&["-N"][..], &[]] {
        let input = format!("{HELLO}\n{SUBSCRIBE}\n");
        let mut nc = nc(&server, options, input.as_bytes()).await;
        nc.until(|seen| lines(seen).iter().any(|line| line["type"] == "caught_up")).await.unwrap();
        let said = format!("after the end, {options:?}");
        publish(server.http, &json!(said)).await.unwrap();
        let seen = nc.until(|seen| has(seen, &said)).await.unwrap();
        let lines = lines(seen);
        assert_eq!((&lines[0]["type"], &lines[1]["type"]), (&json!("welcome"), &json!("ok")), "{lines:?}");
    }
}

// Mutant: a connection without a feed kept open after its input has ended -> nc never ends.
#[tokio::test]
async fn netcat_publishes_is_answered_and_ends() {
    let server = demo().await.unwrap();
    let publish = r#"{"type":"publish","id":5,"channel":"demo:lobby","data":"by nc"}"#;
    let nc = nc(&server, &["-N"], format!("{HELLO}\r\n{publish}\r\n").as_bytes()).await;
    let lines = lines(&nc.end().await.unwrap());
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!((&lines[1]["type"], &lines[1]["id"], &lines[1]["seq"]), (&json!("ok"), &json!(5), &json!(1)));
}

/// The bodies of the length-prefixed frames that are whole.
fn frames(mut seen: &[u8]) -> Vec<&[u8]> {
    let mut frames = Vec::new();
    while let Some((length, rest)) = seen.split_first_chunk::<4>() {
        let length = u32::from_be_bytes(*length) as usize;
        let Some((frame, rest)) = rest.split_at_checked(length) else { break };
        frames.push(frame);
        seen = rest;
    }
    frames
}

// Mutants: the length without the kind; JSON lines answered to binary frames -> each fails.
#[tokio::test]
async fn netcat_speaks_length_prefixed_frames() {
    let server = demo().await.unwrap();
    publish(server.http, &json!("in binary")).await.unwrap();
    let frame = |json: &str| [&(json.len() as u32 + 1).to_be_bytes()[..], &[0], json.as_bytes()].concat();
    let mut nc = nc(&server, &[], &[frame(HELLO), frame(SUBSCRIBE)].concat()).await;
    let seen = nc.until(|seen| frames(seen).len() >= 4).await.unwrap();
    let frames = frames(seen);
    let json = |at: usize| {
        assert_eq!(frames[at][0], 0, "kind 0 is JSON");
        serde_json::from_slice::<Value>(&frames[at][1..]).unwrap()["type"].clone()
    };
    assert_eq!([json(0), json(1), json(3)], ["welcome", "ok", "caught_up"]);
    assert_eq!(frames[2][0], 1, "kind 1 is an event");
    let payload = b"\"in binary\"";
    assert!(frames[2].windows(payload.len()).any(|part| part == payload), "{:?}", frames[2]);
}

// Mutant: the first byte not looked at -> a browser that is tricked into posting here publishes.
#[tokio::test]
async fn an_http_request_on_the_tcp_port_is_closed_without_a_word() {
    let server = demo().await.unwrap();
    let request = format!("POST / HTTP/1.1\r\nHost: x\r\n\r\n{HELLO}\n");
    let nc = nc(&server, &[], request.as_bytes()).await;
    assert_eq!(nc.end().await.unwrap(), b"");
}
