//! What health, metrics and operators look at.

use std::sync::Arc;

use sosik_core::{LogId, figures::StoreFigures};
use sosik_transport::Hub;
use sosik_wire::Code;

use crate::{compose::Stores, listen::Sockets};

/// The parts of a server that tell figures.
#[derive(Debug, Clone)]
pub(crate) struct Measured {
    pub(crate) hub: Arc<Hub>,
    pub(crate) sockets: Arc<Sockets>,
    pub(crate) stores: Stores,
}

impl Measured {
    /// The figures of the store below a log.
    pub(crate) fn store(&self, log: LogId) -> StoreFigures {
        let [disk, memory] = &self.stores.all;
        match log {
            LogId::Disk => disk.figures(),
            LogId::Memory => memory.figures(),
        }
    }

    /// What a publish into the durable log would be refused with now; `None` while it is taken.
    pub(crate) fn refuses(&self) -> Option<Code> {
        self.store(LogId::Disk).failed.then_some(Code::StorageFailed)
    }
}
