//! Long-polls that are held on their connection: each step when the test says so, over pipes and without a server. The clock
//! stands still, so that no wait ends by itself.
#![allow(clippy::unwrap_used)]

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use axum::{body::Body, extract::Request, response::Response};
use bytes::Bytes;
use http::{HeaderValue, Version};
use sosik_core::{
    ChannelName, Cut, Draft, Epoch, Grant, LogId, Namespace, Node, NodeOptions, Pattern, Store, Verb, Verbs,
    grant::Generation,
};
use sosik_testkit::Memory;
use sosik_transport::{Caller, Clock, Connection, Hub, Offer, Served, Settings, Sweep, Takeover};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tower_service::Service;

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

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A future that is polled when it was woken and the test wants it.
struct Task<T> {
    future: Pin<Box<dyn Future<Output = T> + Send>>,
    woken: Arc<Woken>,
}

impl<T: 'static> Task<T> {
    fn new(future: Pin<Box<dyn Future<Output = T> + Send>>) -> Self {
        // Each has a budget of its own in a runtime; here all run in the test.
        let future = Box::pin(tokio::task::unconstrained(future));
        Self { future, woken: Arc::new(Woken(AtomicBool::new(true))) }
    }

    /// Polls it if it was woken: what came of it.
    fn step(&mut self) -> Option<T> {
        if !self.woken.0.swap(false, Ordering::SeqCst) {
            return None;
        }
        match self.future.as_mut().poll(&mut Context::from_waker(&Waker::from(self.woken.clone()))) {
            Poll::Ready(ended) => Some(ended),
            Poll::Pending => None,
        }
    }
}

/// A held request, its connection's other side, and how it ended.
struct Poller {
    task: Task<Option<Connection>>,
    client: DuplexStream,
    ended: Option<Option<Connection>>,
}

impl Poller {
    fn step(&mut self) -> bool {
        if self.ended.is_none() {
            self.ended = self.task.step();
        }
        self.ended.is_some()
    }

    /// The head and the body of its answer.
    async fn answer(&mut self) -> (String, serde_json::Value) {
        let mut buffer = vec![0; 64 * 1024];
        let count = self.client.read(&mut buffer).await.unwrap();
        let text = String::from_utf8(buffer[..count].to_vec()).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}", body.len())), "{head}");
        (head.to_owned(), serde_json::from_str(body).unwrap())
    }
}

struct World {
    node: Arc<Node>,
    hub: Arc<Hub>,
    grant: Grant,
    sweeper: Task<()>,
}

impl World {
    async fn new() -> Self {
        let stores = [1, 2].map(|epoch| Arc::new(Memory::new(Epoch::new(epoch))) as Arc<dyn Store>);
        let (sweep, clock) = (Sweep::new(1), Arc::new(Still));
        let node = Node::open(NodeOptions::new(vec![Namespace::new("room")], 1), stores, sweep.clone());
        let node = node.await.unwrap();
        let log = node.log(LogId::Memory).clone();
        #[allow(clippy::disallowed_methods)]
        tokio::spawn(async move { log.run().await });
        let hub = Hub::new(node.clone(), sweep.clone(), clock.clone(), Settings::default());
        let grant = Grant::anonymous([(Pattern::parse("room:*").unwrap(), Verbs::from_iter(Verb::ALL))]);
        let sweeper = Task::new(Box::pin(async move { sweep.run(0, clock).await }));
        Self { node, hub, grant, sweeper }
    }

    async fn publish(&self, channel: &str, text: &str) {
        let draft = Draft::json(ChannelName::parse(channel).unwrap(), format!("\"{text}\""));
        self.node.publish(&self.grant, vec![draft], 1).await.unwrap();
    }

    async fn ask(&self, path: &str, grant: &Grant) -> Response {
        let mut request = Request::get(path).body(Body::empty()).unwrap();
        request.extensions_mut().insert(Caller { grant: grant.clone().into() });
        request.extensions_mut().insert(Offer);
        sosik_transport::router(self.hub.clone()).call(request).await.unwrap()
    }

