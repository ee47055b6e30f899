//! Requests and connections that cannot be served: each ends, or goes on, with its documented code and what to do next.

#![allow(clippy::unwrap_used)]

use serde_json::json;
use sosik_lab::checker::Observed;
use sosik_testkit::{
    carriers::{
        Ask, Begin, Carrier, Line, News, POLL, TCP, TCP_BINARY, WEBSOCKET, WEBSOCKET_BINARY,
        http::{Answered, header, request},
        masked, upgrade,
    },
    transport_suite::{Ground, block_on},
};
use sosik_wire::{Code, Goodbye, binary::wrap_json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

fn check_problem(about: &str, answered: &Answered, code: Code, next: &str) {
    let refusal = answered.refusal().unwrap_or_else(|| panic!("{about}: {answered:?}"));
    assert_eq!(
        (refusal.code.as_str(), refusal.status),
        (code.name(), code.http_status()),
        "{about}: {refusal:?}"
    );
    assert!(refusal.message.contains(next), "{about}: {refusal:?} says nothing of {next:?}");
    assert_eq!(answered.head.header("Content-Type"), Some("application/problem+json"), "{about}");
    assert_eq!(answered.head.header("Cache-Control"), Some("no-store"), "{about}");
    let problem = answered.json();
    assert_eq!(
        (&problem["title"], &problem["type"]),
        (&json!(code.phrase()), &json!("about:blank")),
        "{about}"
    );
}

/// Method, target, headers, body, the code, and a word of what to do next.
type BadRequest = (&'static str, &'static str, Vec<(String, String)>, Vec<u8>, Code, &'static str);

// Mutant: the guard takes the first of two headers -> two Hosts pass.
#[test]
fn requests_that_cannot_be_served_are_problems_and_the_connection_goes_on() {
    let host = || header("Content-Type", "application/json");
    let many: Vec<_> = (0..110).map(|number| header(&format!("X-{number}"), "x")).collect();
    let events = format!("[{}]", vec![r#"{"channel":"disk:a","data":1}"#; 1_001].join(","));
    #[rustfmt::skip]
    let table: Vec<BadRequest> = vec![
        ("DELETE", "/v1/poll?channel=disk:a", vec![], vec![], Code::Method, "GET"),
        ("PUT", "/v1/publish", vec![host()], b"{}".to_vec(), Code::Method, "POST"),
        ("GET", "/v1/publish", vec![], vec![], Code::Method, "POST"),
        ("GET", "/v1/nothing", vec![], vec![], Code::NotFound, "/v1/"),
        ("GET", "/v1/websocket", vec![], vec![], Code::Upgrade, "another transport"),
        ("GET", "/v1/poll", vec![], vec![], Code::BadRequest, "?channel=room:7"),
        ("GET", "/v1/long-poll?channel=disk:a&wait=soon", vec![], vec![], Code::BadRequest, "whole number"),
        ("GET", "/v1/poll?channel=disk:a&last=-1", vec![], vec![], Code::BadRequest, "whole number"),
        ("GET", "/v1/history?channel=disk:a&limit=1000", vec![], vec![], Code::Limit, "1 to 256"),
        ("GET", "/v1/history?channel=closed:a", vec![], vec![], Code::Forbidden, "history = \"anyone\""),
        ("POST", "/v1/poll", vec![host()], b"{\"channels\":[]}".to_vec(), Code::BadRequest, "at least one"),
        ("POST", "/v1/poll", vec![host()], b"[]".to_vec(), Code::BadRequest, "one JSON object"),
        ("POST", "/v1/publish", vec![host()], b"[]".to_vec(), Code::BadRequest, "at least one"),
        ("POST", "/v1/publish", vec![host()], events.into_bytes(), Code::Limit, "several requests"),
        ("POST", "/v1/publish", vec![host()], br#"[{"channel":"disk:a","data":1},{"channel":"mem:a","data":1}]"#.to_vec(), Code::BadRequest, "publish them apart"),
        ("POST", "/v1/publish", vec![header("Content-Type", "text/plain")], b"{}".to_vec(), Code::MediaType, "application/json"),
        ("POST", "/v1/publish", vec![], b"{}".to_vec(), Code::MediaType, "application/json"),
        ("POST", "/v1/publish", vec![host(), header("Idempotency-Key", "a b")], br#"{"channel":"disk:a","data":1}"#.to_vec(), Code::BadRequest, "visible ASCII"),
        ("POST", "/v1/send", vec![host()], b"\n\n".to_vec(), Code::BadRequest, "one frame on each line"),
        ("GET", "/v1/poll?channel=disk:a", vec![header("Origin", "https://evil.example")], vec![], Code::Forbidden, "--allow-origin https://evil.example"),
        ("GET", "/v1/poll?channel=disk:a", vec![header("Host", "b.example")], vec![], Code::BadRequest, "send one"),
        ("GET", "/v1/poll?channel=disk:a", many, vec![], Code::HeadTooLarge, "100"),
        ("GET", "/v1/poll?channel=disk:a", vec![header("X", &"x".repeat(70_000))], vec![], Code::HeadTooLarge, "65536"),
    ];
    block_on(async {
        let ground = Ground::start(&POLL).await;
        let mut client = ground.client().await;
        for (method, target, headers, body, code, next) in table {
            let about = format!("{method} {target} {:.60}", format!("{headers:?}"));
            let answered = client.ask(method, target, &headers, &body).await;
            check_problem(&about, &answered, code, next);
            if code == Code::Method {
                assert!(answered.head.header("Allow").is_some_and(|allow| allow.contains(next)), "{about}");
            }
            assert_ne!(answered.head.header("Connection"), Some("close"), "{about}");
            assert_eq!(client.get("/v1/poll?channel=disk:a").await.status(), 200, "after {about}");
        }
    });
}

#[test]
fn a_request_without_the_one_host_that_is_ours_is_refused() {
    block_on(async {
        let ground = Ground::start(&POLL).await;
        for (hosts, code, next) in [
            ("", Code::BadRequest, "needs one"),
            ("Host: evil.example\r\n", Code::Misdirected, "--public-url http://evil.example"),
            ("Host: localhost\r\nHost: localhost\r\n", Code::BadRequest, "send one"),
            ("Host: a b\r\n", Code::BadRequest, "no host and port"),
        ] {
            let mut client = ground.client().await;
            client.write(format!("GET /v1/poll?channel=disk:a HTTP/1.1\r\n{hosts}\r\n").as_bytes()).await;
            check_problem(hosts, &client.answer().await.expect("an answer"), code, next);
        }
        let mut client = ground.client().await;
        client.write(b"GET /v1/poll?channel=disk:a HTTP/1.0\r\n\r\n").await;
        assert_eq!(client.answer().await.unwrap().status(), 200, "HTTP/1.0 needs no Host");
    });
}

// Mutant: what came of a body taken for the whole, when it is cut off or late -> an event is stored.
#[test]
fn a_body_that_is_cut_off_or_does_not_come_does_nothing() {
    block_on(async {
        let ground = Ground::with(&POLL, |options| options.settings.body_ms = 300).await;
        let json = [header("Content-Type", "application/json")];
        let body = br#"{"channel":"disk:a","data":1}"#;
        let whole = request("POST", "/v1/publish", ground.place.http, &json, body);
        for path_is_send in [false, true] {
            let whole = match path_is_send {
                true => String::from_utf8_lossy(&whole).replace("/v1/publish", "/v1/send").into_bytes(),
                false => whole.clone(),
            };
            let mut client = ground.client().await;
            client.write(&whole[..whole.len() - 1]).await;
            client.socket.shutdown().await.unwrap();
            if let Some(answered) = client.answer().await {
                check_problem("cut off", &answered, Code::BadRequest, "nothing was done");
            }
            let mut client = ground.client().await;
            client.write(&whole[..whole.len() - 1]).await;
            check_problem("late", &client.answer().await.unwrap(), Code::Stalled, "nothing was done");
        }
        let page = ground.client().await.get("/v1/history?channel=disk:a").await.json();
        assert_eq!(page["frames"], json!([]));
    });
}

#[test]
fn conversations_that_begin_wrong_end_with_the_reason() {
    block_on(async {
        let ground = Ground::with(&POLL, |options| options.settings.hello_ms = 400).await;
        for (first, goodbye) in [
            (r#"{"type":"subscribe","id":1,"channels":["disk:a"]}"#, Goodbye::BadRequest),
            (r#"{"type":"ping","id":1}"#, Goodbye::BadRequest),
            (r#"{"type":"hello","protocol":2}"#, Goodbye::Version),
            (r#"{"type":"hello","token":"x"}"#, Goodbye::BadRequest),
            ("{}", Goodbye::BadRequest),
            // The hello does not come.
            ("", Goodbye::BadRequest),
        ] {
            let tcp = if first.is_empty() { "{".to_owned() } else { format!("{first}\n") };
            let binary = if first.is_empty() { vec![0] } else { wrap_json(first.as_bytes()).to_vec() };
            let mut ends = vec![
                (Line::raw(&TCP, &ground.place, tcp.as_bytes()).await, false),
                (Line::raw(&TCP_BINARY, &ground.place, &binary).await, false),
            ];
            let mut handshake = upgrade(ground.place.http, "sosik.v1.json");
            if !first.is_empty() {
                handshake.extend(masked(1, first.as_bytes(), [1, 2, 3, 4]));
            }
            ends.push((Line::raw(&WEBSOCKET, &ground.place, &handshake).await, true));
            for (mut line, websocket) in ends {
                let said = line.frame("goodbye").await;
                let about = format!("{first} over {}: {said}", line.carrier().name());
                assert_eq!(said["code"], goodbye.number(), "{about}");
                assert_eq!(
                    (&said["name"], &said["retry"]),
                    (&json!(goodbye.name()), &json!(false)),
                    "{about}"
                );
                if websocket {
                    let close = format!("websocket close {}", goodbye.number());
                    assert!(
                        matches!(line.next().await, News::Seen(Observed::Other { kind, .. }) if kind == close)
                    );
                }
                assert_eq!(line.next().await, News::Ended, "{about}");
            }
        }
        // Said twice is refused, and the conversation goes on.
        for carrier in [&WEBSOCKET as &dyn Carrier, &WEBSOCKET_BINARY, &TCP, &TCP_BINARY] {
            let mut line =
                Line::open(carrier, &ground.place, Ask::new(&["disk:a"], Begin::Now), 3).await.unwrap();
            line.live().await;
            line.say(r#"{"type":"hello"}"#);
            assert_eq!(line.refusal().await.code, "bad_request");
            line.say(r#"{"type":"subscribe","id":5,"channels":["disk:b"],"presence":true}"#);
            assert_eq!(line.refusal().await.code, "unsupported");
            line.say(r#"{"type":"ping","id":8}"#);
            assert_eq!(line.frame("ok").await["id"], 8);
        }
    });
}

#[test]
fn handshakes_that_cannot_be_served_are_problems() {
    block_on(async {
        let ground = Ground::start(&POLL).await;
        let good = String::from_utf8(upgrade(ground.place.http, "sosik.v1.json")).unwrap();
        for (from, to, code, next) in [
            ("sosik.v1.json", "chat, soap", Code::BadRequest, "offer sosik.v1.json or sosik.v1.bin"),
            ("Upgrade: websocket", "X: y", Code::Upgrade, "another transport"),
            ("Version: 13", "Version: 8", Code::Upgrade, "13"),
            ("dGhlIHNhbXBsZSBub25jZQ==", "short", Code::BadRequest, "16 random bytes"),
            ("GET", "POST", Code::Method, "GET"),
        ] {
            let mut client = ground.client().await;
            client.write(good.replace(from, to).as_bytes()).await;
            let answered = client.answer().await.expect("an answer");
            check_problem(to, &answered, code, next);
            if code == Code::Upgrade {
                assert_eq!(answered.head.header("Upgrade"), Some("websocket"));
                assert_eq!(answered.head.header("Sec-WebSocket-Version"), Some("13"));
            }
        }
        // One that we know among others is taken, and none means JSON.
        let mut line = Line::raw(
            &WEBSOCKET,
            &ground.place,
            good.replace("sosik.v1.json", "x, sosik.v1.json").as_bytes(),
        )
        .await;
        line.push(&masked(1, br#"{"type":"hello"}"#, [0; 4]));
        line.frame("welcome").await;
    });
}

#[test]
fn what_tcp_does_not_speak_is_closed_and_tls_is_told_so() {
    block_on(async {
        let ground = Ground::start(&POLL).await;
        let post = b"POST /v1/publish HTTP/1.1\r\nHost: localhost\r\n\r\n{\"type\":\"hello\"}\n";
        for bytes in [&post[..], b" {\"type\":\"hello\"}\n", b"\xff"] {
            let mut line = Line::raw(&TCP, &ground.place, bytes).await;
            assert_eq!(line.next().await, News::Ended);
        }
        let mut tls = Line::raw(&TCP, &ground.place, b"\x16\x03\x01").await;
        assert_eq!(tls.frame("goodbye").await["name"], "bad_request");
        assert_eq!(tls.next().await, News::Ended);
        let mut long = Line::raw(
            &TCP_BINARY,
            &ground.place,
            &[wrap_json(b"{\"type\":\"hello\"}").to_vec(), vec![0, 0x20, 0, 0]].concat(),
        )
        .await;
        assert_eq!(long.frame("goodbye").await["code"], 4006);
        assert_eq!(long.next().await, News::Ended);
    });
}

// Mutant: the handshake taken whatever the method -> 101.
#[test]
fn a_handshake_is_a_get() {
    block_on(async {
        let ground = Ground::start(&POLL).await;
        let get = String::from_utf8(upgrade(ground.place.http, "")).unwrap();
        let mut stream = TcpStream::connect(ground.place.http).await.unwrap();
        stream.write_all(get.replacen("GET", "HEAD", 1).as_bytes()).await.unwrap();
        let mut status = [0; 12];
        stream.read_exact(&mut status).await.unwrap();
        assert_eq!(std::str::from_utf8(&status).unwrap(), "HTTP/1.1 426");
    });
}
