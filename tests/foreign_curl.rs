//! curl, with nothing but its own options, against every HTTP path that a person would try.

#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;

use serde_json::{Value, json};
use sosik_tests::{
    process::{Process, curl, curl_starts, publish},
    server::{demo, open, until},
    workspace,
};
use sosik_wire::TransportName;

const LOBBY: &str = "channel=demo:lobby";

async fn say(http: SocketAddr, data: &Value) -> Value {
    publish(http, data).await.unwrap()
}

fn json_of(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or_else(|error| panic!("{error}: {}", text(bytes)))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// An event's frame, byte for byte, by what only the server knows.
fn event_line(seq: u64, data: &str, epoch: &Value, time: &Value, cursor: &Value) -> String {
    format!(
        r#"{{"type":"event","channel":"demo:lobby","epoch":{epoch},"seq":{seq},"time":{time},"data":{data},"cursor":{cursor}}}"#
    )
}

// Mutants: data stored as written (`normalise` left out); the line feed of the answer left out; no cursor in the `ok`
// -> each fails.
#[tokio::test]
async fn publish_and_poll_by_curl_are_exact_to_the_byte() {
    let server = demo().await.unwrap();
    let http = server.http;
    let pretty =
        "{ \"channel\" : \"demo:lobby\",\r\n \"data\" : { \"a\" : [ 1,\n 2 ],\n \"b\" : \"x y\u{2028}\" } }";
    let ok = curl(&["--json", pretty, &format!("http://{http}/v1/publish")]).await.unwrap();
    let said = json_of(&ok);
    let (epoch, cursor) = (&said["epoch"], &said["cursor"]);
    assert_eq!(
        text(&ok),
        format!(
            r#"{{"type":"ok","channel":"demo:lobby","epoch":{epoch},"seq":1,"durability":"memory","duplicate":false,"cursor":{cursor}}}"#
        ) + "\n"
    );

    let poll = format!("http://{http}/v1/poll?{LOBBY}&after=start");
    let answer = curl(&[&poll]).await.unwrap();
    let time = &json_of(&answer)["frames"][0]["time"];
    let event = event_line(1, "{\"a\":[1,2],\"b\":\"x y\u{2028}\"}", epoch, time, cursor);
    assert_eq!(
        text(&answer),
        format!(r#"{{"frames":[{event}],"cursor":{cursor},"more":false,"next_ms":200}}{}"#, '\n')
    );

    let head = text(&curl(&["--include", &poll]).await.unwrap()).to_ascii_lowercase();
    let etag = head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap();
    let unchanged = curl(&["--include", "--header", &format!("If-None-Match: {etag}"), &poll]).await.unwrap();
    let unchanged = text(&unchanged);
    assert!(unchanged.starts_with("HTTP/1.1 304 ") && unchanged.ends_with("\r\n\r\n"), "{unchanged}");
}

// Mutants: a long-poll that answers at once whatever it finds; one that answers only when its wait ends -> each fails.
#[tokio::test]
async fn long_poll_by_curl_is_held_until_there_is_news() {
    let server = demo().await.unwrap();
    let http = server.http;
    let cursor = say(http, &json!(1)).await["cursor"].as_str().unwrap().to_owned();
    let ask = |wait: u64| format!("http://{http}/v1/long-poll?{LOBBY}&after={cursor}&wait={wait}");
    let empty = curl(&[&ask(0)]).await.unwrap();
    assert_eq!(
        text(&empty),
        format!("{{\"frames\":[],\"cursor\":\"{cursor}\",\"more\":false,\"rearm_ms\":0}}\n")
    );

    let held = curl_starts(&["--write-out", "%{http_code} %{time_total}", &ask(50)]).unwrap();
    until("the long-poll is held", || open(&server, TransportName::LongPoll) > 0).await;
    let ok = say(http, &json!("news")).await;
    let answer = text(&held.end().await.unwrap());
    let (body, code) = answer.split_at(answer.rfind('\n').unwrap() + 1);
    assert!(code.starts_with("200 "), "{answer}");
    let body = json_of(body.as_bytes());
    assert_eq!((&body["frames"][0]["data"], &body["cursor"]), (&json!("news"), &ok["cursor"]), "{answer}");
    let seconds: f64 = code[4..].parse().unwrap();
    assert!(seconds < 40.0, "answered by the news and not by the end of the wait: {seconds} s");
}

// Mutants: no cursor in the welcome; the line feed of a frame left out -> each fails.
#[tokio::test]
async fn stream_by_curl_is_live_and_one_object_per_line() {
    let server = demo().await.unwrap();
    let http = server.http;
    let first = say(http, &json!(1)).await;
    let mut stream = curl_starts(&[&format!("http://{http}/v1/stream?{LOBBY}")]).unwrap();
    let seen = text(stream.until(|seen| seen.contains(&b'\n')).await.unwrap());
    let welcome = json_of(seen.lines().next().unwrap().as_bytes());
    assert_eq!((&welcome["type"], &welcome["cursor"]), (&json!("welcome"), &first["cursor"]), "{seen}");

    let ok = say(http, &json!({"text": "live"})).await;
    let seen = text(stream.until(|seen| text(seen).contains("live") && seen.ends_with(b"\n")).await.unwrap());
    let line = seen.lines().find(|line| line.contains("live")).unwrap();
    let event = json_of(line.as_bytes());
    assert_eq!(
        line,
        event_line(2, r#"{"text":"live"}"#, &ok["epoch"], &event["time"], &ok["cursor"]),
        "{seen}"
    );
}

// Mutants: `after` winning over Last-Event-ID; an `event:` line on events; an `id:` missing on the welcome -> each fails.
#[tokio::test]
async fn sse_by_curl_resumes_from_last_event_id() {
    let server = demo().await.unwrap();
    let http = server.http;
    let first = say(http, &json!(1)).await;
    let second = say(http, &json!(2)).await;
    let from = first["cursor"].as_str().unwrap();
    let url = format!("http://{http}/v1/sse?{LOBBY}&after=start");
    let mut sse = curl_starts(&["--header", &format!("Last-Event-ID: {from}"), &url]).unwrap();
    let seen = text(sse.until(|seen| text(seen).contains("caught_up\"}\n\n")).await.unwrap());
    let frames: Vec<&str> = seen.split("\n\n").collect();
    let welcome =
        frames[0].strip_prefix(&format!("retry: 3000\nid: {from}\nevent: welcome\ndata: ")).unwrap();
    assert_eq!(json_of(welcome.as_bytes())["type"], "welcome");

    let (epoch, cursor) = (&second["epoch"], second["cursor"].as_str().unwrap());
    let data = frames[1].strip_prefix(&format!("id: {cursor}\ndata: ")).unwrap_or_else(|| panic!("{seen}"));
    let time = &json_of(data.as_bytes())["time"];
    assert_eq!(data, event_line(2, "2", epoch, time, &json!("")).replace(",\"cursor\":\"\"", ""));
    assert_eq!(
        frames[2..],
        [&format!("id: {cursor}\nevent: caught_up\ndata: {{\"type\":\"caught_up\"}}") as &str, ""]
    );
}

// Mutant: HTTP/1.0 refused -> fails. That no chunk is written is hyper's, and looked at because we rely on it.
#[tokio::test]
async fn http_1_0_gets_bodies_without_chunks() {
    let server = demo().await.unwrap();
    let http = server.http;
    say(http, &json!("one")).await;
    let args = ["--http1.0", "--include"];
    let poll = text(
        &curl(&[args[0], args[1], &format!("http://{http}/v1/poll?{LOBBY}&after=start")]).await.unwrap(),
    );
    let (head, body) = poll.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(" 200 ") && !head.to_ascii_lowercase().contains("transfer-encoding"), "{poll}");
    assert_eq!(json_of(body.as_bytes())["frames"][0]["data"], "one");

    // --raw: curl would take chunks apart, also where they must not be.
    for path in ["stream", "sse"] {
        let url = format!("http://{http}/v1/{path}?{LOBBY}&after=start");
        let mut live = curl_starts(&[args[0], args[1], "--raw", &url]).unwrap();
        live.until(|seen| text(seen).contains("\"one\"")).await.unwrap();
        say(http, &json!(format!("live on {path}"))).await;
        let seen = live.until(|seen| text(seen).contains(&format!("live on {path}"))).await.unwrap();
        let seen = text(seen);
        let (head, body) = seen.split_once("\r\n\r\n").unwrap();
        assert!(!head.to_ascii_lowercase().contains("transfer-encoding"), "{seen}");
        assert!(!body.contains('\r'), "no chunk header: {seen}");
    }
}

// Mutant: a feed that is kept after its answer was dropped -> the figures never fall back.
#[tokio::test]
async fn head_is_answered_at_once_on_every_reading_path() {
    let server = demo().await.unwrap();
    for (path, media_type) in [
        ("v1/poll", "application/json"),
        ("v1/long-poll", "application/json"),
        ("v1/stream", "application/x-ndjson"),
        ("v1/sse", "text/event-stream"),
        ("", "text/html"),
    ] {
        let url = format!("http://{}/{path}?{LOBBY}&wait=0", server.http);
        let head = text(&curl(&["--head", "--max-time", "10", &url]).await.unwrap()).to_ascii_lowercase();
        assert!(head.starts_with("http/1.1 200 "), "{path}: {head}");
        assert!(head.contains(&format!("content-type: {media_type}")), "{path}: {head}");
    }
    for transport in [TransportName::Stream, TransportName::Sse] {
        until("the feed of a HEAD has ended", || open(&server, transport) == 0).await;
    }
}

// Mutant: a plain GET of the WebSocket path answered 400, or without `Upgrade` -> fails.
#[tokio::test]
async fn plain_get_of_the_websocket_path_is_426() {
    let server = demo().await.unwrap();
    let answer = text(&curl(&["--include", &format!("http://{}/v1/websocket", server.http)]).await.unwrap());
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let head = head.to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 426 upgrade required\r\n"), "{head}");
    assert!(
        head.contains("\r\nupgrade: websocket\r\n") && head.contains("application/problem+json"),
        "{head}"
    );
    assert!(head.lines().any(|line| line == "connection: upgrade"), "{head}");
    assert_eq!(json_of(body.as_bytes())["code"], "upgrade");
}

// Mutant: the key of the example left out -> a second `seq`.
#[tokio::test]
async fn the_example_of_publishing_once_can_be_run_again_and_again() {
    let server = demo().await.unwrap();
    let page = std::fs::read_to_string(workspace::root().join("docs/protocol/once.md")).unwrap();
    let example = page.split("```sh\n").nth(1).unwrap().split("```").next().unwrap().trim();
    assert!(example.starts_with("curl ") && example.contains("http://localhost:7171/"), "{example}");
    let example = example.replace("http://localhost:7171", &format!("http://{}", server.http));
    let mut first = Value::Null;
    for duplicate in [false, true, true] {
        let mut shell =
            Process::start("sh", &["-c", &example.replacen("curl ", "curl --silent --noproxy '*' ", 1)])
                .unwrap();
        let said = json_of(shell.until(|bytes| bytes.ends_with(b"\n")).await.unwrap());
        assert_eq!(said["duplicate"], duplicate, "{said}");
        if first.is_null() {
            first = said;
        } else {
            assert_eq!((&said["seq"], &said["cursor"]), (&first["seq"], &first["cursor"]));
        }
    }
}
