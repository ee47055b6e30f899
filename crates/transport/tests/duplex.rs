//! Two-way connections whose client, store or rights do not keep pace. No sweeper runs: whatever is left lying stays.
#![allow(clippy::unwrap_used)]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use sosik_core::{
    ChannelName, Draft, Epoch, Grant, LogId, Namespace, Node, NodeOptions, Pattern, Store, Verb, Verbs,
    grant::Generation,
};
use sosik_testkit::{
    Memory,
    faulty::{FaultPlan, Faulty},
};
use sosik_transport::{Caller, Clock, Connection, Hub, Settings, Sweep, tcp};
use tokio::io::{
    AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, Lines, ReadHalf, WriteHalf, duplex, split,
};

#[derive(Debug)]
struct Still;

impl Clock for Still {
    fn wall_ms(&self) -> u64 {
        1
    }

    fn steady_ms(&self) -> u64 {
        1
    }
}

struct Client {
    hub: Arc<Hub>,
    lines: Lines<BufReader<ReadHalf<DuplexStream>>>,
    out: WriteHalf<DuplexStream>,
    grant: Grant,
    rights: Arc<AtomicU64>,
}

impl Client {
    /// Over a pipe that holds `room` bytes each way.
    async fn connect(room: usize, plan: FaultPlan) -> Self {
        let stores = [1, 2].map(|epoch| {
            let memory = Arc::new(Memory::new(Epoch::new(epoch)));
            Arc::new(Faulty::new(memory, epoch, plan)) as Arc<dyn Store>
        });
        let sweep = Sweep::new(1);
        let options = NodeOptions::new(vec![Namespace::new("room")], 1);
        let node = Node::open(options, stores, sweep.clone()).await.unwrap();
        let log = node.log(LogId::Memory).clone();
        let hub = Hub::new(node, sweep, Arc::new(Still), Settings::default());
        let rights = Arc::new(AtomicU64::new(0));
        let mut grant = Grant::anonymous([(Pattern::parse("room:*").unwrap(), Verbs::from_iter(Verb::ALL))]);
        grant.generation = Generation::of(&rights);
        let (near, far) = duplex(room);
        #[allow(clippy::disallowed_methods)]
        {
            tokio::spawn(async move { log.run().await });
            let opening =
                tcp::open(hub.clone(), Caller { grant: grant.clone().into() }, Connection::of_task(far));
            tokio::spawn(async move {
                if let Some(served) = opening.await {
                    served.await;
                }
            });
        }
        let (input, out) = split(near);
        Self { hub, lines: BufReader::with_capacity(room, input).lines(), out, grant, rights }
    }

    async fn send(&mut self, text: &str) {
        self.out.write_all(text.as_bytes()).await.unwrap();
    }

    /// The next line that holds `what`; the others are passed.
    async fn expect(&mut self, what: &str) -> String {
        let next = async {
            loop {
                let line = self.lines.next_line().await.unwrap();
                let line = line.unwrap_or_else(|| panic!("the connection ended before {what}"));
                if line.contains(what) {
                    return line;
                }
            }
        };
        let next = tokio::time::timeout(Duration::from_secs(5), next).await;
        next.unwrap_or_else(|_| panic!("nothing with {what} came"))
    }
}

const HELLO: &str = "{\"type\":\"hello\"}\n";

// Mutant: `poll` resting although its turn brought the reader back -> the second subscribe lies there until a heartbeat.
#[tokio::test]
async fn a_subscribe_that_waits_for_the_one_before_goes_on_when_that_is_answered() {
    let slow = FaultPlan { read_polls: 100, ..FaultPlan::none() };
    let mut client = Client::connect(4096, slow).await;
    let subscribe = |id: usize| {
        format!("{{\"type\":\"subscribe\",\"id\":{id},\"channels\":[\"room:{id}\"],\"after\":\"now\"}}\n")
    };
    client.send(&format!("{HELLO}{}{}{}", subscribe(1), subscribe(2), subscribe(3))).await;
    for id in 1..=3 {
        client.expect(&format!("\"ok\",\"id\":{id},")).await;
    }
}

