//! Feeds between their tasks and the sweepers, over real sockets, each step when the test says so. The clock stands still, so
//! that no heartbeat mends what was missed.
#![allow(clippy::unwrap_used)]

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Wake, Waker},
    time::Duration,
};

use sosik_core::{
    ChannelName, Draft, Epoch, Grant, LogId, Namespace, Node, NodeOptions, Pattern, Start, Store, Verb, Verbs,
};
use sosik_testkit::{Memory, seed::seeds};
use sosik_transport::{Caller, Clock, Connection, Hub, Settings, Sweep, tcp};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpSocket, TcpStream},
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

/// A future that is polled when it was woken and the test wants it.
struct Task<T> {
    future: Pin<Box<dyn Future<Output = T>>>,
    woken: Arc<Woken>,
    polls: usize,
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl<T> Task<T> {
    fn new(future: impl Future<Output = T> + 'static) -> Self {
        Self { future: Box::pin(future), woken: Arc::new(Woken(AtomicBool::new(true))), polls: 0 }
    }

    /// Polls it if it was woken; whether it was.
    fn step(&mut self) -> bool {
        if !self.woken.0.swap(false, Ordering::SeqCst) {
            return false;
        }
        self.polls += 1;
        let waker = Waker::from(self.woken.clone());
        assert!(self.future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending(), "it has ended");
        true
    }
}

/// One reader of one channel over a socket with small buffers, its task, and a sweeper.
struct World {
    node: Arc<Node>,
    sweep: Arc<Sweep>,
    grant: Grant,
    sweeper: Task<()>,
    serving: Task<()>,
    client: TcpStream,
    got: String,
    published: usize,
}

impl World {
    async fn new(in_place: bool) -> Self {
        Self::with_room(in_place, 4 * 1024).await
    }

    /// With buffers of `room` bytes in the kernel.
    async fn with_room(in_place: bool, room: u32) -> Self {
        let stores = [1, 2].map(|epoch| Arc::new(Memory::new(Epoch::new(epoch))) as Arc<dyn Store>);
        let sweep = Sweep::new(1);
        let options = NodeOptions::new(vec![Namespace::new("room")], 1);
        let node = Node::open(options, stores, sweep.clone()).await.unwrap();
        let log = node.log(LogId::Memory).clone();
        #[allow(clippy::disallowed_methods)]
        tokio::spawn(async move { log.run().await });
        let hub = Hub::new(node.clone(), sweep.clone(), Arc::new(Still), Settings::default());
        let grant = Grant::anonymous([(Pattern::parse("room:*").unwrap(), Verbs::from_iter(Verb::ALL))]);
        let (near, mut client) = pair(room).await;
        let connection = if in_place { Connection::of_socket(near) } else { Connection::of_task(near) };
        let opening = tcp::open(hub, Caller { grant: grant.clone().into() }, connection);
        let serving = Task::new(async move {
            if let Some(served) = opening.await {
                served.await;
            }
        });
        let sweeping = sweep.clone();
        let sweeper = Task::new(async move { sweeping.run(0, Arc::new(Still)).await });
        let hello =
            "{\"type\":\"hello\"}\n{\"type\":\"subscribe\",\"channels\":[\"room:a\"],\"after\":\"now\"}\n";
        client.write_all(hello.as_bytes()).await.unwrap();
        let mut world =
            Self { node, sweep, grant, sweeper, serving, client, got: String::new(), published: 0 };
        world.settle().await;
        assert!(world.got.contains("caught_up"), "{}", world.got);
        world
    }

    async fn publish(&mut self) {
        self.publish_text("x".repeat(900)).await;
    }

    async fn publish_text(&mut self, text: String) {
        self.published += 1;
        let text = format!("\"<{}>{text}\"", self.published);
        let draft = Draft::json(ChannelName::parse("room:a").unwrap(), text);
        self.node.publish(&self.grant, vec![draft], 1).await.unwrap();
    }

    /// What the client reads of what is there, at most `most` bytes; whether it was anything.
    fn read(&mut self, most: usize) -> bool {
        let mut buffer = vec![0; most];
        let Ok(count) = self.client.try_read(&mut buffer) else { return false };
        self.got.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
        count > 0
    }

    /// Goes on until nobody is woken and nothing is to be read.
    async fn settle(&mut self) {
        let mut quiet = 0;
        while quiet < 20 {
            let mut busy = self.sweeper.step();
            busy |= self.serving.step();
            busy |= self.read(64 * 1024);
            quiet = if busy { 0 } else { quiet + 1 };
            // The kernel and the runtime hand over what was written.
            tokio::time::sleep(Duration::from_micros(if quiet > 10 { 300 } else { 0 })).await;
        }
    }

