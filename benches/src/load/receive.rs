//! The receiving thread: one epoll, all connections.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    io,
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use mio::{Events, Interest, Poll, Token};

use super::{
    Latencies, Plan, Tally, clock,
    connection::{Brought, Connection, HELD_MOST},
    progress::Progress,
};

/// What the owner asks of the thread.
#[derive(Debug)]
pub(super) enum Order {
    /// Counts from here on what belongs to this run, and nothing of before.
    Begin { run: u32 },
    /// Says what was counted, when each channel has had so many.
    Count { per_channel: u64 },
    /// Reads nothing any more from the first so many.
    Stall { readers: usize },
    /// Closes everything.
    Close,
}

/// What was counted since the beginning of the run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outcome {
    pub(crate) tally: Tally,
    /// From the intended sending until here, each delivery.
    pub(crate) latencies: Latencies,
    /// From the beginning of the crowd until a reader had all that it came for, each reader.
    pub(crate) done: Latencies,
    /// Of HTTP, of those that ask again.
    pub(crate) answers: u64,
}

/// All that the thread owns.
pub(super) struct Receiver {
    plan: Plan,
    poll: Poll,
    began: Instant,
    connections: Vec<Connection>,
    /// Readers that were answered, or will never be.
    ready: usize,
    stalled: usize,
    run: u32,
    outcome: Outcome,
    due: BinaryHeap<Reverse<(Instant, usize)>>,
    progress: Arc<Progress>,
    chunk: Vec<u8>,
}

impl Receiver {
    pub(super) fn new(plan: Plan, poll: Poll, progress: Arc<Progress>) -> Self {
        let chunk = vec![0; HELD_MOST + READ_BYTES];
        let (began, run) = (clock::now(), plan.run);
        Self {
            connections: Vec::with_capacity(plan.readers),
            due: BinaryHeap::new(),
            outcome: Outcome::default(),
            ready: 0,
            stalled: 0,
            plan,
            poll,
            began,
            run,
            progress,
            chunk,
        }
    }

    /// Until it is told to close, or its owner is gone. Says once when all are in place.
    pub(super) fn run(
        mut self,
        orders: &mpsc::Receiver<Order>,
        answers: &mpsc::SyncSender<Outcome>,
    ) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS_AT_ONCE);
        let mut told = false;
        loop {
            let opening = self.open_some()?;
            if !told && self.ready == self.plan.readers {
                told = true;
                let _ = answers.send(Outcome::default());
            }
            let wait = if opening { Some(Duration::ZERO) } else { self.until_due() };
            match self.poll.poll(&mut events, wait) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => self.round(&events)?,
            }
            self.ask_due();
            loop {
                match orders.try_recv() {
                    Ok(Order::Begin { run }) => {
                        self.begin(run);
                        let _ = answers.send(Outcome::default());
                    }
                    Ok(Order::Count { per_channel }) => {
                        let outcome = self.count(per_channel);
                        let _ = answers.send(outcome);
                    }
                    Ok(Order::Stall { readers }) => self.stall(readers)?,
                    Err(mpsc::TryRecvError::Empty) => break,
                    Ok(Order::Close) | Err(mpsc::TryRecvError::Disconnected) => return Ok(()),
                }
            }
        }
    }

    /// Opens the next ones; `true` while there are more that may be opened at once.
    fn open_some(&mut self) -> io::Result<bool> {
        for _ in 0..OPENED_PER_ROUND {
            let number = self.connections.len();
            if number == self.plan.readers || number - self.ready >= self.plan.at_once {
                return Ok(false);
            }
            let channel = number as u32 % self.plan.channels;
            let Plan { carrier, to, after, receive_buffer, .. } = &self.plan;
            let mut connection = Connection::open(*carrier, *to, (number, channel), after, *receive_buffer)?;
            let both = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut connection.socket, Token(number), both)?;
            self.connections.push(connection);
        }
        Ok(true)
    }

    /// One round: everything that epoll knows of.
    fn round(&mut self, events: &Events) -> io::Result<()> {
        let (mut delivered, mut bytes, mut reads) = (0, 0, 0);
        let now_ns = clock::ns();
        for event in events {
            let Token(number) = event.token();
            let Some(connection) = self.connections.get_mut(number) else { continue };
            if connection.ended || number < self.stalled {
                continue;
            }
            let was_ready = connection.ready;
            if event.is_writable() && connection.write() && !connection.ended {
                let registry = self.poll.registry();
                registry.reregister(&mut connection.socket, Token(number), Interest::READABLE)?;
            }
            let (outcome, plan, run, began) = (&mut self.outcome, &self.plan, self.run, self.began);
            let read_ns = if reads == 0 { now_ns } else { clock::ns() };
            let brought =
                connection.read(&mut self.chunk, event.is_read_closed(), &mut |seen, channel, marker| {
                    if seen.take(&marker, run, channel) {
                        delivered += 1;
                        outcome.latencies.add_ns(read_ns.saturating_sub(marker.sent_ns));
                        if seen.events() == plan.wanted {
                            outcome.done.add_ns(began.elapsed().as_nanos() as u64);
                        }
                    }
                });
            bytes += brought.bytes;
            reads += brought.reads;
            outcome.answers += brought.answers;
            self.ready += usize::from(!was_ready && (connection.ready || connection.ended));
            connection.ready |= connection.ended;
            self.go_on(number, &brought);
        }
        self.progress.add(delivered, bytes, reads);
        Ok(())
    }

    /// The next request of a reader that asks again: at once, or when the server and its own interval say.
    fn go_on(&mut self, number: usize, brought: &Brought) {
        let Some(again_ms) = brought.again_ms else { return };
        // Spread over what the server allows, the same in each run.
        let share = (number * 7919 % 1000) as f64 / 1000.0;
        let pause = self.plan.interval + Duration::from_secs_f64(again_ms as f64 * share / 1e3);
        if pause.is_zero() {
            self.connections[number].ask_again();
        } else {
            self.due.push(Reverse((clock::now() + pause, number)));
        }
    }

    fn until_due(&self) -> Option<Duration> {
        self.due.peek().map(|Reverse((at, _))| at.saturating_duration_since(clock::now()))
    }

    fn ask_due(&mut self) {
        while self.due.peek().is_some_and(|Reverse((at, _))| *at <= clock::now()) {
            if let Some(Reverse((_, number))) = self.due.pop() {
                self.connections[number].ask_again();
            }
        }
    }

    fn begin(&mut self, run: u32) {
        self.run = run;
        self.outcome = Outcome::default();
        for connection in &mut self.connections {
            connection.seen = Default::default();
        }
    }

    fn count(&self, per_channel: u64) -> Outcome {
        let mut outcome = self.outcome.clone();
        for connection in &self.connections[self.stalled..] {
            connection.seen.sum(per_channel, &mut outcome.tally);
            outcome.tally.cut += u64::from(connection.ended);
        }
        outcome
    }

    fn stall(&mut self, readers: usize) -> io::Result<()> {
        self.stalled = readers;
        for connection in &mut self.connections[..readers] {
            self.poll.registry().deregister(&mut connection.socket)?;
        }
        Ok(())
    }
}

const READ_BYTES: usize = 128 * 1024;
const EVENTS_AT_ONCE: usize = 1024;
const OPENED_PER_ROUND: usize = 64;
