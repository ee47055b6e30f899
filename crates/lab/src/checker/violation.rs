//! What the checker answers: broken promises, and how much was looked at.

use std::fmt;

/// A broken promise, and where.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Violation {
    /// Which promise.
    pub kind: Kind,
    /// The reader that was wronged; `None` when the publishes alone show it.
    pub reader: Option<String>,
    /// Index into [`super::Reader::seen`]; `None` when it only shows at the end.
    pub at: Option<usize>,
    /// The channel, or the pattern of a gap; empty where it does not apply.
    pub channel: String,
    /// What was expected and what was there.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.kind)?;
        if let Some(reader) = &self.reader {
            write!(f, " for {reader}")?;
        }
        if let Some(at) = self.at {
            write!(f, " at {at}")?;
        }
        write!(f, " in {:?}: {}", self.channel, self.what)
    }
}

/// The promises that can be seen broken, each with the rule of the protocol that it breaks.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    /// An acknowledged event was never sent to a reader that follows its channel, and no gap covers it
    /// (promise *no loss*).
    Lost,
    /// A connection left out a `seq` without a gap, and did not send it later either (rules 4 and 5).
    Hole,
    /// The client's rule let the same (epoch, channel, `seq`) pass twice (rule 5). With a correct rule this
    /// takes more channels than it remembers.
    Repeated,
    /// A connection sent again what it had sent, or what lies at or below the cursor it was opened with
    /// (rules 1 and 9). The client drops it; the server must not rely on that.
    RepeatedOnWire,
    /// A connection that began at `now` or a floor sent what lies below (rule 7).
    BeforeStart,
    /// A connection sent a `seq` after a later one of its channel (rule 2).
    OutOfOrder,
    /// A connection sent an event or a gap below a position of the same log that it, or its cursor, had passed
    /// (rule 2). Judged where positions are known.
    OutOfOrderAcross,
    /// An event came with other bytes than were published (rule 12).
    WrongBody,
    /// An event came that nobody published.
    Invented,
    /// A publish is in the log twice: its body came, or was acknowledged, under a second `seq` (promise *no duplicate*).
    StoredTwice,
    /// One (epoch, channel, `seq`) was acknowledged for two bodies, or at two positions (rule 5).
    AckConflict,
    /// Acknowledged positions are used twice in an epoch, or do not rise with `seq` (section *words*: position).
    AckPosition,
    /// A gap covers what this connection had delivered, or what it delivers afterwards (rule 4).
    GapCoversDelivered,
    /// A gap covers nothing that could have been missed, or stands in a namespace of signals (rule 4).
    GapCoversNothing,
    /// `next_seq` is neither the next event sent nor one that can still come (rule 4).
    GapNextSeqWrong,
    /// `lost` is told and is not the number of events covered (rule 4: *only when known*).
    GapLostWrong,
    /// A gap covers events that retention had kept (rule 4). Judged where the run knows what was trimmed.
    GapOverKept,
    /// A gap stands at or above the position of its own next event (rule 4).
    GapMisplaced,
    /// An event or a gap of a channel outside the reader's set (rule 11).
    NotFollowed,
    /// A channel went from one epoch to another without a gap of reason `epoch` (rule 9).
    SilentEpoch,
    /// A connection was opened with a cursor that this reader was never handed (rule 10).
    ForeignCursor,
    /// The history itself is broken: an observation on a connection that is not open, or one opened twice.
    NotOpen,
}

/// What was looked at, so that an empty list of violations can be told from an empty history.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// Connections opened.
    pub connections: u64,
    /// Event frames.
    pub events: u64,
    /// Gap frames.
    pub gaps: u64,
    /// Events that the client's rule drops as repeats; overlapping connections make these without fault.
    pub dropped: u64,
    /// Acknowledged events that were owed to a reader and came.
    pub delivered: u64,
    /// Acknowledged events that were owed to a reader and were told as gone.
    pub told_gone: u64,
}

/// The outcome of [`super::check`].
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Verdict {
    /// What was broken, publishes first, then reader by reader in the order found.
    pub violations: Vec<Violation>,
    /// What was looked at.
    pub counts: Counts,
}

impl Verdict {
    /// Whether a violation of this kind was found.
    pub fn has(&self, kind: Kind) -> bool {
        self.violations.iter().any(|violation| violation.kind == kind)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} violations, {:?}", self.violations.len(), self.counts)?;
        self.violations.iter().try_for_each(|violation| writeln!(f, "- {violation}"))
    }
}
