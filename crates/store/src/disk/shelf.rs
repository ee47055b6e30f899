//! What the threads and the handles of one log share.

use std::{path::PathBuf, sync::OnceLock};

use parking_lot::{Mutex, RwLock};
use sosik_core::{
    cursor::{Epoch, Position},
    store::StoreError,
};
use tokio::sync::watch;

use super::{
    space::Space,
    state::State,
    tables::{Tables, View},
    tally::Tally,
};

/// One open log.
pub(super) struct Shelf {
    pub(super) epoch: Epoch,
    pub(super) base: Position,
    /// Where the engine below keeps its files.
    pub(super) path: PathBuf,
    /// Read by whoever reads and by the writer, as long as it takes; written by the writer alone, when it opens the
    /// engine anew. `None` while that has not come to its end. Comes before `state` where both are held.
    pub(super) engine: RwLock<Option<Tables>>,
    pub(super) state: Mutex<State>,
    pub(super) space: Space,
    pub(super) tally: Tally,
    pub(super) changed: watch::Sender<()>,
    /// Why nothing is written any more.
    pub(super) failed: OnceLock<String>,
    /// The first thread that a panic has ended.
    pub(super) ended: OnceLock<&'static str>,
}

/// What may be read at one moment: everything in it was synced, except that events marked as gone may be there or not.
pub(super) struct Seen<'a> {
    pub(super) view: View<'a>,
    /// The committed head.
    pub(super) head: Position,
}

impl Shelf {
    /// Reads what may be seen now. Waits no longer than it takes to open the engine anew, never for a sync.
    pub(super) fn see<T>(
        &self,
        read: impl FnOnce(&Seen<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let engine = self.engine.read();
        let Some(tables) = &*engine else { return Err(self.refusal()) };
        let (moment, head) = {
            let state = self.state.lock();
            (state.moment.clone(), state.tail.head)
        };
        read(&Seen { view: tables.view_at(moment), head })
    }

    /// The committed head.
    pub(super) fn head(&self) -> Position {
        self.state.lock().tail.head
    }

    /// What writes are answered once one has failed.
    pub(super) fn failure(&self) -> StoreError {
        StoreError::Failed(self.failed.get().cloned().unwrap_or_else(|| "its writer has ended".into()))
    }

    /// What is answered while there is no engine.
    pub(super) fn refusal(&self) -> StoreError {
        if self.failed.get().is_some() { self.failure() } else { StoreError::Unavailable }
    }
}
