//! What the checker is given: publishes, readers and what these were sent.

use std::collections::{BTreeMap, BTreeSet};

/// All that is known of one run: what was published, and what each reader was sent.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Publishes that were answered `ok`. A publish sent again may stand here once for each answer: two that name another
    /// `seq` of one epoch are a publish stored twice.
    pub acked: Vec<Acked>,
    /// Publishes that may or may not have been stored: no answer came. Each explains one event at most.
    pub uncertain: Vec<Uncertain>,
    /// What a namespace promises; one not named here is [`NamespaceKind::Log`].
    pub namespaces: BTreeMap<String, NamespaceKind>,
    /// Epochs that ended during the run: a memory log after a restart, a log after a restored backup. What was
    /// acknowledged in one is owed only below what a reader has seen of it: the rest went with the epoch, and
    /// that this was told is judged by [`super::Kind::SilentEpoch`].
    pub ended_epochs: BTreeSet<String>,
    /// The greatest `seq` that retention can have removed, per (epoch, channel), when the run knows it. With
    /// it, a gap over events that were kept is caught; a channel not named here lost nothing. `None` (default):
    /// gaps are believed where nothing contradicts them.
    pub trimmed_to: Option<BTreeMap<(String, String), u64>>,
    /// Channels whose last `seq` the client's rule remembers; 0 (default) stands for the protocol's 10,000.
    pub dedupe_channels_max: usize,
    /// The readers, in any order.
    pub readers: Vec<Reader>,
}

/// A publish that was acknowledged.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Acked {
    /// The channel published to.
    pub channel: String,
    /// The epoch of the answer, in the form in which events name it.
    pub epoch: String,
    /// The `seq` of the answer.
    pub seq: u64,
    /// What readers must be given, byte for byte: the stored JSON, the bytes of a binary event, or a hash of
    /// them, the same for all. Bodies should differ, or a twice stored publish cannot be told from two.
    pub body: Vec<u8>,
    /// The event's position in its log, when the run can tell it; the order across channels is judged by it.
    pub position: Option<u64>,
}

/// A publish without an answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Uncertain {
    /// The channel published to.
    pub channel: String,
    /// As in [`Acked::body`].
    pub body: Vec<u8>,
}

/// What the numbers of a namespace promise.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum NamespaceKind {
    /// Every channel counts 1, 2, 3 … within an epoch.
    #[default]
    Log,
    /// Channels may be forgotten: a name that comes back jumps ahead without a hole (rule 6).
    Forgetful,
    /// Signals: gone after a moment without a mark, so nothing is owed and no gap may be told.
    Signal,
}

/// One SDK instance: a set of channels followed over one connection after another.
#[derive(Clone, Debug)]
pub struct Reader {
    /// How violations name it.
    pub name: String,
    /// Channels and prefixes (`match:*`) it follows from the first connection to the last.
    pub set: Vec<String>,
    /// Where it began.
    pub begin: Begin,
    /// Whether it stayed until it was told that it had caught up after the last acknowledgement. Without it,
    /// only what lies before the last event it saw is owed.
    pub drained: bool,
    /// What was sent to it, in the order in which the bytes came.
    pub seen: Vec<Seen>,
}

/// Where a reader began: the meaning of a connection without cursor or with `now`, and of a first cursor that
/// comes from outside the history.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Begin {
    /// `start`: everything is owed.
    #[default]
    Start,
    /// `now` or a stored cursor: what is above these is owed; of a channel not named, everything.
    At(Vec<Place>),
    /// `last=N`: as [`Begin::At`], but a resume knows no floors (rule 7) and may go below them.
    Last(Vec<Place>),
    /// Not known: what follows the first event seen of each channel is owed.
    Anywhere,
}

/// The last event of a channel that a reader had or skipped.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Place {
    /// The channel.
    pub channel: String,
    /// The epoch of `seq`.
    pub epoch: String,
    /// 0: nothing yet.
    pub seq: u64,
}

/// One observation on one connection. Connections of one reader may overlap (make before break); each has its
/// own number, and a one-shot answer is a connection of its own.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Seen {
    /// The reader's own number of the connection; may be used again after [`Observed::Closed`].
    pub connection: u64,
    /// What came.
    pub item: Observed,
}

/// What can be seen of a connection from outside.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Observed {
    /// The connection begins, asking with this cursor. `None` and `now` mean the reader's [`Begin`]; `start` is
    /// itself.
    Opened {
        /// The text asked with.
        after: Option<String>,
    },
    /// An event frame.
    Event(Event),
    /// A gap frame.
    Gap(Gap),
    /// A reader's cursor that came without an event or a gap.
    Cursor {
        /// Which frame it stood in.
        from: CursorFrom,
        /// The cursor.
        cursor: String,
    },
    /// Any other frame or heartbeat: not judged.
    Other {
        /// The frame's `type`, or `heartbeat`.
        kind: String,
        /// The frame's JSON, empty when there is none.
        frame: String,
    },
    /// The connection is over, from whichever side.
    Closed,
}

/// Which frame handed out a cursor.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CursorFrom {
    /// `welcome`.
    Welcome,
    /// `caught_up`.
    CaughtUp,
    /// The `ok` of a subscribe.
    Subscribed,
    /// The `cursor` of a poll or long-poll answer.
    Answer,
}

/// An event as it was sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Event {
    /// Its channel.
    pub channel: String,
    /// Its epoch, in the frame's form.
    pub epoch: String,
    /// Its number.
    pub seq: u64,
    /// As in [`Acked::body`].
    pub body: Vec<u8>,
    /// The reader's cursor after it; `None` where only the whole answer has one.
    pub cursor: Option<String>,
}

/// A gap as it was told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Gap {
    /// A channel, or a prefix `match:*` for all under it, or `*` for all of the set.
    pub channel: String,
    /// `trimmed`, `forgotten` or `epoch`.
    pub reason: String,
    /// The epoch of what follows.
    pub epoch: String,
    /// The first event still there or to come.
    pub next_seq: Option<u64>,
    /// How many events are gone, when the server knows.
    pub lost: Option<u64>,
    /// Where it stands in its log, when the run can read that from the cursor; [`crate::raw`] cannot.
    pub position: Option<u64>,
    /// The reader's cursor after it; `None` where only the whole answer has one.
    pub cursor: Option<String>,
}
