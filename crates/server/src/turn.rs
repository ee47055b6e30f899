//! Who begins: few connections at a time are where hyper reads their first head, which takes it 10 KiB for each.
//!
//! A crowd that comes at once, as after a restart, waits for a turn with what it sent in the kernel and not in those buffers. A
//! turn is for who has sent something, and it is over with the first answer or after a moment, so that nobody who sends half
//! a head keeps others waiting.

use std::{future::Future, pin::Pin, sync::Arc, task::Context, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Sleep, sleep},
};

/// The turns of all connections of a listener.
#[derive(Debug, Clone)]
pub(crate) struct Turns(Arc<Semaphore>);

impl Turns {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(TURNS)))
    }

    /// Waits for a turn, in the order of asking.
    pub(crate) async fn next(&self) -> Turn {
        // An error would say that the semaphore was closed, which nobody does.
        Turn { permit: self.0.clone().acquire_owned().await.ok(), over: None }
    }
}

/// One connection's turn, until it is given back or dropped.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    permit: Option<OwnedSemaphorePermit>,
    over: Option<Pin<Box<Sleep>>>,
}

impl Turn {
    /// Gives the turn back when the first answer `is_given`, or when it has lasted; wakes `cx` for that.
    pub(crate) fn pass(&mut self, cx: &mut Context<'_>, is_given: bool) {
        if self.permit.is_none() {
            return;
        }
        let over = self.over.get_or_insert_with(|| Box::pin(sleep(LASTS)));
        if is_given || over.as_mut().poll(cx).is_ready() {
            *self = Self::default();
        }
    }
}

/// Connections that begin at the same time.
const TURNS: usize = 256;
/// How long a turn is: longer than a head in one piece takes to be answered, short enough that 256 peers with half a head
/// each keep nobody waiting.
const LASTS: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::future::poll_fn;
    use std::task::Poll;

    use tokio::time::{Instant, timeout};

    use super::*;

    // Mutants: the timer left out -> the crowd waits for ever; the turn not given back with the answer -> for 50 ms.
    #[tokio::test(start_paused = true)]
    async fn a_turn_ends_with_the_first_answer_or_after_a_moment() {
        let turns = Turns::new();
        let mut crowd = Vec::new();
        for _ in 0..TURNS {
            crowd.push(turns.next().await);
        }
        assert!(timeout(LASTS / 2, turns.next()).await.is_err(), "there are no more");
        let pass = |turn: &mut Turn, is_given| {
            turn.pass(&mut Context::from_waker(std::task::Waker::noop()), is_given);
        };
        pass(&mut crowd[0], true);
        timeout(LASTS / 2, turns.next()).await.unwrap();
        let begin = Instant::now();
        for turn in &mut crowd {
            poll_fn(|cx| {
                turn.pass(cx, false);
                if turn.permit.is_none() { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
        }
        assert!(begin.elapsed() < LASTS * (TURNS as u32 + 1));
        assert_eq!(turns.0.available_permits(), TURNS);
    }
}
