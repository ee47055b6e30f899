//! The fault proxy over real sockets: bytes come out as they went in, and each fault does what it says.
#![allow(clippy::unwrap_used)]

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use sosik_lab::proxy::{Buffer, Cut, CutKind, Delay, Direction, FaultPlan, FaultProxy, Rechunk};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

/// An upstream that sends back what it gets, and ends when its client does.
struct Echo {
    addr: SocketAddr,
    _tasks: JoinSet<()>,
}

impl Echo {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((mut socket, _)) = listener.accept().await {
                open.spawn(async move {
                    let (mut read, mut write) = socket.split();
                    let _ = tokio::io::copy(&mut read, &mut write).await;
                    let _ = write.shutdown().await;
                });
            }
        });
        Self { addr, _tasks: tasks }
    }
}

/// An upstream of which the test is the one connection.
async fn scripted() -> (TcpListener, FaultProxy) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = FaultProxy::start(listener.local_addr().unwrap(), 1).await.unwrap();
    (listener, proxy)
}

async fn pair(listener: &TcpListener, proxy: &FaultProxy) -> (TcpStream, TcpStream) {
    let client = TcpStream::connect(proxy.addr()).await.unwrap();
    let (upstream, _) = within(listener.accept()).await.unwrap();
    (client, upstream)
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), future).await.expect("the proxy hangs")
}

async fn round_trip(addr: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut socket = TcpStream::connect(addr).await.unwrap();
    let (mut read, mut write) = socket.split();
    let mut back = Vec::new();
    let send = async {
        write.write_all(bytes).await.unwrap();
        write.shutdown().await.unwrap();
    };
    within(async { tokio::join!(send, read.read_to_end(&mut back)).1 }).await.unwrap();
    back
}

fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    fastrand::Rng::with_seed(seed).fill(&mut bytes);
    bytes
}

// Mutant: the plan and the bytes looked at in any order -> some echo comes through.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_sent_after_a_plan_was_set_is_under_it() {
    let echo = Echo::start().await;
    let cut = Cut { direction: Direction::Up, after_bytes: 0..=0, kind: CutKind::Rst };
    for seed in 0..300 {
        let proxy = FaultProxy::start(echo.addr, seed).await.unwrap();
        let mut socket = TcpStream::connect(proxy.addr()).await.unwrap();
        socket.write_all(b"a").await.unwrap();
        within(socket.read_exact(&mut [0])).await.unwrap();
        proxy.faults().set(FaultPlan { cut: Some(cut.clone()), ..FaultPlan::default() });
        socket.write_all(b"b").await.unwrap();
        let came = within(socket.read(&mut [0])).await;
        assert!(!matches!(came, Ok(1)), "seed {seed}");
    }
}

