//! What everybody may see of a log at the moment. Nothing comes here before it was synced.

use fjall::Snapshot;
use sosik_core::{cursor::Position, store::Stored};

use crate::held::{Notices, Recent, SIGNALS_HELD_BYTES_MAX, SIGNALS_HELD_MAX};

use super::{
    RECENT_BYTES_MAX, RECENT_EVENTS_MAX,
    memos::Windows,
    stage::{News, Removed},
    value::Tail,
};

/// Where the log ends, the newest events so that followers that keep up read nothing, and notices.
pub(super) struct State {
    /// The tables as they were when the head moved last: with every mark whose notice is held, and no other.
    pub(super) moment: Snapshot,
    /// Where the log ends.
    pub(super) tail: Tail,
    pub(super) windows: Windows,
    pub(super) notices: Notices,
    pub(super) recent: Recent,
    pub(super) signals: Recent,
    /// Kept events above are all in `recent`.
    pub(super) recent_above: Position,
}

impl State {
    pub(super) fn new(tail: Tail, windows: Windows, moment: Snapshot) -> Self {
        Self {
            moment,
            tail,
            windows,
            notices: Notices::behind(tail.removed_to),
            recent: Recent::new(RECENT_EVENTS_MAX, RECENT_BYTES_MAX),
            signals: Recent::new(SIGNALS_HELD_MAX, SIGNALS_HELD_BYTES_MAX),
            recent_above: tail.head,
        }
    }

    /// Takes in what was synced, with the moment since which the tables hold it.
    pub(super) fn publish(&mut self, tail: Tail, news: News, windows: Windows, moment: Snapshot) {
        self.moment = moment;
        self.windows.extend(windows);
        for removed in news.removed {
            let (channel, to) = match &removed {
                Removed::Trimmed { channel, to, first_seq } => {
                    self.notices.trimmed(channel, *to, *first_seq);
                    (channel, to)
                }
                Removed::Forgotten { channel, to, mark } => {
                    self.notices.forgotten(channel, *mark);
                    (channel, to)
                }
            };
            self.recent.remove(channel, *to);
            self.signals.remove(channel, *to);
        }
        for event in news.events {
            self.push(event);
        }
        self.tail = tail;
    }

    fn push(&mut self, event: Stored) {
        if !event.kept {
            self.signals.push(event);
        } else if let Some(gone) = self.recent.push(event) {
            self.recent_above = gone;
        }
    }
}
