//! How far the receiving thread is, for the publishing one.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, Thread},
    time::Duration,
};

use super::clock;
use crate::Failed;

/// Deliveries so far, and who waits for more.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    delivered: AtomicU64,
    bytes: AtomicU64,
    reads: AtomicU64,
    wanted: AtomicU64,
    waiting: Mutex<Option<Thread>>,
}

impl Progress {
    /// Events of all runs that came, each once.
    pub(crate) fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::Acquire)
    }

    /// Bytes and successful reads of all connections.
    pub(crate) fn received(&self) -> (u64, u64) {
        (self.bytes.load(Ordering::Acquire), self.reads.load(Ordering::Acquire))
    }

    /// Adds what one round of the receiving thread brought.
    pub(crate) fn add(&self, delivered: u64, bytes: u64, reads: u64) {
        self.bytes.fetch_add(bytes, Ordering::AcqRel);
        self.reads.fetch_add(reads, Ordering::AcqRel);
        // Sequentially consistent with `wait`: either it sees this count or this sees what it wants.
        let now = self.delivered.fetch_add(delivered, Ordering::SeqCst) + delivered;
        let wanted = self.wanted.load(Ordering::SeqCst);
        if wanted > 0
            && now >= wanted
            && let Some(thread) = self.waiting.lock().ok().and_then(|mut waiting| waiting.take())
        {
            thread.unpark();
        }
    }

    /// Until `delivered` is reached.
    ///
    /// # Errors
    /// When nothing comes for `patience`: whoever waits for a delivery that is lost would wait for ever.
    pub(crate) fn wait(&self, delivered: u64, patience: Duration) -> Result<(), Failed> {
        let (mut before, mut since) = (self.delivered(), clock::now());
        while self.delivered.load(Ordering::SeqCst) < delivered {
            if let Ok(mut waiting) = self.waiting.lock() {
                *waiting = Some(thread::current());
            }
            self.wanted.store(delivered, Ordering::SeqCst);
            if self.delivered.load(Ordering::SeqCst) >= delivered {
                break;
            }
            thread::park_timeout(LOOK_AGAIN);
            let now = self.delivered();
            if now > before {
                (before, since) = (now, clock::now());
            } else if since.elapsed() > patience {
                return Err(format!("deliveries stand still at {now}, {delivered} were to come").into());
            }
        }
        self.wanted.store(0, Ordering::SeqCst);
        Ok(())
    }
}

const LOOK_AGAIN: Duration = Duration::from_millis(50);