// Mutant: `poll` resting although its turn emptied the outbox -> the client is not read from until a heartbeat.
#[tokio::test]
async fn a_client_that_reads_again_is_read_from_again() {
    let mut client = Client::connect(16 * 1024, FaultPlan::none()).await;
    let pings: String = (1..=5_000).map(|id| format!("{{\"type\":\"ping\",\"id\":{id}}}\n")).collect();
    client.send(HELLO).await;
    let Client { mut out, lines, hub, grant, rights } = client;
    #[allow(clippy::disallowed_methods)]
    let writing = tokio::spawn(async move {
        out.write_all(pings.as_bytes()).await.unwrap();
        out
    });
    // Until the answers that nobody takes have filled the pipe and the outbox.
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    assert!(!writing.is_finished(), "a client that does not read is not read from without end");
    let (near, _) = duplex(1);
    let mut client = Client { hub, lines, out: split(near).1, grant, rights };
    client.expect("\"id\":5000}").await;
    drop(writing.await.unwrap());
}

// Mutant: `is_held_up` without bytes -> 200 short frames make the server hold 50 MB of pages for nobody.
#[tokio::test]
async fn answers_that_nobody_reads_are_bounded_in_bytes() {
    let mut client = Client::connect(16 * 1024, FaultPlan::none()).await;
    let event = |_| Draft::json(ChannelName::parse("room:a").unwrap(), format!("\"{}\"", "x".repeat(1_000)));
    client.hub.node.publish(&client.grant, (0..256).map(event).collect::<Vec<_>>(), 1).await.unwrap();
    client.send(HELLO).await;
    let history = "{\"type\":\"history\",\"channel\":\"room:a\",\"limit\":256}";
    let written = Arc::new(AtomicU64::new(0));
    let counter = written.clone();
    #[allow(clippy::disallowed_methods)]
    let writing = tokio::spawn(async move {
        for _ in 0..200 {
            client.out.write_all(format!("{history:1000}\n").as_bytes()).await.unwrap();
            counter.fetch_add(1, Ordering::Relaxed);
        }
    });
    for _ in 0..5_000 {
        tokio::task::yield_now().await;
    }
    let written = written.load(Ordering::Relaxed);
    assert!((1..50).contains(&written), "{written} of 200 were read or lie in the pipe");
    writing.abort();
}

// Mutant: `poll` returning with a frame that it has read and not begun -> no goodbye until a heartbeat, and none at all to
// a client that goes on sending.
#[tokio::test]
async fn who_sends_when_its_rights_end_is_told_so() {
    let mut client = Client::connect(4096, FaultPlan::none()).await;
    client.send(HELLO).await;
    client.send("{\"type\":\"subscribe\",\"id\":1,\"channels\":[\"room:a\"],\"after\":\"now\"}\n").await;
    client.expect("caught_up").await;
    client.rights.fetch_add(1, Ordering::AcqRel);
    client.send("{\"type\":\"ping\",\"id\":2}\n").await;
    client.expect("\"ok\",\"id\":2").await;
    client.expect("\"code\":4203").await;
    assert!(client.lines.next_line().await.unwrap().is_none(), "a goodbye is the last frame");
    assert!(!client.hub.is_draining());
}

// Mutant: `publish` reading the channel's record before it takes its place in the queue -> whoever comes when the record
// has just been read overtakes those that waited for it.
#[tokio::test]
async fn publishes_into_one_channel_are_stored_as_they_came_while_its_record_is_read() {
    let slow = FaultPlan { read_polls: 4, append_polls: 4, ..FaultPlan::none() };
    let mut client = Client::connect(64 * 1024, slow).await;
    let publish = |id: u64| {
        format!("{{\"type\":\"publish\",\"id\":{id},\"channel\":\"room:{}\",\"data\":1}}\n", id % 3)
    };
    let frames: String = (0..300).map(publish).collect();
    client.send(&format!("{HELLO}{frames}")).await;
    let number = |line: &str, key: &str| -> u64 {
        let digits = line.split(key).nth(1).unwrap();
        digits.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
    };
    for _ in 0..300 {
        let line = client.expect("\"ok\"").await;
        assert_eq!(number(&line, "\"seq\":"), number(&line, "\"id\":") / 3 + 1, "{line}");
    }
}
