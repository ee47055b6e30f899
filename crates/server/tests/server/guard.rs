//! Host, Origin, CORS.

use sosik_server::{Checked, Running};

use crate::door::{HANDSHAKE, ask, ask_path, server, websocket};

fn with_names(options: &mut Checked) {
    options.public_urls =
        vec!["https://chat.example".parse().unwrap(), "http://10.1.2.3:99".parse().unwrap()];
    options.allow_origins = vec!["https://app.example".parse().unwrap()];
}

async fn status_of_host(running: &Running, version: &str, hosts: &[&str]) -> (u16, String) {
    let line = format!("GET /live HTTP/{version}");
    let answer = ask(running.http, &[&[&*line], hosts].concat()).await;
    let code = if answer.status == 200 { String::new() } else { answer.code() };
    (answer.status, code)
}

// Mutants: `Misdirected` answered with a pass -> `evil.example` gets 200 (DNS rebinding); two Hosts read as the first
// -> 200; HTTP/1.1 without a Host let through -> 200.
#[tokio::test]
async fn only_our_own_names_are_answered() {
    let running = server(with_names).await;
    let port = running.http.port();
    for host in [
        format!("127.0.0.1:{port}"),
        format!("localhost:{port}"),
        format!("LOCALHOST:{port}"),
        format!("[::1]:{port}"),
        "localhost".into(),
        "localhost:8080".into(),
        "chat.example".into(),
        "Chat.Example:443".into(),
        "10.1.2.3:99".into(),
    ] {
        let answered = status_of_host(&running, "1.1", &[&format!("Host: {host}")]).await;
        assert_eq!(answered, (200, String::new()), "{host}");
    }
    for host in [
        format!("evil.example:{port}"),
        format!("localhost.evil.example:{port}"),
        format!("127.0.0.1.evil.example:{port}"),
        format!("10.1.2.3:{port}"),
        "chat.example:444".into(),
        "chat.example.".into(),
    ] {
        let answered = status_of_host(&running, "1.1", &[&format!("Host: {host}")]).await;
        assert_eq!(answered, (421, "misdirected".into()), "{host}");
    }
    let ours = format!("Host: 127.0.0.1:{port}");
    for hosts in [&[][..], &[&*ours, &*ours], &[&*ours, "Host: evil.example"], &["Host:"], &["Host: a b"]] {
        let answered = status_of_host(&running, "1.1", hosts).await;
        assert_eq!(answered, (400, "bad_request".into()), "{hosts:?}");
    }
    for host in [format!("Host: u@127.0.0.1:{port}"), "Host: localhost/".into(), "Host: localhost:".into()] {
        assert_eq!(status_of_host(&running, "1.1", &[&host]).await.0, 400, "{host}");
    }
    assert_eq!(status_of_host(&running, "1.0", &[]).await.0, 200, "old proxies send none");
    assert_eq!(status_of_host(&running, "1.0", &["Host: evil.example"]).await.0, 421);
}

// Mutant: the Host header preferred to the target's own name -> the first line is answered.
#[tokio::test]
async fn a_target_with_a_name_of_its_own_replaces_the_host() {
    let running = server(|_| {}).await;
    let ours = format!("Host: {}", running.http);
    let answer = ask(running.http, &["GET http://evil.example/live HTTP/1.1", &ours]).await;
    assert_eq!(answer.status, 421);
    let target = format!("GET http://{}/live HTTP/1.1", running.http);
    assert_eq!(ask(running.http, &[&target, "Host: evil.example"]).await.status, 200);
}

