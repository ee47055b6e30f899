//! Which faults happen, and how often.

/// Chances are so many in this number.
pub const PER: u16 = 1_000;

/// How often each fault happens. Chances in [`PER`]; waits in polls, each chosen anew up to the number given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FaultPlan {
    // Appends.
    /// `Conflict` although the guards hold. Nothing is stored. Never for a batch that is stored or may yet be.
    pub conflict: u16,
    /// Another node writes an event into one of the batch's channels, before the append (a true `Conflict`) or between
    /// it and its answer. Such events are named [`super::FOREIGN`]. `given()` is then `None`.
    pub foreign: u16,
    /// `Unknown`; the batch never arrived.
    pub batch_lost: u16,
    /// `Unknown`; the batch was looked at, and stored if its guards held. A repeat is `Duplicate` then.
    pub answer_lost: u16,
    /// `Unknown`; the batch arrives some calls later, before or after its repeat, or after other appends.
    pub batch_late: u16,
    /// `Duplicate` to a first append: the answer was lost on the way, and the store's own repeat was answered.
    pub duplicate: u16,
    /// `Unavailable`; this call stored nothing, also if an earlier one of the same batch did.
    pub unavailable: u16,
    /// `Full`. Nothing is stored. Never for a batch that is stored or may yet be.
    pub full: u16,
    /// Waits before the append and between it and its answer, so that its news may come before the answer.
    pub append_polls: usize,

    // Reads, and `open`, `trim` and `forget`.
    /// `Unavailable`; `trim` and `forget` may have been done all the same.
    pub read_unavailable: u16,
    /// A page ends early, with at least one event, and says so. Its mark is read later than its events.
    pub short_page: u16,
    /// Waits before a read and between it and its answer.
    pub read_polls: usize,

    // News.
    /// Waits before news is told: its append may have been answered long ago.
    pub news_polls: usize,
    /// News comes in pieces.
    pub split_news: u16,
    /// `Stalled` before news.
    pub stalled: u16,
    /// `Behind`; the follower is useless from then on.
    pub behind: u16,
    /// `open` answers a head that was true some events ago: cursors of other nodes are above it. Never below a head that
    /// was told before. `given()` is then `None`.
    pub old_head: u16,
}

impl FaultPlan {
    /// No fault: the inner store as it is.
    pub const fn none() -> Self {
        Self {
            conflict: 0,
            foreign: 0,
            batch_lost: 0,
            answer_lost: 0,
            batch_late: 0,
            duplicate: 0,
            unavailable: 0,
            full: 0,
            append_polls: 0,
            read_unavailable: 0,
            short_page: 0,
            read_polls: 0,
            news_polls: 0,
            split_news: 0,
            stalled: 0,
            behind: 0,
            old_head: 0,
        }
    }

    /// Late and in pieces, but never an error: what every caller must bear without noticing.
    pub const fn slow() -> Self {
        Self {
            append_polls: 6,
            short_page: 300,
            read_polls: 6,
            news_polls: 20,
            split_news: 300,
            stalled: 100,
            ..Self::none()
        }
    }

    /// Slow, with every fault that goes away when the call is made again. Leaves out `full` and `behind`.
    pub const fn everything() -> Self {
        Self {
            conflict: 60,
            foreign: 80,
            batch_lost: 50,
            answer_lost: 80,
            batch_late: 40,
            duplicate: 40,
            unavailable: 50,
            read_unavailable: 60,
            old_head: 500,
            ..Self::slow()
        }
    }
}

/// A fault of one append, for [`super::Faulty::script`]; the fields of [`FaultPlan`] say what each does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppendFault {
    /// No fault, where chance would have had its turn.
    None,
    /// As [`FaultPlan::conflict`].
    Conflict,
    /// As [`FaultPlan::batch_lost`].
    BatchLost,
    /// As [`FaultPlan::answer_lost`].
    AnswerLost,
    /// As [`FaultPlan::batch_late`].
    BatchLate,
    /// As [`FaultPlan::duplicate`].
    Duplicate,
    /// As [`FaultPlan::unavailable`].
    Unavailable,
    /// As [`FaultPlan::full`].
    Full,
}
