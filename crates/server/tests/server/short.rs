//! A server that is short of memory.

use sosik_wire::Goodbye;
use tokio::{io::AsyncWriteExt, net::TcpStream, task::JoinSet};

use crate::door::{answer, ask_path, rest, send, server, until};

// Mutants: `open_to_stay` that opens all the same -> 200; the same of `subscribe` -> no error; a long-poll that is held -> hangs.
#[tokio::test]
async fn short_of_memory_new_readers_are_refused_and_everything_else_goes_on() {
    let running = server(|_| {}).await;
    let (http, host) = (running.http, format!("Host: {}", running.http));
    let mut old = TcpStream::connect(http).await.unwrap();
    send(&mut old, &["GET /v1/sse?channel=demo:a HTTP/1.1", &host]).await;
    until(&mut old, "caught_up").await;
    let mut tcp = TcpStream::connect(running.tcp.unwrap()).await.unwrap();
    tcp.write_all(b"{\"type\":\"hello\",\"protocol\":1}\n").await.unwrap();
    until(&mut tcp, "welcome").await;

    running.hub.run_short(true);
    for path in ["/v1/sse?channel=demo:a", "/v1/stream?channel=demo:a"] {
        let refused = ask_path(http, path, &[]).await;
        assert_eq!((refused.status, refused.code().as_str()), (503, "overloaded"), "{path}");
        assert_eq!(refused.header("retry-after"), "1", "{path}");
    }
    tcp.write_all(b"{\"type\":\"subscribe\",\"id\":1,\"channels\":[\"demo:a\"]}\n").await.unwrap();
    until(&mut tcp, "\"overloaded\"").await;
    for path in ["/v1/poll?channel=demo:a", "/v1/long-poll?channel=demo:a&wait=55"] {
        assert_eq!(ask_path(http, path, &[]).await.status, 200, "{path}");
    }
    let event = r#"{"channel":"demo:a","data":"goes on"}"#;
    let length = format!("Content-Length: {}", event.len());
    let mut publisher = TcpStream::connect(http).await.unwrap();
    send(&mut publisher, &["POST /v1/publish HTTP/1.1", &host, "Content-Type: application/json", &length])
        .await;
    publisher.write_all(event.as_bytes()).await.unwrap();
    assert_eq!(answer(&mut publisher).await.status, 200);
    until(&mut old, "goes on").await;

    running.hub.run_short(false);
    tcp.write_all(b"{\"type\":\"subscribe\",\"id\":2,\"channels\":[\"demo:a\"]}\n").await.unwrap();
    until(&mut tcp, "caught_up").await;
}

// Mutants: goodbyes said at once whatever the window -> all hear it before any stays; the spread of the options said -> 5,000.
#[tokio::test]
async fn a_drain_says_its_goodbyes_one_after_the_other() {
    const CLIENTS: u64 = 40;
    const WINDOW_MS: u64 = 4_000;
    let running = server(|_| {}).await;
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let mut tcp = TcpStream::connect(running.tcp.unwrap()).await.unwrap();
        tcp.write_all(b"{\"type\":\"hello\"}\n{\"type\":\"subscribe\",\"channels\":[\"demo:a\"]}\n")
            .await
            .unwrap();
        until(&mut tcp, "caught_up").await;
        clients.push(tcp);
    }
    let begin = tokio::time::Instant::now();
    running.hub.drain_over(WINDOW_MS, 17_000);
    let mut ends = JoinSet::new();
    for mut tcp in clients {
        ends.spawn(async move {
            let goodbye = rest(&mut tcp).await;
            assert!(goodbye.contains(&Goodbye::Drain.number().to_string()), "{goodbye}");
            assert!(goodbye.contains(r#""spread_ms":17000"#), "{goodbye}");
            begin.elapsed()
        });
    }
    let mut ended = ends.join_all().await;
    ended.sort_unstable();
    let [first, last] = [ended[4], ended[ended.len() - 5]].map(|at| at.as_millis() as u64);
    assert!(last - first > WINDOW_MS / 4, "all between {first} and {last} ms");
}
