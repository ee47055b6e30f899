//! A few threads for reads: a cold one waits for the disk, and must not do so on a thread of the runtime.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        mpsc::{self, Receiver, SyncSender, TrySendError},
    },
};

use parking_lot::Mutex;
use sosik_core::store::{Answer, StoreError};
use tokio::sync::oneshot;

use super::{
    READS_QUEUED_MAX,
    shelf::{Seen, Shelf},
};

/// A read, to be run on whichever thread is free.
pub(super) type Read = Box<dyn FnOnce(&Shelf) + Send>;

/// The way to the readers.
#[derive(Clone)]
pub(super) struct Readers(SyncSender<Read>);

/// What a reader thread takes from.
pub(super) type Reads = Arc<Mutex<Receiver<Read>>>;

impl Readers {
    pub(super) fn new() -> (Self, Reads) {
        let (sender, reads) = mpsc::sync_channel(READS_QUEUED_MAX);
        (Self(sender), Arc::new(Mutex::new(reads)))
    }

    /// Hands in a read at once; the answer comes by the future.
    pub(super) fn ask<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Seen<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Answer<'static, Result<T, StoreError>> {
        let answer = self.begin(read);
        Box::pin(async { answer.await.unwrap_or_else(|_| Err(ended())) })
    }

    /// As [`Readers::ask`], for an answer that is waited for with interruptions.
    pub(super) fn begin<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Seen<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> oneshot::Receiver<Result<T, StoreError>> {
        let (reply, answer) = oneshot::channel();
        let job: Read = Box::new(move |shelf| {
            if !reply.is_closed() {
                let _ = reply.send(shelf.see(read));
            }
        });
        match self.0.try_send(job) {
            Err(TrySendError::Full(_)) => full(),
            // Without a thread left the reply is dropped with the job, and the answer says so.
            Ok(()) | Err(TrySendError::Disconnected(_)) => answer,
        }
    }
}

/// Reads until nobody can ask any more.
pub(super) fn run(shelf: &Shelf, reads: &Reads) {
    loop {
        let next = reads.lock().recv();
        let Ok(read) = next else { return };
        // Who asked is told by the dropped reply; the thread goes on.
        let _ = catch_unwind(AssertUnwindSafe(|| read(shelf)));
    }
}

fn ended() -> StoreError {
    StoreError::Failed("a read ended without an answer".into())
}

/// An answer that says to ask again.
fn full<T>() -> oneshot::Receiver<Result<T, StoreError>> {
    let (reply, answer) = oneshot::channel();
    let _ = reply.send(Err(StoreError::Unavailable));
    answer
}