    /// The numbers of the events that came, in their order.
    fn numbers(&self) -> Vec<usize> {
        let numbers = self.got.split("\"<").skip(1);
        numbers.map(|rest| rest.split('>').next().unwrap().parse().unwrap()).collect()
    }
}

async fn pair(room: u32) -> (TcpStream, TcpStream) {
    let listening = TcpSocket::new_v4().unwrap();
    listening.set_send_buffer_size(room).unwrap();
    listening.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = listening.listen(1).unwrap();
    let calling = TcpSocket::new_v4().unwrap();
    calling.set_recv_buffer_size(room).unwrap();
    let client = calling.connect(listener.local_addr().unwrap()).await.unwrap();
    (listener.accept().await.unwrap().0, client)
}

// Mutant: `Place::look` that only wakes -> the task is polled, or nothing comes.
#[tokio::test]
async fn a_parked_feed_is_written_by_the_sweeper_and_its_task_sleeps() {
    let mut world = World::new(true).await;
    let polls = world.serving.polls;
    for _ in 0..5 {
        world.publish().await;
        world.settle().await;
    }
    assert_eq!(world.numbers(), (1..=5).collect::<Vec<_>>());
    assert_eq!(world.serving.polls, polls, "nobody needed the task");
}

// Mutant: `look` answered by nobody when there is no place to write -> nothing comes.
#[tokio::test]
async fn what_cannot_be_written_in_place_is_woken() {
    let mut world = World::new(false).await;
    let polls = world.serving.polls;
    world.publish().await;
    world.settle().await;
    assert_eq!(world.numbers(), [1]);
    assert!(world.serving.polls > polls);
}

// Mutant: `Again` of a sweep forgotten -> the task is not woken for the rest, and it lies there.
#[tokio::test]
async fn what_is_more_than_a_sweep_writes_is_left_to_the_task() {
    let mut world = World::with_room(true, 1024 * 1024).await;
    for _ in 0..400 {
        world.publish_text(String::new()).await;
    }
    world.settle().await;
    assert_eq!(world.numbers().len(), 400);
}

/// How often somebody was woken.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

// Mutants: a list that is read at a key that nobody has any more -> the sweeper panics; a sweep that ends where the list ends
// that has become shorter -> who is behind it is not woken.
#[tokio::test]
async fn ten_thousand_that_leave_in_the_middle_of_a_sweep_harm_nobody() {
    let mut world = World::new(true).await;
    let set = [Pattern::parse("room:a").unwrap()];
    let reader = world.node.read(world.grant.clone(), &set, Start::Now, 1).await.unwrap();
    let [many, last] = [(); 2].map(|()| Arc::new(Wakes::default()));
    let sit = |wakes: &Arc<Wakes>| {
        let mut seat = world.sweep.sit();
        seat.follow(reader.watches());
        seat.register(&Context::from_waker(&Waker::from(wakes.clone())));
        seat
    };
    let leaving: Vec<_> = (0..10_000).map(|_| sit(&many)).collect();
    let staying = sit(&last);
    world.publish().await;
    assert!(world.sweeper.step());
    let woken = many.0.load(Ordering::SeqCst);
    assert!((1..10_000).contains(&woken), "the sweep lets others go on, with {woken} woken");
    drop(leaving);
    world.settle().await;
    assert_eq!((many.0.load(Ordering::SeqCst), last.0.load(Ordering::SeqCst)), (woken, 1));
    assert_eq!(world.numbers(), [1]);
    drop(staying);
}

// Mutants: a sweep's `Blocked`, or `None` for what cannot be written in place, not passed on to the task; a feed that is
// never parked, or stands in no list; a watch that is listed in the inbox for ever.
#[tokio::test]
async fn whatever_comes_between_news_a_write_and_a_full_socket_nothing_is_missed() {
    for seed in seeds(40) {
        let mut rng = seed.rng();
        let mut world = World::new(rng.u8(0..4) > 0).await;
        for _ in 0..rng.usize(20..140) {
            match rng.u8(0..8) {
                0..=2 => world.publish().await,
                3 => _ = world.sweeper.step(),
                4 => _ = world.serving.step(),
                5 => _ = world.read(rng.usize(1..3_000)),
                6 => tokio::task::yield_now().await,
                _ => tokio::time::sleep(Duration::ZERO).await,
            }
        }
        world.settle().await;
        let all: Vec<_> = (1..=world.published).collect();
        assert_eq!(world.numbers(), all);
    }
}
