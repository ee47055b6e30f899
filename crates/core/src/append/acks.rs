//! What is stored, but not passed by this node's head yet.

use std::collections::VecDeque;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::Published;
use crate::{cursor::Position, error::Error, limits::ACK_WAIT_MS};

/// How a publisher is answered.
pub(super) type Reply = oneshot::Sender<Result<Vec<Published>, Error>>;

/// Acknowledgements that wait for the head, in the order of their places.
#[derive(Debug, Default)]
pub(super) struct Acks(Mutex<VecDeque<Ack>>);

#[derive(Debug)]
struct Ack {
    last: Position,
    deadline: u64,
    published: Vec<Published>,
    reply: Reply,
}

impl Acks {
    /// Stored, maybe long ago: what `head` has passed is answered at once.
    pub(super) fn push(&self, published: Vec<Published>, reply: Reply, head: Position, now: u64) {
        let last = published.last().map_or(Position::START, |last| last.position);
        let ack = Ack { last, deadline: now + ACK_WAIT_MS, published, reply };
        if last <= head {
            ack.send();
        } else {
            self.0.lock().push_back(ack);
        }
    }

    /// The head has moved: what it passed is acknowledged.
    pub(super) fn head_moved(&self, head: Position) {
        self.acknowledge(|ack| ack.last <= head);
    }

    /// Time goes on: who has waited for the head too long is answered without it.
    pub(super) fn tick(&self, now: u64) {
        self.acknowledge(|ack| ack.deadline <= now);
    }

    fn acknowledge(&self, due: impl Fn(&Ack) -> bool) {
        let ready: Vec<Ack> = {
            let mut acks = self.0.lock();
            let count = acks.iter().take_while(|ack| due(ack)).count();
            acks.drain(..count).collect()
        };
        ready.into_iter().for_each(Ack::send);
    }
}

impl Ack {
    fn send(self) {
        // Nobody waits any more when the publisher has gone; the event is stored all the same.
        let _ = self.reply.send(Ok(self.published));
    }
}
