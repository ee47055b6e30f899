//! Many readers, as their owner sees them.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use mio::{Poll, Token, Waker};

use super::{
    Carrier,
    progress::Progress,
    publish::Published,
    receive::{Order, Outcome, Receiver},
};
use crate::Failed;

/// Who reads what.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) carrier: Carrier,
    pub(crate) to: SocketAddr,
    pub(crate) readers: usize,
    /// Reader `n` reads channel `n % channels`.
    pub(crate) channels: u32,
    pub(crate) after: String,
    /// Connections that are opened and not yet answered.
    pub(crate) at_once: usize,
    /// A reader that asks again waits as long, besides what the server says.
    pub(crate) interval: Duration,
    /// What is counted until the first [`Crowd::begin`].
    pub(crate) run: u32,
    /// With so many events a reader is done; 0: never.
    pub(crate) wanted: u64,
    pub(crate) receive_buffer: Option<usize>,
}

impl Plan {
    /// Readers of one channel, from now on.
    pub(crate) fn new(carrier: Carrier, to: SocketAddr, readers: usize) -> Self {
        Self {
            carrier,
            to,
            readers,
            channels: 1,
            after: "now".into(),
            at_once: 128,
            interval: if carrier == Carrier::Poll { Duration::from_secs(1) } else { Duration::ZERO },
            run: 0,
            wanted: 0,
            receive_buffer: None,
        }
    }
}

/// Readers that run until they are dropped.
#[derive(Debug)]
pub(crate) struct Crowd {
    orders: mpsc::SyncSender<Order>,
    answers: mpsc::Receiver<Outcome>,
    waker: Waker,
    thread: Option<JoinHandle<std::io::Result<()>>>,
    progress: Arc<Progress>,
    readers: u64,
    stalled: AtomicU64,
    channels: u32,
}

impl Crowd {
    /// Opens all of them. They are in place when this returns: what is published from now on is theirs.
    pub(crate) fn open(plan: Plan) -> Result<Self, Failed> {
        let crowd = Self::start(plan)?;
        crowd.answer("the readers are not in place")?;
        Ok(crowd)
    }

