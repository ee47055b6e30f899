//! Who is told that something changed.

use std::sync::atomic::{AtomicU64, Ordering};

/// Names a channel or a prefix that somebody follows, within one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WatchId(u64);

impl WatchId {
    pub(crate) fn next(counter: &AtomicU64) -> Self {
        Self(counter.fetch_add(1, Ordering::Relaxed))
    }
}

/// Told after the head has moved, so that whoever looks then finds what is new. Must not block and must not call back
/// into the core: it only says "look again", and no event is ever handed over.
pub trait Herald: Send + Sync + std::fmt::Debug + 'static {
    /// Something followed by this watch has changed.
    fn changed(&self, watch: WatchId);
}