    /// A long-poll that is held.
    async fn hold(&self, query: &str, grant: &Grant) -> Poller {
        let mut response = self.ask(&format!("/v1/long-poll?{query}"), grant).await;
        let takeover = response.extensions_mut().remove::<Takeover>().expect("nothing follows");
        let (near, client) = tokio::io::duplex(64 * 1024);
        let (head, _) = response.into_parts();
        let date = || HeaderValue::from_static("now");
        let served: Served = takeover.run(Connection::of_task(near), &head, Version::HTTP_11, date).unwrap();
        let mut poller = Poller { task: Task::new(served), client, ended: None };
        assert!(!poller.step());
        poller
    }

    async fn cursor(&self, channel: &str) -> String {
        let response = self.ask(&format!("/v1/long-poll?channel={channel}&wait=0"), &self.grant).await;
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let said: serde_json::Value = serde_json::from_slice(&body).unwrap();
        said["cursor"].as_str().unwrap().to_owned()
    }

    fn answers(&self) -> u64 {
        self.hub.figures.answers.load(Ordering::Relaxed)
    }

    async fn sweep(&mut self) {
        for _ in 0..100 {
            self.sweeper.step();
            tokio::task::yield_now().await;
        }
    }
}

fn texts(answer: &serde_json::Value) -> Vec<&str> {
    answer["frames"].as_array().unwrap().iter().map(|frame| frame["data"].as_str().unwrap()).collect()
}

// Mutant: a group that is never found -> 5,000 answers are made.
#[tokio::test]
async fn five_thousand_long_polls_on_one_event_cost_one_answer() {
    let mut world = World::new().await;
    world.publish("room:a", "old").await;
    let query = format!("channel=room:a&after={}", world.cursor("room:a").await);
    let mut pollers = Vec::new();
    for _ in 0..READERS {
        pollers.push(world.hold(&query, &world.grant).await);
    }
    let before = world.answers();
    world.publish("room:a", "new").await;
    world.sweep().await;
    for poller in &mut pollers {
        assert!(poller.step());
        assert!(poller.ended.take().unwrap().is_some(), "the connection comes back");
        assert_eq!(texts(&poller.answer().await.1), ["new"]);
    }
    assert_eq!(world.answers() - before, 1);
    let delivered = &world.hub.figures.of(sosik_wire::TransportName::LongPoll).deliveries;
    assert_eq!(delivered.load(Ordering::Relaxed), READERS as u64);
}

// Mutants: a moment that lasts for ever -> the third event is missing; a question without its cursor, or without its set ->
// somebody else's answer; the grant not looked at -> who has lost it is answered.
#[tokio::test]
async fn an_answer_is_given_to_nobody_for_whom_it_is_not_the_answer() {
    let mut world = World::new().await;
    world.publish("room:a", "old").await;
    world.publish("room:b", "old").await;
    let (older, other) = (world.cursor("room:a").await, world.cursor("room:b").await);
    let either = format!("channel=room:a&channel=room:b&after={other}");
    world.publish("room:a", "1").await;
    let newer = world.cursor("room:a").await;
    let generations = Arc::new(AtomicU64::new(0));
    let revoked = Grant { generation: Generation::of(&generations), ..world.grant.clone() };
    let [mut first, mut same, mut gone] = [
        world.hold(&format!("channel=room:a&after={newer}"), &world.grant).await,
        world.hold(&format!("channel=room:a&after={newer}"), &world.grant).await,
        world.hold(&format!("channel=room:a&after={newer}"), &revoked).await,
    ];
    let begun = world.answers();
    world.publish("room:a", "2").await;
    world.sweep().await;
    generations.fetch_add(1, Ordering::SeqCst);
    assert!(first.step() && gone.step());
    assert_eq!(texts(&first.answer().await.1), ["2"]);
    let (head, refused) = gone.answer().await;
    assert!(head.starts_with("HTTP/1.1 401"), "{head} {refused}");
    // What follows the same cursor is more by now, also while somebody was woken by less.
    world.publish("room:a", "3").await;
    assert!(same.step());
    assert_eq!(texts(&same.answer().await.1), ["2", "3"]);
    assert_eq!(world.answers() - begun, 2);
    // Another cursor, another set: by questions that need not wait.
    world.publish("room:b", "4").await;
    for (query, wanted) in [
        (format!("channel=room:a&after={newer}"), vec!["2", "3"]),
        (format!("channel=room:a&after={older}"), vec!["1", "2", "3"]),
        (format!("channel=room:b&after={newer}"), vec!["4"]),
        (either, vec!["1", "2", "3", "4"]),
    ] {
        let response = world.ask(&format!("/v1/long-poll?{query}"), &world.grant).await;
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        assert_eq!(texts(&serde_json::from_slice(&body).unwrap()), wanted, "{query}");
    }
    assert_eq!(world.answers() - begun, 5, "the first of them was there");
}

