//! Limits of one address. Loopback has many: 127.0.0.2 floods, 127.0.0.3 is served.

use std::net::SocketAddr;

use tokio::{
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use crate::door::{Answer, PATIENCE, answer, rest, send, server};

async fn from(own: &str, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(own.parse().unwrap(), 0)).unwrap();
    socket.connect(to).await.unwrap()
}

/// Asks from an address, in the name of another one.
async fn ask(own: &str, to: SocketAddr, in_the_name_of: &str) -> (TcpStream, Answer) {
    let mut stream = from(own, to).await;
    let forwarded = format!("X-Forwarded-For: {in_the_name_of}");
    send(&mut stream, &["GET /live HTTP/1.1", &format!("Host: {to}"), &forwarded]).await;
    let answered = answer(&mut stream).await;
    (stream, answered)
}

// Mutants: one bucket for all -> 127.0.0.3 is refused; the place not given back -> nobody of 127.0.0.2 ever gets in again.
#[tokio::test]
async fn who_takes_the_share_of_one_address_leaves_others_theirs() {
    let running = server(|options| {
        (options.limits.connections_per_address_max, options.limits.address_refill_ms) = (3, 0);
    })
    .await;
    let mut held = Vec::new();
    for _ in 0..3 {
        let (stream, served) = ask("127.0.0.2", running.http, "192.0.2.1").await;
        assert_eq!(served.status, 200, "{served:?}");
        held.push(stream);
    }
    let (_, refused) = ask("127.0.0.2", running.http, "192.0.2.9").await;
    assert_eq!((refused.status, refused.code().as_str()), (429, "rate_limited"));
    assert!(refused.body.contains("connections_per_address_max"), "{refused:?}");
    assert!(refused.header("retry-after").parse::<u64>().unwrap() >= 1, "{refused:?}");
    let tcp = running.tcp.unwrap();
    let goodbye = rest(&mut from("127.0.0.2", tcp).await).await;
    assert!(goodbye.contains("4103") && goodbye.contains(r#""spread_ms":5000"#), "{goodbye}");
    for _ in 0..3 {
        let (stream, served) = ask("127.0.0.3", running.http, "127.0.0.2").await;
        assert_eq!(served.status, 200, "{served:?}");
        held.push(stream);
    }
    held.clear();
    let again = async { while ask("127.0.0.2", running.http, "192.0.2.1").await.1.status != 200 {} };
    timeout(PATIENCE, again).await.expect("its places are free again");
}

// Mutant: the bucket not looked at -> 200.
#[tokio::test]
async fn an_address_that_comes_and_goes_is_told_to_wait() {
    let running = server(|options| {
        (options.limits.connections_per_address_max, options.limits.address_refill_ms) = (3, 600_000);
    })
    .await;
    for expected in [200, 200, 200, 429] {
        let (_, served) = ask("127.0.0.2", running.http, "192.0.2.1").await;
        assert_eq!(served.status, expected, "{served:?}");
        if expected == 429 {
            let seconds: u64 = served.header("retry-after").parse().unwrap();
            assert!((190..=205).contains(&seconds), "a third of the bucket's time: {served:?}");
        }
    }
    assert_eq!(ask("127.0.0.3", running.http, "192.0.2.1").await.1.status, 200);
}
