//! Every limit of the core: unit in the name, default, what it costs. Limits of sockets live with the transports.

/// Longest channel name, bytes of UTF-8.
pub const CHANNEL_NAME_BYTES_MAX: usize = 255;

/// Largest data of one event, bytes as stored: 64 KiB. Costs up to this much in the tail and once per encoding used.
pub const EVENT_BYTES_MAX: usize = 64 * 1024;

/// Longest name of an event (`"name"` in its frame), bytes.
pub const EVENT_NAME_BYTES_MAX: usize = 255;

/// Most channels and prefixes in one reader's set.
pub const CHANNELS_PER_READER_MAX: usize = 1_000;

/// Most events in one atomic publish.
pub const EVENTS_PER_PUBLISH_MAX: usize = 1_000;

/// Most events that `last` may ask for.
pub const LAST_MAX: u64 = 1_000;

/// Most pairs of `meta` in a stored record, and the longest key or value in bytes.
pub const META_PAIRS_MAX: usize = 8;
/// Longest key or value of one pair of `meta`, bytes.
pub const META_BYTES_MAX: usize = 255;

/// Most events and bytes in one append to a store. What arrived while the last append ran goes into the next one.
pub const APPEND_EVENTS_MAX: usize = 1_000;
/// Most bytes in one append to a store: 1 MiB.
pub const APPEND_BYTES_MAX: usize = 1024 * 1024;

/// Most events in one page of a store, of a history answer and of a poll answer.
pub const PAGE_EVENTS_MAX: usize = 256;
/// Most bytes in one page: 256 KiB. A page always holds at least one event.
pub const PAGE_BYTES_MAX: usize = 256 * 1024;

/// Newest events of a channel kept in memory, already decoded. Older ones come from the store in pages.
pub const TAIL_EVENTS_MAX: usize = 1_024;
/// Newest bytes of a channel kept in memory: 1 MiB.
pub const TAIL_BYTES_MAX: usize = 1024 * 1024;

/// Signals of one channel that are kept at most.
pub const SIGNALS_MAX: usize = 256;
/// How long a signal is kept, milliseconds: a poll every 5 s still sees typing.
pub const SIGNAL_TTL_MS: u64 = 10_000;

/// How long an acknowledgement may wait for this node's head after the store has answered, milliseconds.
pub const ACK_WAIT_MS: u64 = 1_000;
/// How long a cursor above this node's head is waited for before the reader is sent elsewhere, milliseconds.
pub const AHEAD_WAIT_MS: u64 = 5_000;
/// How long an append is tried again before publishers are told `unavailable`, milliseconds.
pub const APPEND_RETRY_MS: u64 = 10_000;

/// Most publishes that wait for their append, per log; more are refused with `overloaded`. Default.
pub const APPEND_QUEUE_MAX: usize = 10_000;
/// Most bytes of data that wait for their append, per log: 64 MiB; more are refused with `overloaded`.
pub const APPEND_QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Events kept per channel. Default of `events_max`.
pub const EVENTS_MAX: u64 = 10_000;
/// Longest producer id and idempotency key, bytes.
pub const ONCE_ID_BYTES_MAX: usize = 64;
/// Publishes of one producer into one channel that are answered as duplicates when they come again: the last so many.
/// Costs up to 20 bytes each, in one row that each publish of the producer writes anew.
pub const PRODUCER_SEQS_HELD: usize = 64;
/// How long producers and idempotency keys are remembered, milliseconds: 24 hours since they last wrote.
pub const ONCE_WINDOW_MS: u64 = 24 * 60 * 60 * 1_000;
/// How far the clock that made an idempotency key may be ahead of this server's, milliseconds, for a key that was let go
/// of to be refused for certain: a minute, or half of the window held if that is less.
pub const KEY_CLOCK_SLACK_MS: u64 = 60_000;
/// Idempotency keys remembered per namespace; beyond it the oldest are let go of. Default of `idempotency_keys_max`.
/// Costs about 200 bytes of the disk each, or of memory in the memory log.
pub const IDEMPOTENCY_KEYS_MAX: u64 = 1_000_000;
/// Pairs of producer and channel remembered per namespace; beyond it those that wrote longest ago are let go of. Default
/// of `producers_max`. Costs about half a kilobyte of the disk each, or of memory in the memory log.
pub const PRODUCERS_MAX: u64 = 100_000;

/// Bytes of records kept per channel: 64 MiB. Default of `bytes_max`.
pub const BYTES_MAX: u64 = 64 * 1024 * 1024;
/// How long an event is kept, milliseconds: 7 days. Default of `age_max_ms`.
pub const AGE_MAX_MS: u64 = 7 * 24 * 60 * 60 * 1000;
/// What each kept event counts against [`crate::Capacity`] besides its record, bytes: its rows and places in the store.
pub const EVENT_OVERHEAD_BYTES: u64 = 160;
/// Kept bytes of the disk log: 10 GiB. Default of [`crate::Capacity::bytes_max`] there. Costs as much room on the disk.
pub const DISK_BYTES_MAX: u64 = 10 * 1024 * 1024 * 1024;
/// Kept bytes of the memory log: 1 GiB. Default of [`crate::Capacity::bytes_max`] there. Costs as much memory.
pub const MEMORY_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Page reads of the store that run at the same time, per node.
pub const PAGE_READS_MAX: usize = 64;
/// Records of channels that are read from the store at the same time, per log; more wait, so that a crowd that comes back
/// after a restart is slow and not refused.
pub const RECORD_READS_MAX: usize = 1_024;
/// Bytes of pages that were read lately and are kept for readers that come near, per log: 4 MiB.
pub const READS_HELD_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Joins of one connection that wait for their backlog.
pub const BACKLOGS_MAX: usize = 16;
