//! What every engine holds in memory beside its events: places of batches, newest events, notices for followers.

mod batches;
mod notices;
mod places;
mod recent;

pub(crate) use batches::Batches;
pub(crate) use notices::{Notices, Place as NoticePlace};
pub(crate) use places::{Guards, places};
pub(crate) use recent::Recent;

/// Memos that are let go of behind a commit that wrote so many: more than it wrote, so that what is above its bound
/// shrinks, and not all at once, so that nobody waits for it.
pub(crate) fn memos_let_go_at_once(written: usize) -> usize {
    2 * written + 64
}

/// Most changes in one answer of a follower. Costs one pointer and some words each while the answer lives.
pub const NEWS_CHANGES_MAX: usize = 1_000;

/// Batches whose places are remembered, so that sending one again is answered
/// [`sosik_core::store::AppendError::Duplicate`]. A core has one batch in flight, so the oldest remembered is far older
/// than any retry. Costs up to 16 bytes per event of them.
pub const BATCHES_HELD_MAX: usize = 1_024;

/// Signals held for followers that are behind, all channels together; older ones are gone without a mark.
pub const SIGNALS_HELD_MAX: usize = 16_384;
/// Bytes of signals held for followers that are behind: 16 MiB.
pub const SIGNALS_HELD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Forgotten channels of which followers that are behind can still be told; a follower further behind is answered
/// [`sosik_core::store::Followed::Behind`]. Costs a name and two numbers each.
pub const FORGOTTEN_HELD_MAX: usize = 4_096;
/// Trimmed channels of which followers that are behind can still be told, each by its newest mark; a follower further
/// behind is answered [`sosik_core::store::Followed::Behind`]. Costs a name and some numbers each, 10 MiB in all.
pub const TRIMMED_HELD_MAX: usize = 65_536;