    /// Begins to open them.
    pub(crate) fn start(plan: Plan) -> Result<Self, Failed> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), Token(usize::MAX))?;
        let (orders, ordered) = mpsc::sync_channel(ORDERS);
        let (answered, answers) = mpsc::sync_channel(ORDERS);
        let (progress, readers, channels) =
            (Arc::new(Progress::default()), plan.readers as u64, plan.channels);
        let receiver = Receiver::new(plan, poll, progress.clone());
        let thread =
            thread::Builder::new().name("receive".into()).spawn(move || receiver.run(&ordered, &answered))?;
        Ok(Self {
            orders,
            answers,
            waker,
            thread: Some(thread),
            progress,
            readers,
            stalled: AtomicU64::new(0),
            channels,
        })
    }

    pub(crate) fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Channels, and how many read each: what a publisher turns through.
    pub(crate) fn shape(&self) -> (u32, u64) {
        let reading = self.readers.saturating_sub(self.stalled.load(Ordering::Relaxed));
        (self.channels, reading / u64::from(self.channels))
    }

    /// From here on `run` counts.
    pub(crate) fn begin(&self, run: u32) -> Result<(), Failed> {
        self.order(Order::Begin { run })?;
        // Not before it is so: an event that overtakes the order would count for nothing.
        self.answer("the receiving thread does not answer").map(drop)
    }

    /// The first `readers` read nothing any more, and are not counted.
    pub(crate) fn stall(&self, readers: usize) -> Result<(), Failed> {
        self.stalled.store(readers as u64, Ordering::Relaxed);
        self.order(Order::Stall { readers })
    }

    /// Until everything that was published is here or nothing comes any more. `before` was delivered earlier.
    pub(crate) fn settle(&self, before: u64, published: &Published) {
        let readers = self.shape().1 * u64::from(self.channels);
        // That they stand still is told as what is lost.
        let _ = self.progress.wait(before + published.per_channel * readers, SETTLE);
    }

    /// What was counted, when each channel has had so many.
    pub(crate) fn count(&self, per_channel: u64) -> Result<Outcome, Failed> {
        // A repetition comes behind the last one, if there is any.
        thread::sleep(LATE);
        self.order(Order::Count { per_channel })?;
        self.answer("the receiving thread does not answer")
    }

    fn order(&self, order: Order) -> Result<(), Failed> {
        self.orders.send(order)?;
        Ok(self.waker.wake()?)
    }

    fn answer(&self, what: &str) -> Result<Outcome, Failed> {
        self.answers.recv_timeout(PATIENCE).map_err(|_| what.into())
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        let _ = self.order(Order::Close);
        // Its error has shown itself as answers that did not come.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

const ORDERS: usize = 16;
const PATIENCE: Duration = Duration::from_secs(60);
const SETTLE: Duration = Duration::from_secs(5);
const LATE: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::TcpListener,
    };

    use super::*;
    use crate::load::{Marker, Tally};

    const RUN: u32 = 7;

    /// What two readers count who are handed these events of ten, in pieces of `piece` bytes.
    fn tally_of(seqs: &[u64], piece: usize) -> Tally {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut bytes = b"HTTP/1.1 200 OK\r\n\r\n{\"type\":\"caught_up\"}\n".to_vec();
        for seq in seqs {
            let data = Marker { run: RUN, channel: 0, seq: *seq, sent_ns: 0 }.data();
            bytes.extend(format!("{{\"mail\":\"@rest\",\"data\":{data}}}\n").bytes());
        }
        let mut plan = Plan::new(Carrier::Stream, listener.local_addr().unwrap(), 2);
        plan.run = RUN;
        let (done, until) = mpsc::sync_channel::<()>(0);
        thread::scope(|scope| {
            scope.spawn(move || {
                let mut sockets = [listener.accept().unwrap().0, listener.accept().unwrap().0];
                for socket in &mut sockets {
                    socket.set_nodelay(true).unwrap();
                    assert!(socket.read(&mut [0; 1024]).unwrap() > 0);
                }
                for piece in bytes.chunks(piece) {
                    sockets.iter_mut().for_each(|socket| socket.write_all(piece).unwrap());
                }
                // Closed only when everything was counted: a connection that ends is told as well.
                let _ = until.recv();
            });
            let crowd = Crowd::open(plan).unwrap();
            let _ = crowd.progress().wait(20, Duration::from_millis(200));
            let tally = crowd.count(10).unwrap().tally;
            drop(done);
            tally
        })
    }

    const ALL: [u64; 10] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];

    // Mutant: nothing is held from one reading to the next -> events are lost that were cut in two.
    #[test]
    fn everything_is_counted_in_whatever_pieces_it_comes() {
        for piece in [1, 7, 41, 42, 43, 64, 100, 100_000] {
            assert_eq!(tally_of(&ALL, piece), Tally { deliveries: 20, ..Tally::default() }, "{piece}");
        }
    }

    #[test]
    fn a_lost_a_repeated_and_a_swapped_event_are_told_of_each_reader() {
        let told = |seqs: &[u64]| tally_of(seqs, 50);
        let whole = Tally { deliveries: 20, ..Tally::default() };
        assert_eq!(told(&[1, 2, 3, 5, 6, 7, 8, 9, 10]), Tally { deliveries: 18, lost: 2, ..whole });
        assert_eq!(told(&ALL[..9]), Tally { deliveries: 18, lost: 2, ..whole });
        assert_eq!(told(&[1, 2, 3, 3, 4, 5, 6, 7, 8, 9, 10]), Tally { repeated: 2, ..whole });
        assert_eq!(told(&[1, 2, 4, 3, 5, 6, 7, 8, 9, 10]), Tally { reordered: 2, ..whole });
    }

    // Mutants: `cut` not counted -> a server that dies looks as if it had nothing more to say; the end that comes with the last
    // bytes is not read -> the same.
    #[test]
    fn a_connection_that_ends_is_told() {
        let last = ["HTTP/1.1 503 Service Unavailable\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n\"caught_up\""];
        // Whether the end comes in the event of the last bytes is a matter of microseconds: often enough it does.
        for last in last.repeat(10) {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let plan = Plan::new(Carrier::Stream, listener.local_addr().unwrap(), 1);
            let ending = thread::spawn(move || {
                let mut socket = listener.accept().unwrap().0;
                assert!(socket.read(&mut [0; 1024]).unwrap() > 0);
                socket.write_all(last.as_bytes()).unwrap();
            });
            let crowd = Crowd::open(plan).unwrap();
            ending.join().unwrap();
            assert_eq!(crowd.count(0).unwrap().tally, Tally { cut: 1, ..Tally::default() }, "{last}");
        }
    }
}
