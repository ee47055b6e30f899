//! `/live`, `/ready`, `/metrics`.

use crate::door::{ask, ask_path, server};

// Mutant: readiness that does not look at the drain -> 200 at the end.
#[tokio::test]
async fn a_draining_server_lives_and_is_not_ready() {
    let running = server(|_| {}).await;
    for path in ["/live", "/ready"] {
        assert_eq!(ask_path(running.http, path, &[]).await.status, 200, "{path}");
    }
    running.hub.drain();
    assert_eq!(ask_path(running.http, "/live", &[]).await.status, 200);
    let answer = ask_path(running.http, "/ready", &[]).await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "drain"));
    assert!(!answer.header("retry-after").is_empty());
}

// Mutant: a metric whose samples read another counter -> its line differs.
#[tokio::test]
async fn what_happens_can_be_measured() {
    let running = server(|_| {}).await;
    let host = format!("Host: {}", running.http);
    let event = r#"{"channel":"demo:a","data":1}"#;
    let length = format!("Content-Length: {}", event.len());
    let mut stream = tokio::net::TcpStream::connect(running.http).await.unwrap();
    let lines = ["POST /v1/publish HTTP/1.1", &host, "Content-Type: application/json", &length];
    crate::door::send(&mut stream, &lines).await;
    tokio::io::AsyncWriteExt::write_all(&mut stream, event.as_bytes()).await.unwrap();
    let published = crate::door::answer(&mut stream).await;
    assert_eq!(published.status, 200, "{published:?}");
    let polled = ask_path(running.http, "/v1/poll?channel=demo:a&after=start", &[]).await;
    assert_eq!(polled.status, 200, "{polled:?}");

    let metrics = ask_path(running.http, "/metrics", &[]).await;
    assert_eq!(metrics.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    for line in [
        "sosik_publishes_total 1",
        "sosik_deliveries_total{transport=\"poll\"} 1",
        "sosik_deliveries_total{transport=\"sse\"} 0",
        "sosik_connections_opened_total{transport=\"poll\"} 1",
        "sosik_connections_open{transport=\"poll\"} 0",
        "sosik_gaps_total{reason=\"trimmed\"} 0",
        "sosik_gaps_total{reason=\"epoch\"} 0",
        "sosik_holes_total 0",
        "sosik_log_published_total{log=\"disk\"} 1",
        "sosik_log_published_total{log=\"memory\"} 0",
        "sosik_log_waiting_publishes{log=\"disk\"} 0",
        "sosik_sockets_max 20000",
        "sosik_sockets_refused_total{reason=\"full\"} 0",
        "sosik_sockets_refused_total{reason=\"rate\"} 0",
        "sosik_draining 0",
    ] {
        assert!(metrics.body.lines().any(|own| own == line), "{line} is not in\n{}", metrics.body);
    }
    for forwarded in ["X-Forwarded-For: 127.0.0.1", "Forwarded: for=10.0.0.1", "X-Real-IP: 10.0.0.1"] {
        let refused = ask(running.http, &["GET /metrics HTTP/1.1", &host, forwarded]).await;
        assert_eq!((refused.status, refused.code().as_str()), (403, "forbidden"), "{forwarded}");
    }
}
