//! What a store remembers of the publishes that asked to be stored once.

use bytes::Bytes;

use super::Placed;

/// What a batch leaves to be recalled, so that a publish that is sent again is known.
///
/// It replaces what was remembered under its key. No guard of its own: its channel has an entry in the same batch, and
/// nothing is written under the key without one, so the guard of that entry covers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memo {
    /// What it is recalled by.
    pub key: MemoKey,
    /// Whatever the core wants back.
    pub value: Bytes,
    /// Indexes of the batch's entries whose places are remembered with it, in order.
    pub entries: Vec<u32>,
    /// How long.
    pub keep: Keep,
}

/// The name of a memo.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemoKey {
    /// What it is about.
    pub kind: MemoKind,
    /// Whose bounds it counts against.
    pub namespace: Box<str>,
    /// At most some hundred bytes, unique in its kind and namespace.
    pub name: Bytes,
}

/// What a memo is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MemoKind {
    /// The last publishes of a producer into a channel; written anew by each of them.
    Producer,
    /// A publish under an idempotency key; written once.
    Key,
}

/// When a memo may be let go of: as soon as one of both is passed, in the order of writing, and maybe later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Memos of its kind and namespace; the newest so many are kept.
    pub most: u64,
    /// Milliseconds by the log's own time, which is the time of its last event.
    pub ms: u64,
}

/// A memo as it comes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// [`Memo::value`].
    pub value: Bytes,
    /// The places of [`Memo::entries`].
    pub placed: Vec<Placed>,
}

/// How much is remembered of one kind in one namespace.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MemosHeld {
    /// Memos.
    pub count: u64,
    /// Everything written at a later time of the log, milliseconds since 1970, is still there; 0 if nothing was ever let
    /// go of. Never falls, also over a restart.
    pub since: u64,
}
