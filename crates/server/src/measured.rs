//! What health, metrics and operators look at.

use std::sync::Arc;

use sosik_core::{LogId, figures::StoreFigures};
use sosik_transport::Hub;
use sosik_wire::Code;

use crate::{compose::Stores, listen::Sockets, memory::Memory};

/// The parts of a server that tell figures.
#[derive(Debug, Clone)]
pub(crate) struct Measured {
    pub(crate) hub: Arc<Hub>,
    pub(crate) sockets: Arc<Sockets>,
    pub(crate) stores: Stores,
    /// The namespaces that are declared, and where they live.
    pub(crate) namespaces: Arc<[(Box<str>, LogId)]>,
    /// Whether a durable log at its capacity takes nothing more, instead of letting go of the oldest.
    pub(crate) refuses_when_full: bool,
    /// Bytes that are left free on the disk.
    pub(crate) reserve_bytes: u64,
    /// What this process takes up.
    pub(crate) memory: Arc<Memory>,
}

impl Measured {
    /// The figures of the store below a log.
    pub(crate) fn store(&self, log: LogId) -> StoreFigures {
        self.stores.of(log).figures()
    }

    /// What a publish into the durable log would be refused with now; `None` while it is taken.
    pub(crate) fn refuses(&self) -> Option<Code> {
        let figures = self.store(LogId::Disk);
        if figures.failed {
            return Some(Code::StorageFailed);
        }
        let log = self.hub.node.log(LogId::Disk).figures();
        let is_full = self.refuses_when_full && log.kept_bytes >= log.kept_bytes_max;
        let is_short =
            self.stores.disk.is_some() && figures.free_bytes.is_some_and(|free| free < self.reserve_bytes);
        (is_full || is_short).then_some(Code::StorageFull)
    }
}