// Mutant: marks that are not counted -> what was trimmed is given once more.
#[tokio::test]
async fn what_was_marked_as_gone_is_in_no_answer_that_is_given_later() {
    let world = World::new().await;
    world.publish("room:a", "old").await;
    let query = format!("/v1/long-poll?channel=room:a&after={}", world.cursor("room:a").await);
    world.publish("room:a", "secret").await;
    world.publish("room:a", "last").await;
    let body = async |response: Response| {
        let body: Bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        serde_json::from_slice::<serde_json::Value>(&body).unwrap()
    };
    let told = body(world.ask(&query, &world.grant).await).await;
    assert_eq!(texts(&told), ["secret", "last"]);
    let channel = ChannelName::parse("room:a").unwrap();
    world.node.trim(&world.grant, &channel, Cut::Keep(1), 1).await.unwrap();
    let told = body(world.ask(&query, &world.grant).await).await;
    assert_eq!(told["frames"][0]["type"], "gap", "{told}");
    assert_eq!(told["frames"][1]["data"], "last", "{told}");
}

// Mutant: a list that is taken out for its sweep and put back afterwards -> who came meanwhile is in none.
#[tokio::test]
async fn who_comes_with_the_newest_cursor_while_the_list_is_swept_is_not_forgotten() {
    let mut world = World::new().await;
    world.publish("room:a", "old").await;
    let query = format!("channel=room:a&after={}", world.cursor("room:a").await);
    let mut pollers = Vec::new();
    for _ in 0..LISTED {
        pollers.push(world.hold(&query, &world.grant).await);
    }
    // Places in the list that are empty, so that who comes meanwhile may get one that the sweep has passed.
    pollers.drain(10..20);
    world.publish("room:a", "1").await;
    let query = format!("channel=room:a&after={}", world.cursor("room:a").await);
    let mut late = Vec::new();
    for _ in 0..8 {
        for poller in &mut pollers {
            poller.step();
        }
        for _ in 0..8 {
            late.push(world.hold(&query, &world.grant).await);
        }
        world.sweeper.step();
        tokio::task::yield_now().await;
    }
    assert!(pollers.iter_mut().all(Poller::step));
    assert!(late.iter_mut().all(|poller| !poller.step()));
    world.publish("room:a", "2").await;
    world.sweep().await;
    tokio::time::sleep(REST).await;
    world.sweep().await;
    for poller in &mut late {
        assert!(poller.step());
        assert_eq!(texts(&poller.answer().await.1), ["2"]);
    }
}

// Mutants: what is read meanwhile thrown away; the end of the client not seen.
#[tokio::test]
async fn a_held_long_poll_keeps_what_is_sent_after_it_and_ends_with_its_client() {
    let mut world = World::new().await;
    world.publish("room:a", "old").await;
    let mut pollers = Vec::new();
    for _ in 0..3 {
        pollers.push(world.hold("channel=room:a", &world.grant).await);
    }
    let open = |world: &World| {
        world.hub.figures.of(sosik_wire::TransportName::LongPoll).open.load(Ordering::Relaxed)
    };
    assert_eq!(open(&world), 3);
    let next = "GET /live HTTP/1.1\r\n";
    pollers[0].client.write_all(next.as_bytes()).await.unwrap();
    assert!(!pollers[0].step());
    pollers[1].client.shutdown().await.unwrap();
    assert!(pollers[1].step());
    assert!(matches!(pollers[1].ended, Some(None)));
    assert_eq!(open(&world), 2);
    world.publish("room:a", "1").await;
    world.sweep().await;
    assert!(pollers[0].step());
    let mut back = pollers[0].ended.take().unwrap().expect("the connection comes back");
    let mut said = vec![0; next.len()];
    back.read_exact(&mut said).await.unwrap();
    assert_eq!(said, next.as_bytes());
    assert!(pollers[2].step());
    assert_eq!(open(&world), 0);
}

const READERS: usize = 5_000;
/// More than a sweep looks at before others get a turn.
const LISTED: usize = 600;
/// Longer than a watch rests.
const REST: std::time::Duration = std::time::Duration::from_millis(30);
