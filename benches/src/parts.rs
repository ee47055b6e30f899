//! What can be measured, by name.

mod catch_up;
mod channels;
mod deliveries;
mod idle;
mod log;
mod long_polls;
mod polls;
mod publishes;
mod reconnect;
mod side;
mod slow_sync;
mod stalled;
mod transports;

use std::time::Duration;

use crate::{
    Failed, machine,
    report::{Line, median},
};

/// How much of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting {
    /// Longer, and everything three times.
    pub(crate) full: bool,
    /// Connections that the limit of open files leaves to each process.
    pub(crate) connections_most: usize,
}

impl Setting {
    pub(crate) fn new(full: bool) -> Self {
        Self { full, connections_most: machine::open_files_max().saturating_sub(FILES_BESIDE) }
    }

    /// How long a figure is measured.
    pub(crate) fn lasting(&self) -> Duration {
        self.either(Duration::from_millis(1_500), Duration::from_secs(4))
    }

    /// By the mode.
    pub(crate) fn either<T>(&self, short: T, full: T) -> T {
        if self.full { full } else { short }
    }

    /// As many connections as were asked for, or as many as there may be.
    pub(crate) fn connections(&self, wanted: usize) -> usize {
        if wanted > self.connections_most {
            println!("{} connections instead of {wanted}: more files may not be open", self.connections_most);
        }
        wanted.min(self.connections_most)
    }
}

/// A part: what it is called, and what measures it.
pub(crate) type Part = (&'static str, fn(&Setting) -> Result<Vec<Line>, Failed>);

/// All, in this order.
pub(crate) const PARTS: &[Part] = &[
    ("deliveries", deliveries::run),
    ("transports", transports::run),
    ("idle", idle::run),
    ("publishes", publishes::run),
    ("reconnect", reconnect::run),
    ("long_polls", long_polls::run),
    ("polls", polls::run),
    ("channels", channels::run),
    ("stalled", stalled::run),
    ("log", log::run),
    ("catch_up", catch_up::run),
    ("slow_sync", slow_sync::run),
];

/// The lines of a part: in the full mode the medians of three runs.
pub(crate) fn repeated(
    setting: &Setting,
    part: fn(&Setting) -> Result<Vec<Line>, Failed>,
) -> Result<Vec<Line>, Failed> {
    let runs: Result<Vec<_>, _> = (0..setting.either(1, 3)).map(|_| part(setting)).collect();
    runs.map(median)
}

/// For the log, the listeners, and what else a process has open.
const FILES_BESIDE: usize = 256;
