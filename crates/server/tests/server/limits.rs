//! Limits of sockets. They are made small here; no test asserts how long something took.

use std::{io, sync::atomic::Ordering::Relaxed, time::Duration};

use sosik_wire::TransportName as Transport;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

use crate::door::{PATIENCE, answer, ask_path, rest, send, server, until, websocket};

// Mutants: HeadClock without its first `due` -> the silent one stays; without the head's -> the dripping one stays.
#[tokio::test]
async fn silent_and_dripping_heads_are_closed() {
    let running = server(|options| {
        (options.limits.first_byte_ms, options.limits.head_ms) = (200, 300);
    })
    .await;
    let mut silent = TcpStream::connect(running.http).await.unwrap();
    assert_eq!(rest(&mut silent).await, "");
    let dripping = TcpStream::connect(running.http).await.unwrap();
    let (mut read, mut write) = dripping.into_split();
    let drip = async {
        for byte in b"GET / HTTP/1.1\r\nX: ".iter().chain([b'x'; 10_000].iter()) {
            if write.write_all(&[*byte]).await.is_err() {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    let ended = async {
        let mut byte = [0; 1];
        timeout(PATIENCE, read.read(&mut byte)).await.expect("closed")
    };
    tokio::select! {
        ended = ended => assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}"),
        () = drip => panic!("the drip was never cut"),
    }
}

// Mutant: hyper's header_read_timeout not set to the idle limit -> the connection stays.
#[tokio::test]
async fn an_idle_connection_is_closed_after_the_idle_limit() {
    let running = server(|options| options.limits.idle_ms = 200).await;
    let mut stream = TcpStream::connect(running.http).await.unwrap();
    send(&mut stream, &["GET /live HTTP/1.1", &format!("Host: {}", running.http)]).await;
    assert_eq!(answer(&mut stream).await.status, 200);
    assert_eq!(rest(&mut stream).await, "");
}

// Mutants: `Exchange` not begun by the service -> the held request is cut as a slow head; an answer of 101 that ends
// its exchange -> the WebSocket is.
#[tokio::test]
async fn held_answers_and_websockets_are_no_slow_heads() {
    let running = server(|options| {
        (options.limits.first_byte_ms, options.limits.head_ms, options.limits.idle_ms) = (200, 200, 200);
    })
    .await;
    let host = format!("Host: {}", running.http);
    let mut sse = TcpStream::connect(running.http).await.unwrap();
    send(&mut sse, &["GET /v1/sse?channel=demo:a HTTP/1.1", &host]).await;
    until(&mut sse, "caught_up").await;
    let (mut socket, upgraded) = websocket(running.http, &[]).await;
    assert_eq!(upgraded.status, 101);
    say(&mut socket, br#"{"type":"hello","protocol":1}"#).await;
    until(&mut socket, "\"welcome\"").await;
    // Three connections that come later and are cut show that the limits of the first two have passed as well.
    for _ in 0..3 {
        let mut silent = TcpStream::connect(running.http).await.unwrap();
        assert_eq!(rest(&mut silent).await, "");
    }
    say(&mut socket, br#"{"type":"ping","id":7}"#).await;
    until(&mut socket, "\"ok\"").await;
    let event = r#"{"channel":"demo:a","data":"still here"}"#;
    let mut publisher = TcpStream::connect(running.http).await.unwrap();
    let length = format!("Content-Length: {}", event.len());
    send(&mut publisher, &["POST /v1/publish HTTP/1.1", &host, "Content-Type: application/json", &length])
        .await;
    publisher.write_all(event.as_bytes()).await.unwrap();
    until(&mut sse, "still here").await;
}

/// Sends one masked text message (RFC 6455 section 5.2); the mask is zero.
async fn say(stream: &mut TcpStream, text: &[u8]) {
    let length = u8::try_from(text.len()).unwrap();
    assert!(length < 126);
    stream.write_all(&[&[0x81, 0x80 | length, 0, 0, 0, 0], text].concat()).await.unwrap();
}

// Mutant: sockets opened without `stall_ms`, neither in `Stalling` nor as TCP_USER_TIMEOUT -> the writes block for ever.
// Either of the two alone closes this one; that `Stalling` does is shown beside it.
#[tokio::test]
async fn a_peer_that_takes_nothing_is_closed() {
    let running = server(|options| options.limits.stall_ms = 300).await;
    let mut stream = TcpStream::connect(running.http).await.unwrap();
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {}\r\n\r\n", running.http);
    let ended: io::Error = timeout(PATIENCE, async {
        loop {
            // Asks on and on and reads no answer.
            if let Err(error) = stream.write_all(request.as_bytes()).await {
                return error;
            }
        }
    })
    .await
    .expect("closed");
    assert!(matches!(ended.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe), "{ended:?}");
}

// Mutants: the slot given back when the upgrade leaves hyper -> a third connection gets in; no refusal but a close ->
// no 503.
#[tokio::test]
async fn connections_beyond_the_limit_are_told_to_come_back() {
    let running = server(|options| options.limits.connections_max = 2).await;
    let host = format!("Host: {}", running.http);
    let (socket, upgraded) = websocket(running.http, &[]).await;
    assert_eq!(upgraded.status, 101);
    let mut kept = TcpStream::connect(running.http).await.unwrap();
    send(&mut kept, &["GET /live HTTP/1.1", &host]).await;
    assert_eq!(answer(&mut kept).await.status, 200);

    let refused = ask_path(running.http, "/live", &[]).await;
    assert_eq!((refused.status, refused.code().as_str()), (503, "overloaded"));
    let retry_after: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=6).contains(&retry_after), "{refused:?}");
    assert_eq!(refused.header("connection"), "close");
    let mut tcp = TcpStream::connect(running.tcp.unwrap()).await.unwrap();
    let words = rest(&mut tcp).await;
    assert!(words.contains("4100") && words.ends_with('\n'), "{words:?}");

    send(&mut kept, &["GET /metrics HTTP/1.1", &host]).await;
    let metrics = answer(&mut kept).await.body;
    assert!(metrics.contains("\nsosik_sockets_open 2\n"), "{metrics}");
    assert!(metrics.contains("\nsosik_sockets_refused_total{reason=\"full\"} 2\n"), "{metrics}");

    drop(socket);
    timeout(PATIENCE, async {
        while ask_path(running.http, "/live", &[]).await.status != 200 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the place of the closed one is free again");
}

// Mutant: the guard's own limits left out -> 200 for what hyper still takes. Beyond that hyper says 431 without words.
#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let running = server(|_| {}).await;
    let most = vec!["X-A: b"; 99];
    assert_eq!(ask_path(running.http, "/live", &most).await.status, 200);
    for headers in [vec!["X-A: b"; 100], vec![&*format!("X-A: {}", "b".repeat(66_000))]] {
        let refused = ask_path(running.http, "/live", &headers).await;
        assert_eq!((refused.status, refused.code().as_str()), (431, "head_too_large"));
    }
    for headers in [vec!["X-A: b"; 1_000], vec![&*format!("X-A: {}", "b".repeat(100_000))]] {
        assert_eq!(ask_path(running.http, "/live", &headers).await.status, 431);
    }
}

// Mutant: an error of a read taken for the end of what the client sends -> the connection stays until a heartbeat fails.
#[tokio::test]
async fn a_tcp_connection_that_is_reset_is_given_up_at_once() {
    let running = server(|_| {}).await;
    let mut stream = TcpStream::connect(running.tcp.unwrap()).await.unwrap();
    stream.write_all(b"{\"type\":\"hello\"}\n").await.unwrap();
    stream.write_all(b"{\"type\":\"subscribe\",\"id\":1,\"channels\":[\"demo:a\"]}\n").await.unwrap();
    until(&mut stream, "caught_up").await;
    let open = &running.hub.figures.of(Transport::Tcp).open;
    assert_eq!(open.load(Relaxed), 1);
    stream.set_zero_linger().unwrap();
    drop(stream);
    timeout(BEFORE_A_HEARTBEAT, async {
        while open.load(Relaxed) > 0 {
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .unwrap();
}

// Mutant: the length that a request announces not looked at -> it is told to continue, and to send what nobody wants.
#[tokio::test]
async fn a_body_that_is_announced_too_large_is_refused_before_it_is_sent() {
    let running = server(|_| {}).await;
    let mut stream = TcpStream::connect(running.http).await.unwrap();
    let host = format!("Host: {}", running.http);
    let head = ["Content-Type: application/json", "Content-Length: 1048577", "Expect: 100-continue"];
    send(&mut stream, &[&["POST /v1/publish HTTP/1.1", &host][..], &head].concat()).await;
    let refused = answer(&mut stream).await;
    assert_eq!((refused.status, refused.code().as_str()), (413, "too_large"));
}

/// Heartbeats come after 22.5 seconds at the soonest.
const BEFORE_A_HEARTBEAT: Duration = Duration::from_secs(15);
