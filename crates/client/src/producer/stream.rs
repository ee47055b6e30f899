//! A producer's publishes into one channel: what is on its way, and what its answers mean.

use std::{collections::VecDeque, sync::Arc};

use sosik_wire::{Code, Once, Producer, PublishFrame, Up};
use tokio::{
    sync::{mpsc, oneshot},
    time::sleep,
};

use crate::{error::Error, publish::Published, retry::Retry, uplink::Uplink};

/// One event and who waits for it.
#[derive(Debug)]
pub(super) struct Slot {
    frame: PublishFrame,
    /// `None` once it was told.
    answer: Option<oneshot::Sender<Result<Published, Error>>>,
    /// Whether an attempt may have been carried out without an answer.
    unsure: bool,
}

impl Slot {
    pub(super) fn new(frame: PublishFrame, answer: oneshot::Sender<Result<Published, Error>>) -> Self {
        Self { frame, answer: Some(answer), unsure: false }
    }

    fn tell(&mut self, outcome: Result<Published, Error>) {
        if let Some(answer) = self.answer.take() {
            // Nobody may wait any more.
            drop(answer.send(outcome));
        }
    }

    /// Tells that the channel ended with `error` before this was acknowledged.
    fn end(&mut self, error: &Error) {
        self.tell(Err(match error {
            Error::Unknown { reason, .. } if !self.unsure => Error::Behind(reason.clone()),
            error if self.unsure && !is_verdict(error) => error.clone().into_unknown(),
            error => error.clone(),
        }));
    }
}

/// The task of one channel.
pub(super) struct Stream {
    uplink: Uplink,
    id: Arc<str>,
    epoch: u64,
    /// The number of the first of `sent`.
    first: u64,
    /// Numbered, oldest first; sent together, again and again, until each has its answer.
    sent: VecDeque<Slot>,
    slots: mpsc::Receiver<Slot>,
}

impl Stream {
    pub(super) fn new(uplink: Uplink, id: Arc<str>, slots: mpsc::Receiver<Slot>) -> Self {
        Self { uplink, id, epoch: 1, first: 1, sent: VecDeque::new(), slots }
    }

    /// Works until the producer is dropped.
    pub(super) async fn run(mut self) {
        while let Some(slot) = self.slots.recv().await {
            self.sent.push_back(slot);
            if let Err(error) = self.send_all().await {
                self.sent.iter_mut().for_each(|slot| slot.end(&error));
                // What comes later would stand behind a hole.
                while let Some(mut slot) = self.slots.recv().await {
                    slot.end(&error);
                }
            }
        }
    }

    /// Sends until everything is acknowledged. Errors: what ends the channel.
    async fn send_all(&mut self) -> Result<(), Error> {
        let to = self.uplink.client().target().clone();
        let mut retry = Retry::new(to.clone());
        while !self.sent.is_empty() {
            self.fill();
            let ups = self.frames();
            let outcomes = self.uplink.attempt(&ups, retry.round()).await;
            let before = (self.epoch, self.first);
            let failed = self.take(outcomes);
            if before != (self.epoch, self.first) {
                retry = Retry::new(to.clone());
            }
            if let Some(error) = failed {
                sleep(retry.again(error)?).await;
            }
        }
        Ok(())
    }

    /// What came meanwhile goes along.
    fn fill(&mut self) {
        while self.sent.len() < IN_FLIGHT_MAX
            && let Ok(slot) = self.slots.try_recv()
        {
            self.sent.push_back(slot);
        }
    }

    /// As many as fit into one request, at least one.
    fn frames(&self) -> Vec<Up> {
        let mut bytes = 0;
        let fits = |slot: &&Slot| {
            let first = bytes == 0;
            bytes += slot.frame.data.bytes().len() * 4 / 3 + FRAME_BYTES;
            first || bytes <= IN_FLIGHT_BYTES_MAX
        };
        let numbered = self.sent.iter().take_while(fits).zip(self.first..);
        numbered.map(|(slot, seq)| Up::Publish(self.numbered(&slot.frame, seq))).collect()
    }

    fn numbered(&self, frame: &PublishFrame, seq: u64) -> PublishFrame {
        let producer = Producer { id: (*self.id).into(), epoch: self.epoch, seq };
        PublishFrame { once: Some(Once::Producer(producer)), ..frame.clone() }
    }

    /// Tells who waits, and gives the first failure that is left.
    fn take(&mut self, outcomes: Vec<Result<Published, Error>>) -> Option<Error> {
        let mut failed = None;
        for (slot, outcome) in self.sent.iter_mut().zip(outcomes) {
            match outcome {
                Ok(published) => slot.tell(Ok(published)),
                Err(error) => {
                    slot.unsure |= error.leaves_unsure();
                    failed.get_or_insert(error);
                }
            }
        }
        while self.sent.front().is_some_and(|slot| slot.answer.is_none()) {
            self.sent.pop_front();
            self.first += 1;
        }
        if let Some(Error::Refused(refusal)) = &mut failed
            && let Some(expected) = refusal.expected
        {
            if expected < self.first {
                self.begin_anew();
                return None;
            }
            // One before it failed for now; with that one the same will be right.
            refusal.retry = true;
        }
        failed
    }

    /// The server has lost what it had acknowledged, so what it did not acknowledge it does not have either. The higher
    /// epoch keeps out whatever of the old numbers is still on its way.
    fn begin_anew(&mut self) {
        self.epoch += 1;
        self.first = 1;
        self.sent.retain(|slot| slot.answer.is_some());
    }
}

/// Whether the server has said for sure that the event is not there, or that it cannot know.
fn is_verdict(error: &Error) -> bool {
    matches!(error.code(), Some(Code::ProducerConflict | Code::ProducerFenced | Code::ProducerForgotten))
}

/// Publishes of one channel on their way at a time: fewer than a server knows when they come again (64), so that each
/// can be sent again as long as one of them has no answer.
const IN_FLIGHT_MAX: usize = 32;
/// Bytes of them, so that they fit into one body.
const IN_FLIGHT_BYTES_MAX: usize = 768 * 1024;
/// What stands around the data of a frame, at most: channel, name, producer.
const FRAME_BYTES: usize = 2 * 1024;
