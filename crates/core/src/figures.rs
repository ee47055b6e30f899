//! What a store tells of itself to operators: plain numbers, for metrics and health.

/// The figures of one store. What an engine does not have is zero, or `None`.
///
/// Counters begin at 0 when the store is opened, and never fall.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreFigures {
    /// Bytes of the records that are kept, exact, without what the engine adds to them.
    pub kept_bytes: u64,
    /// Events that are kept.
    pub kept_events: u64,
    /// Bytes that the log's files take up on the disk.
    pub disk_bytes: u64,
    /// Bytes that are free on its file system; `None` without one, or when it could not be asked.
    pub free_bytes: Option<u64>,
    /// Events stored, counter.
    pub events: u64,
    /// Commits, each with one sync, counter.
    pub commits: u64,
    /// Time from the beginning of a commit to the end of its sync, all commits together: microseconds, counter.
    pub commit_us: u64,
    /// Commits by how long they took, counters: one for each of [`COMMIT_US_BOUNDS`], of those that took at most that
    /// long and longer than the bound before, and one for the longer ones.
    pub commits_by_us: [u64; COMMIT_US_BOUNDS.len() + 1],
    /// Syncs that failed, and writes for another reason than room, counter: the first one is final.
    pub syncs_failed: u64,
    /// Appends refused because the disk is full or nearly so, counter.
    pub appends_full: u64,
    /// How often the engine ran out of space in the middle of a write and was opened anew, counter.
    pub reopened: u64,
    /// Damaged places found by reads and by the scrub, counter.
    pub damaged: u64,
    /// Bytes that the scrub has checked, counter.
    pub scrubbed_bytes: u64,
    /// How far the scrub has come in its present round: millionths.
    pub scrub_progress: u64,
    /// Whether nothing is written any more until the log is opened anew.
    pub failed: bool,
    /// The name of the first thread of the store that has ended by a panic: what it did is not done any more until the log
    /// is opened anew.
    pub ended: Option<&'static str>,
}

/// Bounds of [`StoreFigures::commits_by_us`], in microseconds.
pub const COMMIT_US_BOUNDS: [u64; 12] =
    [100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 500_000, 2_000_000];
