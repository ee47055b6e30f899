//! How much one log may hold.

use crate::{
    cursor::LogId,
    event::Draft,
    figures::StoreFigures,
    limits::{
        APPEND_BYTES_MAX, DISK_BYTES_MAX, EVENT_OVERHEAD_BYTES, EVENTS_PER_PUBLISH_MAX, MEMORY_BYTES_MAX,
    },
};

/// How much one log may hold, and what happens then. Each event counts the bytes of its record and
/// [`EVENT_OVERHEAD_BYTES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// Most bytes kept.
    pub bytes_max: u64,
    /// What happens to a publish beyond it.
    pub full: Full,
}

/// What happens when a log holds as much as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// Publishes are refused with [`crate::Error::StorageFull`] until room is made.
    Refuse,
    /// The oldest events of the log go first, whatever their channel.
    Trim,
}

impl Capacity {
    /// 10 GiB, then `refuse` for the disk log; 1 GiB, then `trim` for the memory log.
    pub fn of(log: LogId) -> Self {
        match log {
            LogId::Disk => Self { bytes_max: DISK_BYTES_MAX, full: Full::Refuse },
            LogId::Memory => Self { bytes_max: MEMORY_BYTES_MAX, full: Full::Trim },
        }
    }

    /// How much of it the log with these figures uses, bytes.
    pub(crate) fn used(&self, figures: &StoreFigures) -> u64 {
        figures.kept_bytes + figures.kept_events * EVENT_OVERHEAD_BYTES
    }

    /// What an event with a record of so many bytes uses of it.
    pub(crate) fn cost_of(record_bytes: usize) -> u64 {
        record_bytes as u64 + EVENT_OVERHEAD_BYTES
    }

    /// About what `draft` will use of it.
    pub(crate) fn cost(draft: &Draft) -> u64 {
        Self::cost_of(draft.data.bytes().len() + draft.name.len())
    }

    /// Above this much, room is made: so far below the most that any publish fits, and others go on meanwhile.
    pub(crate) fn high(&self) -> u64 {
        self.bytes_max - (self.bytes_max / 32).max(PUBLISH_BYTES_MAX).min(self.bytes_max / 2)
    }

    /// Down to this much.
    pub(crate) fn low(&self) -> u64 {
        self.high() - self.bytes_max / 32
    }
}

/// About the most that one publish uses.
const PUBLISH_BYTES_MAX: u64 =
    APPEND_BYTES_MAX as u64 + EVENTS_PER_PUBLISH_MAX as u64 * 2 * EVENT_OVERHEAD_BYTES;
