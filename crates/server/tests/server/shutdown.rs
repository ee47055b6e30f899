//! How a server ends.

use std::{
    sync::Arc,
    task::{Context, Wake, Waker},
    time::Duration,
};

use sosik_core::{ChannelName, Draft, Grant, Pattern, Start, Verb, Verbs};
use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::door::{answer, rest, send, server, until, websocket};

// Mutants: the hub not drained -> the stream gets no goodbye and the stop cuts it; the logs ended before the
// connections -> the publish is not answered 200; connections not waited for -> neither.
#[tokio::test]
async fn a_stop_says_goodbye_and_lets_a_publish_finish() {
    let running = server(|_| {}).await;
    let (http, tcp) = (running.http, running.tcp.unwrap());
    let host = format!("Host: {http}");
    let mut idle = TcpStream::connect(http).await.unwrap();
    send(&mut idle, &["GET /live HTTP/1.1", &host]).await;
    assert_eq!(answer(&mut idle).await.status, 200);
    let mut sse = TcpStream::connect(http).await.unwrap();
    send(&mut sse, &["GET /v1/sse?channel=demo:a HTTP/1.1", &host]).await;
    until(&mut sse, "caught_up").await;
    let (mut socket, upgraded) = websocket(http, &[]).await;
    assert_eq!(upgraded.status, 101);
    let event = r#"{"channel":"demo:a","data":1}"#;
    let length = format!("Content-Length: {}", event.len());
    let mut publisher = TcpStream::connect(http).await.unwrap();
    // The server asks for the body when it has begun with the request (RFC 9110 section 10.1.1).
    let lines = [
        "POST /v1/publish HTTP/1.1",
        &host,
        "Content-Type: application/json",
        &length,
        "Expect: 100-continue",
    ];
    send(&mut publisher, &lines).await;
    assert_eq!(answer(&mut publisher).await.status, 100);

    let clients = async {
        let goodbye = rest(&mut sse).await;
        assert!(goodbye.contains("goodbye") && goodbye.contains("4101"), "{goodbye}");
        assert!(!rest(&mut socket).await.is_empty(), "the WebSocket is closed with a code");
        assert_eq!(rest(&mut idle).await, "");
        assert!(TcpStream::connect(http).await.is_err(), "nobody new is let in");
        assert!(TcpStream::connect(tcp).await.is_err());
        publisher.write_all(event.as_bytes()).await.unwrap();
        let published = answer(&mut publisher).await;
        assert_eq!(published.status, 200, "{published:?}");
    };
    let (cut, ()) = tokio::join!(running.stop(), clients);
    assert_eq!(cut, 0);
}

// Mutant: the drain without its deadline -> hangs.
#[tokio::test]
async fn a_stop_waits_no_longer_than_its_deadline() {
    let running = server(|options| options.limits.drain_ms = 200).await;
    let mut stuck = TcpStream::connect(running.http).await.unwrap();
    let head = format!(
        "POST /v1/publish HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\
                        Expect: 100-continue\r\n\r\n",
        running.http
    );
    stuck.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(answer(&mut stuck).await.status, 100);
    assert_eq!(running.stop().await, 1);
    rest(&mut stuck).await;
}

// Mutant: the hub not drained on drop -> the WebSocket goes on.
#[tokio::test]
async fn a_dropped_server_is_gone() {
    let running = server(|_| {}).await;
    let http = running.http;
    let mut sse = TcpStream::connect(http).await.unwrap();
    send(&mut sse, &["GET /v1/sse?channel=demo:a HTTP/1.1", &format!("Host: {http}")]).await;
    until(&mut sse, "caught_up").await;
    let (mut socket, upgraded) = websocket(http, &[]).await;
    assert_eq!(upgraded.status, 101);
    drop(running);
    rest(&mut sse).await;
    rest(&mut socket).await;
    assert!(TcpStream::connect(http).await.is_err());
}

/// Somebody in a wait list whom a sweeper does not survive.
struct Planted;

impl Wake for Planted {
    fn wake(self: Arc<Self>) {
        panic!("planted");
    }
}

// Mutant: sweepers spawned beside the tasks whose end is noticed -> half of the readers hear nothing, and nobody does of that.
#[tokio::test]
async fn a_panic_in_a_sweeper_is_the_end_of_the_server() {
    let mut running = server(|_| {}).await;
    let hub = running.hub.clone();
    let name = "demo:a";
    let grant = Grant::anonymous([(Pattern::parse(name).unwrap(), Verbs::from_iter(Verb::ALL))]);
    let set = [Pattern::parse(name).unwrap()];
    let reader = hub.node.read(grant.clone(), &set, Start::Now, 1).await.unwrap();
    let mut seat = hub.sweep.sit();
    seat.follow(reader.watches());
    seat.register(&Context::from_waker(&Waker::from(Arc::new(Planted))));
    let draft = Draft::json(ChannelName::parse(name).unwrap(), "1");
    hub.node.publish(&grant, vec![draft], 1).await.unwrap();
    let broken = tokio::time::timeout(PATIENCE, running.broken()).await.expect("it is noticed");
    let said = broken.to_string();
    assert!(said.contains("the task \"sweep ") && said.contains("panicked"), "{said}");
}

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
