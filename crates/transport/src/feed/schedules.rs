//! Everybody who touches a feed, in orders that a scheduler chooses: a publisher, a sweeper, the feed's task, and a client
//! that reads a few bytes at a time. The code is the one that is shipped, the core included; each lock of the wake path
//! and each wait is a place at which another may go on. The clock stands still, so that no heartbeat mends what was missed: who
//! waits for what never comes is reported as a deadlock.

use std::{future::poll_fn, sync::Arc, task::Poll};

use shuttle::{
    Config, Runner,
    future::{JoinHandle, block_on, spawn},
    scheduler::{PctScheduler, RandomScheduler},
};
use sosik_core::{
    Budget, ChannelName, Draft, Epoch, Grant, LogId, Look, Namespace, Node, NodeOptions, Page, Pattern,
    Reader, Start, Store, Verb, Verbs,
};
use sosik_testkit::{Memory, seed::share_of_seeds};
use sosik_wire::TransportName;

use super::Feed;
use crate::{
    clock::Clock, connection::Connection, form::Form, hub::Hub, hub::Settings, stand_in::TcpStream,
    sweep::Sweep,
};

// Mutants: a feed that is parked when its turn has let go of the lock; its place in the lists taken after the look, or under another
// lock; a watch that leaves the inbox after its sweep; a sweeper told before the watch is in the inbox, or told only
// if it waits at that moment; a sweep that finds the socket full and leaves it at that.
#[test]
fn no_order_of_news_sweep_turn_and_full_socket_makes_a_feed_miss_anything() {
    each_seed(|| {
        block_on(async {
            let world = World::new().await;
            let socket = TcpStream::holding(SOCKET_BYTES);
            let connection = Connection::of_socket(socket.clone());
            let mut feed = Feed::new(&world.hub, TransportName::Tcp, Form::Lines, Some(connection));
            feed.place().read(world.reader().await);
            let serving = spawn(poll_fn(move |cx| feed.turn(cx)));
            let reading = spawn(async move {
                let mut text = Vec::new();
                while count(&text) < EVENTS {
                    text.extend(poll_fn(|cx| socket.poll_take(cx, TAKEN_BYTES)).await);
                }
                text
            });
            world.publish_all().await;
            let text = String::from_utf8(reading.await.expect("it ends by itself")).expect("lines are text");
            let numbers: Vec<_> = (1..=EVENTS).map(|number| format!("\"data\":{number}")).collect();
            let events: Vec<_> = text.lines().filter(|line| line.contains("\"data\"")).collect();
            assert_eq!(events.len(), EVENTS, "{text}");
            assert!(events.iter().zip(&numbers).all(|(line, number)| line.contains(number)), "{text}");
            end(serving).await;
            world.end().await;
        });
    });
}

// Mutants: those of the inbox above; a waker that is not remembered.
#[test]
fn no_order_of_news_and_sweep_makes_a_seat_miss_anything() {
    each_seed(|| {
        block_on(async {
            let world = World::new().await;
            let mut reader = world.reader().await;
            let mut seat = world.hub.sweep.sit();
            let looking = spawn(async move {
                let (mut seen, mut page) = (0, Page::default());
                seat.follow(reader.watches());
                poll_fn(|cx| {
                    seat.register(cx);
                    let budget = Budget { events: 1, bytes: 1 };
                    while reader.look(1, budget, &mut page).expect("nothing ends it") == Look::Found {
                        reader.took(&page, page.items.len());
                        seen += 1;
                    }
                    // What is behind the events is that it has caught up.
                    if seen > EVENTS { Poll::Ready(()) } else { Poll::Pending }
                })
                .await;
            });
            world.publish_all().await;
            looking.await.expect("it ends by itself");
            world.end().await;
        });
    });
}

/// A node with a log and a sweeper at work.
struct World {
    node: Arc<Node>,
    hub: Arc<Hub>,
    working: [JoinHandle<()>; 2],
}

impl World {
    async fn new() -> Self {
        let stores = [1, 2].map(|epoch| Arc::new(Memory::new(Epoch::new(epoch))) as Arc<dyn Store>);
        let sweep = Sweep::new(1);
        let options = NodeOptions::new(vec![Namespace::new("room")], 1);
        let node = Node::open(options, stores, sweep.clone()).await.expect("memory opens");
        let hub = Hub::new(node.clone(), sweep.clone(), Arc::new(Still), Settings::default());
        let log = node.log(LogId::Memory).clone();
        let working = [
            spawn(async move { log.run().await }),
            spawn(async move { sweep.run(0, Arc::new(Still)).await }),
        ];
        Self { node, hub, working }
    }

    async fn reader(&self) -> Reader {
        let set = [Pattern::parse(CHANNEL).expect("it is a name")];
        self.node.read(grant(), &set, Start::Now, 1).await.expect("it may")
    }

    async fn publish_all(&self) {
        for number in 1..=EVENTS {
            let draft = Draft::json(ChannelName::parse(CHANNEL).expect("it is a name"), number.to_string());
            self.node.publish(&grant(), vec![draft], 1).await.expect("memory takes it");
        }
    }

    async fn end(self) {
        for working in self.working {
            end(working).await;
        }
    }
}

async fn end<T>(task: JoinHandle<T>) {
    assert!(!task.is_finished(), "it goes on until it is ended");
    task.abort();
    let _ = task.await;
}

/// Runs it in many orders: every other seed prefers somebody for long (which finds what needs few changes of turn), the
/// others change at random.
fn each_seed(run: impl Fn() + Send + Sync + Copy + 'static) {
    // Time stands still: sweeps take none, and their watches need no rest.
    let time = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let time = time.expect("a runtime that nobody runs");
    let _entered = time.enter();
    for seed in share_of_seeds(SEEDS, SHARE) {
        let mut config = Config::new();
        config.stack_size = STACK_BYTES;
        if seed.number() % 2 == 0 {
            Runner::new(RandomScheduler::new_from_seed(seed.number(), ORDERS), config).run(run);
        } else {
            Runner::new(PctScheduler::new_from_seed(seed.number(), CHANGES, ORDERS), config).run(run);
        }
    }
}

fn grant() -> Grant {
    Grant::anonymous([(Pattern::parse("room:*").expect("it is a prefix"), Verbs::from_iter(Verb::ALL))])
}

fn count(text: &[u8]) -> usize {
    // The line that says that it has caught up comes too, before or behind them.
    text.iter().filter(|byte| **byte == b'\n').count().saturating_sub(1)
}

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

const CHANNEL: &str = "room:a";
const EVENTS: usize = 3;
/// Less than a frame.
const SOCKET_BYTES: usize = 64;
const TAKEN_BYTES: usize = 48;
/// Seeds of a usual run, and one in how many where more are asked for: each stands for many orders.
const SEEDS: u64 = 20;
const SHARE: usize = 10;
/// Orders that are tried for each seed.
const ORDERS: usize = 50;
/// Changes of turn that a preferring scheduler makes.
const CHANGES: usize = 4;
const STACK_BYTES: usize = 512 * 1024;
