//! One direction of one connection, with its faults in order.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::buffer::BufferFault;
use super::cut::{CutFault, CutKind};
use super::delay::DelayFault;
use super::fault::{Direction, Fault, Piece, What};
use super::faults::FaultPlan;
use super::rechunk::RechunkFault;
use super::strip_upgrade::StripUpgradeFault;

/// Most bytes of one read, and most that the faults after the queue are given at once: 16 KiB.
pub const READ_BYTES: usize = 16 * 1024;

/// Above this many bytes waiting for their time, in one direction of one connection, nothing more is read:
/// 256 KiB. A delay of d therefore passes at most this much per d.
pub const QUEUE_BYTES_MAX: usize = 256 * 1024;

/// One direction of one connection: read, early faults, queue, late faults, write.
///
/// Early faults decide what goes on and when; late ones cut up what is being written, a little at a time, so that
/// what they make never piles up.
pub(super) struct Line {
    early: Vec<Box<dyn Fault>>,
    late: Vec<Box<dyn Fault>>,
    plan: watch::Receiver<FaultPlan>,
    queue: VecDeque<(Instant, What)>,
    queued: usize,
}

/// Why a connection ends before both its sides have.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Broken {
    /// A fault ends it.
    Cut(CutKind),
    /// One side is gone.
    Error,
}

impl Line {
    pub(super) fn new(
        direction: Direction,
        seed: u64,
        connection: u64,
        plan: watch::Receiver<FaultPlan>,
    ) -> Self {
        Self {
            early: vec![
                Box::new(StripUpgradeFault::new(direction)),
                Box::new(BufferFault::new(direction)),
                Box::new(DelayFault::new(direction, seed, connection)),
            ],
            late: vec![
                Box::new(RechunkFault::new(direction, seed, connection)),
                Box::new(CutFault::new(direction, seed, connection)),
            ],
            plan,
            queue: VecDeque::new(),
            queued: 0,
        }
    }

    /// Forwards until the sender's end has been passed on.
    pub(super) async fn run(
        mut self,
        mut from: ReadHalf<'_>,
        mut to: WriteHalf<'_>,
        count: &AtomicU64,
    ) -> Result<(), Broken> {
        let mut buffer = vec![0; READ_BYTES];
        let mut reading = true;
        let mut switched = true;
        self.set_plan();
        loop {
            while let Some((_, what)) = self.due() {
                if !self.write(what, &mut to, count).await? {
                    return Ok(());
                }
            }
            let next = self.queue.front().map(|(due, _)| *due);
            tokio::select! {
                // First: what is sent after a plan was set is under that plan.
                biased;
                changed = self.plan.changed(), if switched => {
                    switched = changed.is_ok();
                    self.set_plan();
                }
                read = from.read(&mut buffer), if reading && self.queued < QUEUE_BYTES_MAX => {
                    let what = match read {
                        Ok(0) => What::End,
                        Ok(n) => What::Bytes(Bytes::copy_from_slice(&buffer[..n])),
                        Err(_) => What::Reset,
                    };
                    reading = matches!(what, What::Bytes(_));
                    let pieces = through(&mut self.early, vec![Piece::new(what)]);
                    self.enqueue(pieces);
                }
                () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
            }
        }
    }

    fn set_plan(&mut self) {
        let plan = self.plan.borrow_and_update().clone();
        let mut pieces = Vec::new();
        for fault in &mut self.early {
            // What one lets go still has to pass those after it.
            pieces = through(std::slice::from_mut(fault), pieces);
            fault.set(&plan, &mut pieces);
        }
        self.enqueue(pieces);
        for fault in &mut self.late {
            fault.set(&plan, &mut Vec::new());
        }
    }

    fn enqueue(&mut self, pieces: Vec<Piece>) {
        let now = Instant::now();
        for piece in pieces {
            let before = self.queue.back().map_or(now, |(due, _)| *due);
            if let What::Bytes(bytes) = &piece.what {
                self.queued += bytes.len();
            }
            self.queue.push_back(((now + piece.hold).max(before), piece.what));
        }
    }

    fn due(&mut self) -> Option<(Instant, What)> {
        self.queue.pop_front_if(|(due, _)| *due <= Instant::now())
    }

    /// Writes it out; `false` when that was the end.
    async fn write(&mut self, what: What, to: &mut WriteHalf<'_>, count: &AtomicU64) -> Result<bool, Broken> {
        let mut slices = match what {
            What::Bytes(bytes) => bytes,
            What::End => return to.shutdown().await.map(|()| false).map_err(|_| Broken::Error),
            What::Reset => return Err(Broken::Error),
            What::Cut(kind) => return Err(Broken::Cut(kind)),
        };
        self.queued -= slices.len();
        while !slices.is_empty() {
            let slice = slices.split_to(slices.len().min(READ_BYTES));
            let pieces = through(&mut self.late, vec![Piece::bytes(slice)]);
            let last = pieces.len() - 1;
            for (at, piece) in pieces.into_iter().enumerate() {
                if !piece.pause.is_zero() {
                    sleep(piece.pause).await;
                }
                match piece.what {
                    What::Bytes(bytes) => {
                        to.write_all(&bytes).await.map_err(|_| Broken::Error)?;
                        count.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                    }
                    What::Cut(kind) => return Err(Broken::Cut(kind)),
                    What::End | What::Reset => return Err(Broken::Error),
                }
                if at < last {
                    tokio::task::yield_now().await;
                }
            }
        }
        Ok(true)
    }
}

fn through(faults: &mut [Box<dyn Fault>], mut pieces: Vec<Piece>) -> Vec<Piece> {
    for fault in faults {
        let mut out = Vec::with_capacity(pieces.len());
        for piece in pieces {
            fault.take(piece, &mut out);
        }
        pieces = out;
    }
    pieces
}