#[tokio::test]
async fn a_refusal_names_what_was_seen_and_the_option() {
    let running = server(with_names).await;
    let refused = ask(running.http, &["GET / HTTP/1.1", "Host: evil.example:1"]).await;
    for part in ["evil.example:1", "https://chat.example", "--public-url"] {
        assert!(refused.body.contains(part), "{part}: {}", refused.body);
    }
    let refused = ask_path(running.http, "/live", &["Origin: https://evil.example"]).await;
    for part in ["https://evil.example", &running.http.to_string(), "--allow-origin https://evil.example"] {
        assert!(refused.body.contains(part), "{part}: {}", refused.body);
    }
    let refused = ask_path(running.http, "/live", &["Origin: http://\u{202e}\u{9b}\t"]).await;
    assert_eq!(refused.status, 403);
    assert!(refused.body.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{}", refused.body);
}

// Mutants: the Origin compared without its port -> http://127.0.0.1 passes; without its scheme -> https passes; the
// guard not asked for upgrades -> the WebSocket line; `null` read as absent -> 200.
#[tokio::test]
async fn pages_of_this_origin_and_of_allowed_ones_pass_on_every_path() {
    let running = server(with_names).await;
    let port = running.http.port();
    let allowed = [
        format!("http://127.0.0.1:{port}"),
        "https://chat.example".into(),
        "https://CHAT.example:443".into(),
        "http://10.1.2.3:99".into(),
        "https://app.example".into(),
    ];
    let refused = [
        "null".into(),
        "https://evil.example".into(),
        "http://127.0.0.1".into(),
        format!("https://127.0.0.1:{port}"),
        format!("http://localhost:{port}"),
        format!("http://127.0.0.1:{port}.evil.example"),
        format!("http://127.0.0.1:{port}/"),
        "https://app.example.evil.example".into(),
        "http://app.example".into(),
        "app.example".into(),
    ];
    for path in ["/", "/live", "/metrics", "/nowhere", "/v1/poll?channel=demo:a"] {
        let plain = ask_path(running.http, path, &[]).await;
        assert_eq!(
            (plain.header("vary").contains("Origin"), plain.header(ACAO)),
            (true, String::new()),
            "{path}"
        );
        for origin in &allowed {
            let answer = ask_path(running.http, path, &[&format!("Origin: {origin}")]).await;
            assert_eq!(
                (answer.status, answer.header(ACAO)),
                (plain.status, origin.clone()),
                "{path} {origin}"
            );
            assert!(answer.header("access-control-expose-headers").contains("etag"));
        }
        for origin in &refused {
            let answer = ask_path(running.http, path, &[&format!("Origin: {origin}")]).await;
            assert_eq!((answer.status, answer.header(ACAO)), (403, String::new()), "{path} {origin}");
            assert_eq!(answer.code(), "forbidden");
        }
    }
    for origin in &refused {
        let (_, answer) = websocket(running.http, &[&format!("Origin: {origin}")]).await;
        assert_eq!(answer.status, 403, "{origin}");
    }
    for origin in &allowed {
        let (_, answer) = websocket(running.http, &[&format!("Origin: {origin}")]).await;
        assert_eq!(answer.status, 101, "{origin}");
    }
    let two =
        ask_path(running.http, "/live", &["Origin: https://app.example", "Origin: https://app.example"])
            .await;
    assert_eq!(two.status, 400);
}

// Mutant: same origin taken from any known Host -> a page of http://chat.example, which anybody on the way can forge,
// passes beside https://chat.example.
#[tokio::test]
async fn a_public_name_has_one_origin() {
    let running = server(with_names).await;
    for (origin, status) in [("https://chat.example", 200), ("http://chat.example", 403)] {
        let lines = ["GET /live HTTP/1.1", "Host: chat.example", &format!("Origin: {origin}")];
        assert_eq!(ask(running.http, &lines).await.status, status, "{origin}");
    }
}

// Mutant: preflights passed on to the router -> 405 and the browser refuses the request.
#[tokio::test]
async fn a_preflight_of_an_allowed_page_is_answered_for_every_path() {
    let running = server(with_names).await;
    let host = format!("Host: {}", running.http);
    for path in ["/v1/publish", "/v1/send", "/nowhere"] {
        let line = format!("OPTIONS {path} HTTP/1.1");
        let asked = ["Access-Control-Request-Method: POST", "Access-Control-Request-Headers: content-type"];
        let lines = |origin| [&*line, &*host, origin, asked[0], asked[1]];
        let answer = ask(running.http, &lines("Origin: https://app.example")).await;
        assert_eq!((answer.status, answer.body.as_str()), (204, ""));
        assert_eq!(answer.header(ACAO), "https://app.example");
        assert_eq!(answer.header("access-control-max-age"), "7200");
        assert!(answer.header("vary").contains("Origin"));
        let headers = answer.header("access-control-allow-headers");
        let needed =
            ["content-type", "last-event-id", "idempotency-key", "authorization", "prefer", "if-none-match"];
        assert!(needed.iter().all(|name| headers.split(", ").any(|own| own == *name)), "{headers}");
        assert!(answer.header("access-control-allow-methods").contains("POST"));
        let refused = ask(running.http, &lines("Origin: https://evil.example")).await;
        assert_eq!((refused.status, refused.header(ACAO)), (403, String::new()));
    }
}

// Mutant: `Guard::finish` skipped for refusals -> the line of the 421 fails.
#[tokio::test]
async fn every_answer_carries_the_same_safety_headers() {
    let running = server(with_names).await;
    let evil = ask(running.http, &["GET / HTTP/1.1", "Host: evil.example"]).await;
    let mut answers = vec![(421, evil)];
    for (status, path) in [(200, "/"), (200, "/live"), (404, "/nowhere"), (200, "/metrics")] {
        answers.push((status, ask_path(running.http, path, &[]).await));
    }
    answers.push((426, ask_path(running.http, "/v1/websocket", &HANDSHAKE[2..]).await));
    for (status, answer) in answers {
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{status}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{status}");
        assert!(answer.header("vary").contains("Origin"), "{status}");
    }
}

const ACAO: &str = "access-control-allow-origin";
