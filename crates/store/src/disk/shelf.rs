//! What the threads and the handles of one log share.

use std::sync::OnceLock;

use parking_lot::{Mutex, RwLock};
use sosik_core::{
    cursor::{Epoch, Position},
    store::StoreError,
};
use tokio::sync::watch;

use super::{state::State, tables::Tables};

/// One open log.
pub(super) struct Shelf {
    pub(super) epoch: Epoch,
    pub(super) base: Position,
    pub(super) tables: Tables,
    pub(super) state: Mutex<State>,
    /// Held for writing while a mark is committed and its notice pushed: who looks for events under a read lock sees no
    /// mark whose notice is still to come.
    pub(super) marking: RwLock<()>,
    pub(super) changed: watch::Sender<()>,
    /// Why nothing is written any more.
    pub(super) failed: OnceLock<String>,
}

impl Shelf {
    /// The committed head.
    pub(super) fn head(&self) -> Position {
        self.state.lock().head
    }

    /// What writes are answered once one has failed.
    pub(super) fn failure(&self) -> StoreError {
        StoreError::Failed(self.failed.get().cloned().unwrap_or_else(|| "its writer has ended".into()))
    }
}
