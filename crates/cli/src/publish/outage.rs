//! What people are told while a publish is tried again.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sosik_client::{Error, OnRetry};
use tokio::sync::mpsc;

use crate::out::note;

/// Whether the server answers. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Outage {
    /// Whether to wait for a server that was never reached.
    patient: bool,
    reached: Arc<AtomicBool>,
    noted: Arc<AtomicBool>,
    give_up: mpsc::Sender<Error>,
}

impl Outage {
    /// The other end gives the reason to give up at once: a wrong address, or a server that was not started, is told
    /// sooner than after all attempts.
    pub(super) fn watch(patient: bool) -> (Self, mpsc::Receiver<Error>) {
        let (give_up, given_up) = mpsc::channel(1);
        (Self { patient, reached: Arc::default(), noted: Arc::default(), give_up }, given_up)
    }

    /// For the client's options; `patience` is how long it tries.
    pub(super) fn on_retry(&self, patience: Duration) -> OnRetry {
        let own = self.clone();
        OnRetry::new(move |error, _| {
            let away = matches!(error, Error::Unreachable { .. });
            // Any other failure means that something was sent, which may be stored.
            if away && !own.patient && !own.reached.load(Ordering::Relaxed) {
                // One reason is enough.
                let _ = own.give_up.try_send(error.clone());
                return;
            }
            own.reached.store(true, Ordering::Relaxed);
            if !own.noted.swap(true, Ordering::Relaxed) {
                note(format_args!("{error}; trying again for up to {} s", patience.as_secs()));
            }
        })
    }

    /// An acknowledgement came.
    pub(super) fn is_over(&self) {
        self.reached.store(true, Ordering::Relaxed);
        self.noted.store(false, Ordering::Relaxed);
    }
}
