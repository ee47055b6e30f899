//! The real binary among strangers who mean no good: heads that do not end or say two things, handshakes that stop half-way,
//! a flood from one address, more connections than there are files. Others are served meanwhile.

#![allow(clippy::unwrap_used)]

use std::{io, net::SocketAddr, path::Path, time::Duration};

use sosik_tests::{
    scratch::Scratch,
    sosik::{Serve, Sosik},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    process::Command,
    time::{Instant, sleep, timeout},
};

async fn serve(scratch: &Scratch, args: &[&str], through: &[&str]) -> Sosik {
    let owned = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    let serve =
        Serve { args: owned(args), through: owned(through), ..Serve::open(&[("talk", "log = \"memory\"")]) };
    serve.start(&scratch.path().join("data"), scratch.path()).await.unwrap()
}

async fn connect(own: &str, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(own.parse().unwrap(), 0))?;
    socket.connect(to).await
}

/// Sends bytes and reads to the end of the connection, a second of silence, or a reset.
async fn tell(to: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = connect("127.0.0.2", to).await.unwrap();
    let (mut answer, mut piece) = (Vec::new(), [0; 4_096]);
    let _ = stream.write_all(bytes).await;
    while let Ok(Ok(count @ 1..)) = timeout(Duration::from_secs(1), stream.read(&mut piece)).await {
        answer.extend_from_slice(&piece[..count]);
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// Publishes from an address of its own, and answers how long that took.
async fn probe(own: &str, to: SocketAddr) -> io::Result<Duration> {
    let begin = Instant::now();
    let body = r#"{"channel":"talk:a","data":1}"#;
    let request = format!(
        "POST /v1/publish HTTP/1.1\r\nHost: {to}\r\nContent-Type: application/json\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = connect(own, to).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answer)).await??;
    if answer.starts_with("HTTP/1.1 200") { Ok(begin.elapsed()) } else { Err(io::Error::other(answer)) }
}

async fn metric(server: &Sosik, name: &str) -> u64 {
    let mut stream = connect("127.0.0.9", server.http).await.unwrap();
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", server.http);
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let value = answer.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no {name} in {answer}")).parse().unwrap()
}

const SMUGGLED: &str = "GET /v1/poll?channel=talk:smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Every way to say the end of a body twice, each with a second request in what one of two readers takes for the body.
fn framings() -> Vec<(&'static str, String)> {
    let post = |headers: &str, body: &str| {
        format!(
            "POST /v1/publish HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{headers}\r\n{body}"
        )
    };
    let zero = format!("0\r\n\r\n{SMUGGLED}");
    let length = zero.len();
    let with = |name, headers: String| (name, post(&headers, &zero));
    vec![
        with("both lengths", format!("Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n")),
        with("both, chunked first", format!("Transfer-Encoding: chunked\r\nContent-Length: {length}\r\n")),
        with("two different lengths", format!("Content-Length: 5\r\nContent-Length: {length}\r\n")),
        with("two lengths in one", format!("Content-Length: 5, {length}\r\n")),
        with("a length with a sign", format!("Content-Length: +{length}\r\n")),
        with("a length below zero", "Content-Length: -1\r\n".into()),
        with("a length in hexadecimal", "Content-Length: 0x5\r\n".into()),
        with("a length beyond numbers", "Content-Length: 99999999999999999999\r\n".into()),
        with("a length with a space before the colon", format!("Content-Length : {length}\r\n")),
        with("an unknown encoding", "Transfer-Encoding: xchunked\r\n".into()),
        with("chunked before another", "Transfer-Encoding: chunked, identity\r\n".into()),
        with("chunked twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n".into()),
        with("a space before the colon", "Transfer-Encoding : chunked\r\n".into()),
        with("a vertical tab", "Transfer-Encoding:\x0bchunked\r\n".into()),
        with(
            "a folded header",
            format!("X: y\r\n Transfer-Encoding: chunked\r\nContent-Length: 5, {length}\r\n"),
        ),
        with("a null in a header", format!("X: a\0b\r\nContent-Length: {length}\r\n")),
        with(
            "a bare return in a header",
            format!("X: a\rContent-Length: 3\r\nContent-Length: 5, {length}\r\n"),
        ),
        ("a chunk with a sign", post("Transfer-Encoding: chunked\r\n", &format!("+1\r\nx\r\n{zero}"))),
        (
            "a chunk beyond numbers",
            post("Transfer-Encoding: chunked\r\n", &format!("10000000000000000f\r\nx\r\n{zero}")),
        ),
        ("a chunk without its end", post("Transfer-Encoding: chunked\r\n", &format!("1\r\nxGET\r\n{zero}"))),
        (
            "a chunk ended by a bare feed",
            post("Transfer-Encoding: chunked\r\n", &format!("1\nx\n0\n\n{SMUGGLED}")),
        ),
        (
            "an extension of 20 KiB",
            post("Transfer-Encoding: chunked\r\n", &format!("1;{}\r\nx\r\n{zero}", "e".repeat(20_480))),
        ),
    ]
}

/// Who reads them is hyper, of a version that we choose: an answer to the second request would be one that a proxy in front
/// gives to somebody else.
#[tokio::test]
async fn a_request_whose_end_is_said_twice_is_answered_once_at_most() {
    let scratch = Scratch::new().unwrap();
    let server = serve(&scratch, &PER_ADDRESS, &[]).await;
    let plain = "POST /v1/publish HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1\r\n\r\n{";
    let both = tell(server.http, format!("{plain}{SMUGGLED}").as_bytes()).await;
    assert!(both.matches("HTTP/1.1 ").count() == 2 && both.contains("\"frames\""), "said once: {both}");
    for (name, bytes) in framings() {
        let answer = tell(server.http, bytes.as_bytes()).await;
        assert!(answer.matches("HTTP/1.1 ").count() <= 1, "{name}: {answer}");
        assert!(!answer.contains("\"frames\""), "{name}: {answer}");
        assert!(!answer.starts_with("HTTP/1.1 200"), "{name}: {answer}");
        assert!(probe("127.0.0.3", server.http).await.is_ok(), "after {name}");
    }
    assert_eq!(metric(&server, "sosik_connection_panics_total").await, 0);
}

#[tokio::test]
async fn a_head_that_says_no_host_or_two_or_does_not_end_is_refused() {
    let scratch = Scratch::new().unwrap();
    let server = serve(&scratch, &PER_ADDRESS, &[]).await;
    let get = "GET /v1/poll?channel=talk:a HTTP/1.1\r\n";
    for (bytes, status) in [
        (format!("{get}\r\n"), "400"),
        (format!("{get}Host: localhost\r\nHost: localhost\r\n\r\n"), "400"),
        (format!("{get}Host: localhost\r\nHost: evil.example\r\n\r\n"), "400"),
        (format!("{get}Host: evil.example\r\n\r\n"), "421"),
        (format!("{get}Host: localhost\r\n{}\r\n", "X: y\r\n".repeat(5_000)), "431"),
        // No end ever comes; what came is enough.
        (format!("{get}Host: localhost\r\nX: {}", "y".repeat(1 << 20)), "431"),
        (format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "y".repeat(1 << 20)), ""),
    ] {
        let answer = tell(server.http, bytes.as_bytes()).await;
        let shown = &bytes[..bytes.len().min(60)];
        // What is still on its way when the connection ends may take the words back.
        let is_right =
            answer.is_empty() && bytes.len() >= 1 << 20 || answer.starts_with(&format!("HTTP/1.1 {status}"));
        assert!(is_right && !answer.starts_with("HTTP/1.1 200"), "{shown}: {answer}");
        assert!(probe("127.0.0.3", server.http).await.is_ok(), "after {shown}");
    }
}

// Mutant: connections_per_address_max not looked at -> all of the flood is let in.
#[tokio::test]
async fn a_flood_from_one_address_leaves_the_others_served() {
    let scratch = Scratch::new().unwrap();
    let server = serve(&scratch, &PER_ADDRESS, &[]).await;
    let mut flood = Vec::new();
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(2) && flood.len() < 2_000 {
        for _ in 0..50 {
            flood.push(connect("127.0.0.2", server.http).await.unwrap());
        }
        let took = probe("127.0.0.3", server.http).await.unwrap();
        assert!(took < SERVED, "{took:?} with {} in the way", flood.len());
    }
    assert!(flood.len() > 512, "{}", flood.len());
    let open = metric(&server, "sosik_sockets_open").await;
    assert!(open <= SHARE + 2, "{open} open");
    let refused = metric(&server, "sosik_sockets_refused_total{reason=\"address\"}").await
        + metric(&server, "sosik_sockets_refused_total{reason=\"rate\"}").await;
    assert!(refused >= flood.len() as u64 - SHARE, "{refused} of {} refused", flood.len());
    let refusal = probe("127.0.0.2", server.http).await.unwrap_err().to_string();
    assert!(refusal.is_empty() || refusal.contains("429") || refusal.contains("reset"), "{refusal}");
}

/// Half of a handshake, or nothing at all, 250 times from each of four addresses.
#[tokio::test]
async fn a_thousand_who_connect_and_say_nothing_or_half_of_it_are_gone_after_their_time() {
    let scratch = Scratch::new().unwrap();
    let server = serve(&scratch, &PER_ADDRESS, &[]).await;
    let half = format!("GET /v1/websocket HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\n", server.http);
    let mut held = Vec::new();
    for (own, to, bytes) in [
        ("127.0.0.2", server.http, ""),
        ("127.0.0.4", server.http, &*half),
        ("127.0.0.5", server.tcp, ""),
        ("127.0.0.6", server.tcp, "{\"type\":\"hel"),
    ] {
        for _ in 0..250 {
            let mut stream = connect(own, to).await.unwrap();
            stream.write_all(bytes.as_bytes()).await.unwrap();
            held.push(stream);
        }
    }
    let begin = Instant::now();
    assert!(metric(&server, "sosik_sockets_open").await > 500);
    while begin.elapsed() < ATTACKED {
        let took = probe("127.0.0.3", server.http).await.unwrap();
        assert!(took < SERVED, "{took:?}");
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(metric(&server, "sosik_sockets_open").await, 1, "the one that asks");
}

async fn limit_files(server: &Sosik, files: usize) {
    let [pid, limit] = [format!("--pid={}", server.pid()), format!("--nofile={files}:20000")];
    assert!(Command::new("prlimit").args([pid, limit]).status().await.unwrap().success());
}

fn open_files(server: &Sosik) -> usize {
    std::fs::read_dir(Path::new("/proc").join(server.pid().to_string()).join("fd")).unwrap().count()
}

// Mutant: `make_room` not called -> connections_max stays 20,000 and is not told.
#[tokio::test]
async fn with_few_files_there_are_fewer_connections_and_the_log_has_its_own() {
    let scratch = Scratch::new().unwrap();
    let server =
        serve(&scratch, &["--connections-per-address-max", "0"], &["prlimit", "--nofile=64:128"]).await;
    assert!(server.said().contains("connections_max is 64 and not 20000"), "{}", server.said());
    assert_eq!(metric(&server, "sosik_sockets_max").await, 64);
    let mut flood = Vec::new();
    for _ in 0..300 {
        flood.push(connect("127.0.0.2", server.http).await.unwrap());
    }
    let refused = async {
        while probe("127.0.0.3", server.http).await.is_ok() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, refused).await.expect("the server is full");
    flood.clear();
    let served = async {
        while probe("127.0.0.3", server.http).await.is_err() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, served).await.expect("there is room again");
    assert_eq!(metric(&server, "sosik_accept_errors_total").await, 0, "files were left");
}

// Mutant: `rest` without its pause -> thousands of errors in a second.
#[tokio::test]
async fn without_files_accepting_rests_and_then_goes_on() {
    let scratch = Scratch::new().unwrap();
    let server = serve(&scratch, &["--store", "memory"], &[]).await;
    let mut follower = connect("127.0.0.3", server.http).await.unwrap();
    let request = format!("GET /v1/stream?channel=talk:a HTTP/1.1\r\nHost: {}\r\n\r\n", server.http);
    follower.write_all(request.as_bytes()).await.unwrap();
    let mut publisher = connect("127.0.0.4", server.http).await.unwrap();
    until(&mut follower, "caught_up").await;
    limit_files(&server, open_files(&server) + 1).await;
    let mut waiting = Vec::new();
    for _ in 0..20 {
        waiting.push(connect("127.0.0.2", server.http).await.unwrap());
    }
    sleep(Duration::from_secs(1)).await;
    // Who is in is served.
    let body = r#"{"channel":"talk:a","data":"while there are none"}"#;
    let request = format!(
        "POST /v1/publish HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        server.http,
        body.len()
    );
    publisher.write_all(request.as_bytes()).await.unwrap();
    until(&mut follower, "while there are none").await;
    limit_files(&server, 20_000).await;
    timeout(PATIENCE, probe("127.0.0.5", server.http)).await.unwrap().unwrap();
    let errors = metric(&server, "sosik_accept_errors_total").await;
    assert!((1..=40).contains(&errors), "{errors}");
    assert!(server.said().contains("is the limit of open files too low?"), "{}", server.said());
}

async fn until(stream: &mut TcpStream, text: &str) {
    let (mut seen, mut piece) = (String::new(), [0; 4_096]);
    while !seen.contains(text) {
        let count = timeout(PATIENCE, stream.read(&mut piece)).await.unwrap().unwrap();
        assert!(count > 0, "{seen}");
        seen.push_str(&String::from_utf8_lossy(&piece[..count]));
    }
}

/// Longer than anything here needs on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// How soon others are served meanwhile.
const SERVED: Duration = Duration::from_secs(1);
/// How long who says nothing is there: 10 seconds, and some for a busy machine.
const ATTACKED: Duration = Duration::from_secs(12);
/// Connections of one address: 256, and the bucket's 64 a second for the length of a test.
const SHARE: u64 = 256;
/// As it is by default; other tests switch it off.
const PER_ADDRESS: [&str; 2] = ["--connections-per-address-max", "256"];