// Mutant: a late fault given only the first slice of a piece -> fails.
// Mutant: passing the client's end on before what is queued -> fails.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_mix_of_faults_that_only_reshape_keeps_every_byte() {
    let echo = Echo::start().await;
    let ms = Duration::from_millis;
    let mut plans = Vec::new();
    for bits in 0..16 {
        let on = |bit: u32| bits & (1 << bit) != 0;
        plans.push(FaultPlan {
            delay_up: on(0).then_some(Delay { fixed: ms(2), jitter_max: ms(5) }),
            delay_down: on(0).then_some(Delay { fixed: ms(1), jitter_max: ms(9) }),
            rechunk: on(1).then_some(Rechunk { piece_max: 100, pause: Duration::ZERO }),
            buffer: on(2).then_some(if on(0) { Buffer::UntilEnd } else { Buffer::UntilBytes(5_000) }),
            strip_upgrade: on(3),
            cut: None,
        });
    }
    let bytes = noise(3, 300_000);
    for plan in plans {
        let proxy = FaultProxy::start(echo.addr, 9).await.unwrap();
        proxy.faults().set(plan.clone());
        assert!(round_trip(proxy.addr(), &bytes).await == bytes, "{plan:?}");
        let counts = proxy.faults().counts();
        assert_eq!((counts.bytes_up, counts.bytes_down, counts.cuts), (300_000, 300_000, 0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plans_switched_while_bytes_flow_keep_every_byte() {
    let echo = Echo::start().await;
    let proxy = FaultProxy::start(echo.addr, 4).await.unwrap();
    let faults = proxy.faults();
    let bytes = noise(5, 2_000_000);
    let switching = async {
        let mut rng = fastrand::Rng::with_seed(6);
        loop {
            let ms = |n| Duration::from_millis(n);
            faults.set(FaultPlan {
                delay_down: rng.bool().then_some(Delay { fixed: ms(1), jitter_max: ms(3) }),
                rechunk: rng.bool().then_some(Rechunk { piece_max: 5_000, pause: Duration::ZERO }),
                buffer: rng.bool().then_some(Buffer::UntilEnd),
                ..FaultPlan::default()
            });
            tokio::time::sleep(ms(2)).await;
        }
    };
    let back = tokio::select! {
        back = round_trip(proxy.addr(), &bytes) => back,
        () = switching => unreachable!(),
    };
    assert!(back == bytes);
}

// Mutant: cutting the other direction's bytes, or one byte late -> fails.
#[tokio::test]
async fn a_cut_comes_after_exactly_that_many_bytes_as_an_end_or_as_an_error() {
    for kind in [CutKind::Fin, CutKind::Rst] {
        let (listener, proxy) = scripted().await;
        let cut = Cut { direction: Direction::Down, after_bytes: 10..=10, kind };
        proxy.faults().set(FaultPlan { cut: Some(cut), ..FaultPlan::default() });
        let (mut client, mut upstream) = pair(&listener, &proxy).await;
        client.write_all(b"a request longer than ten bytes").await.unwrap();
        let mut request = [0; 31];
        within(upstream.read_exact(&mut request)).await.unwrap();
        upstream.write_all(b"0123456789abcdef").await.unwrap();
        let mut got = Vec::new();
        let ended = within(client.read_to_end(&mut got)).await;
        match kind {
            CutKind::Fin => assert_eq!((ended.unwrap(), got.as_slice()), (10, &b"0123456789"[..])),
            CutKind::Rst => {
                assert_eq!(ended.unwrap_err().kind(), ErrorKind::ConnectionReset);
                assert!(b"0123456789".starts_with(&got));
            }
        }
        let ended = within(upstream.read(&mut request)).await;
        match kind {
            CutKind::Fin => assert_eq!(ended.unwrap(), 0),
            CutKind::Rst => assert_eq!(ended.unwrap_err().kind(), ErrorKind::ConnectionReset),
        }
        assert_eq!(proxy.faults().counts().cuts, 1);
    }
}

// Mutant: closing without draining -> fails: unread bytes of the client's turn the end into a reset, and that
// throws away what had been sent.
#[tokio::test]
async fn what_was_sent_before_a_fin_arrives_while_the_peer_still_sends() {
    let (listener, proxy) = scripted().await;
    let (mut client, mut upstream) = pair(&listener, &proxy).await;
    // Held up behind an upstream that does not read.
    let flood = noise(1, 64 * 1024);
    while let Ok(sent) = timeout(Duration::from_millis(200), client.write_all(&flood)).await {
        sent.unwrap();
    }
    // Held up, in the sockets, behind a client that does not read.
    let news = noise(2, 512 * 1024);
    within(upstream.write_all(&news)).await.unwrap();
    let faults = proxy.faults();
    within(async {
        while faults.counts().bytes_down < news.len() as u64 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    faults.cut_all(CutKind::Fin);
    let mut got = Vec::new();
    within(client.read_to_end(&mut got)).await.unwrap();
    assert!(got == news, "{} of {} bytes", got.len(), news.len());
}

// Mutant: `cut_all` doing nothing -> fails.
#[tokio::test]
async fn cut_all_means_every_running_connection_and_no_later_one() {
    let (listener, proxy) = scripted().await;
    let faults = proxy.faults();
    for round in 1..=2 {
        let (mut client, mut upstream) = pair(&listener, &proxy).await;
        client.write_all(b"x").await.unwrap();
        within(upstream.read_u8()).await.unwrap();
        faults.cut_all(CutKind::Rst);
        assert_eq!(within(client.read_u8()).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(within(upstream.read_u8()).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!((faults.counts().cuts, faults.counts().connections), (round, round));
    }
}

// Mutant: ignoring the delay -> fails (nothing asserts an upper bound).
#[tokio::test]
async fn delayed_bytes_do_not_come_early() {
    let echo = Echo::start().await;
    let proxy = FaultProxy::start(echo.addr, 1).await.unwrap();
    let delay = Delay { fixed: Duration::from_millis(60), jitter_max: Duration::ZERO };
    proxy.faults().set(FaultPlan { delay_up: Some(delay), delay_down: Some(delay), ..FaultPlan::default() });
    let begin = Instant::now();
    assert_eq!(round_trip(proxy.addr(), b"hello").await, b"hello");
    assert!(begin.elapsed() >= Duration::from_millis(120));
}

// Mutant: reading on without a limit -> fails.
#[tokio::test]
async fn a_long_delay_holds_the_upstream_up() {
    let (listener, proxy) = scripted().await;
    let delay = Delay { fixed: Duration::from_secs(3_600), jitter_max: Duration::ZERO };
    proxy.faults().set(FaultPlan { delay_down: Some(delay), ..FaultPlan::default() });
    let (_client, mut upstream) = pair(&listener, &proxy).await;
    assert!(sent_until_held_up(&mut upstream, &noise(2, 1024 * 1024)).await.is_some());
}

/// How many bytes went before the other side took no more; `None` when it took 64 MiB.
async fn sent_until_held_up(socket: &mut TcpStream, block: &[u8]) -> Option<usize> {
    let mut sent = 0;
    while sent < 64 * 1024 * 1024 {
        match timeout(Duration::from_secs(1), socket.write(&block[sent % block.len()..])).await {
            Ok(n) => sent += n.unwrap(),
            Err(_) => return Some(sent),
        }
    }
    None
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_the_upstream_up() {
    let (listener, proxy) = scripted().await;
    let delay = Delay { fixed: Duration::from_millis(1), jitter_max: Duration::ZERO };
    proxy.faults().set(FaultPlan { delay_down: Some(delay), ..FaultPlan::default() });
    let (mut client, mut upstream) = pair(&listener, &proxy).await;
    let block = noise(2, 1024 * 1024);
    let sent =
        sent_until_held_up(&mut upstream, &block).await.expect("64 MiB for a client that reads nothing");
    let read = async {
        let mut got = vec![0; sent];
        client.read_exact(&mut got).await.unwrap();
        got
    };
    let got = within(read).await;
    assert!(got.chunks(block.len()).all(|part| part == &block[..part.len()]));
}

#[tokio::test]
async fn a_stripped_upgrade_arrives_as_a_plain_get() {
    let (listener, proxy) = scripted().await;
    proxy.faults().set(FaultPlan { strip_upgrade: true, ..FaultPlan::default() });
    let (mut client, mut upstream) = pair(&listener, &proxy).await;
    let request =
        b"GET /v1/websocket HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
    client.write_all(request).await.unwrap();
    let expected = b"GET /v1/websocket HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut got = vec![0; expected.len()];
    within(upstream.read_exact(&mut got)).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&got), String::from_utf8_lossy(expected));
}

#[tokio::test]
async fn a_buffered_stream_arrives_when_it_ends_and_a_buffered_answer_when_it_is_whole() {
    let (listener, proxy) = scripted().await;
    proxy.faults().set(FaultPlan { buffer: Some(Buffer::UntilEnd), ..FaultPlan::default() });
    let (mut client, mut upstream) = pair(&listener, &proxy).await;
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    upstream.write_all(answer).await.unwrap();
    let mut got = vec![0; answer.len()];
    within(client.read_exact(&mut got)).await.unwrap();

    let stream = b"HTTP/1.1 200 OK\r\n\r\ndata: 1\n\n";
    upstream.write_all(stream).await.unwrap();
    let early = timeout(Duration::from_millis(150), client.read_u8()).await;
    assert!(early.is_err(), "a byte came before the end");
    upstream.shutdown().await.unwrap();
    let mut got = Vec::new();
    within(client.read_to_end(&mut got)).await.unwrap();
    assert_eq!(got, stream);
}

#[tokio::test]
async fn a_half_closed_client_still_gets_its_answer() {
    let (listener, proxy) = scripted().await;
    let (mut client, mut upstream) = pair(&listener, &proxy).await;
    client.write_all(b"{}\n").await.unwrap();
    client.shutdown().await.unwrap();
    let mut request = Vec::new();
    within(upstream.read_to_end(&mut request)).await.unwrap();
    upstream.write_all(b"answer").await.unwrap();
    drop(upstream);
    let mut got = Vec::new();
    within(client.read_to_end(&mut got)).await.unwrap();
    assert_eq!((request.as_slice(), got.as_slice()), (&b"{}\n"[..], &b"answer"[..]));
}

#[tokio::test]
async fn an_upstream_that_is_not_there_is_a_reset_until_it_comes_back_elsewhere() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let proxy = FaultProxy::start(gone, 1).await.unwrap();
    let mut client = TcpStream::connect(proxy.addr()).await.unwrap();
    assert_eq!(within(client.read_u8()).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(proxy.faults().counts().refused, 1);
    let echo = Echo::start().await;
    proxy.faults().set_upstream(echo.addr);
    assert_eq!(round_trip(proxy.addr(), b"back").await, b"back");
}

#[tokio::test]
async fn dropping_the_proxy_closes_all_it_had() {
    let (listener, proxy) = scripted().await;
    let (mut client, mut upstream) = pair(&listener, &proxy).await;
    let addr = proxy.addr();
    drop(proxy);
    assert!(within(client.read_u8()).await.is_err());
    assert!(within(upstream.read_u8()).await.is_err());
    assert!(TcpStream::connect(addr).await.is_err());
}
