//! What happened to whole channels, in the order in which it happened, kept for followers that are behind.

use std::collections::{BTreeMap, HashMap, VecDeque};

use sosik_core::{cursor::Position, name::ChannelName, store::Change};

use super::{FORGOTTEN_HELD_MAX, TRIMMED_HELD_MAX};

/// Notices under rising numbers. A channel has at most one of being trimmed, the newest; of being forgotten as many as
/// fit, because nothing else is left of it.
#[derive(Default)]
pub(crate) struct Notices {
    held: BTreeMap<u64, Notice>,
    last: u64,
    trimmed: HashMap<ChannelName, u64>,
    forgotten: VecDeque<u64>,
    dropped: Option<Dropped>,
}

enum Notice {
    Trimmed { channel: ChannelName, to: Position, first_seq: u64 },
    Forgotten(ChannelName, Position),
}

#[derive(Clone, Copy)]
struct Dropped {
    number: u64,
    mark: Position,
}

/// A follower's place among the notices.
#[derive(Clone, Copy)]
pub(crate) enum Place {
    /// Everything up to `told` was told. Up to `known`, what lies at or below `after` does not concern it: it happened
    /// before the follower came, to events that it did not ask for.
    At { told: u64, known: u64, after: Position },
    /// The place cannot be served.
    Lost,
}

impl Notices {
    /// Of a log whose earlier life removed events up to `mark`, of which nobody can be told any more.
    pub(crate) fn behind(mark: Position) -> Self {
        Self { dropped: Some(Dropped { number: 0, mark }), ..Self::default() }
    }

    pub(crate) fn trimmed(&mut self, channel: &ChannelName, to: Position, first_seq: u64) {
        let number = self.push(Notice::Trimmed { channel: channel.clone(), to, first_seq });
        if let Some(replaced) = self.trimmed.insert(channel.clone(), number) {
            self.held.remove(&replaced);
        }
        if self.trimmed.len() > TRIMMED_HELD_MAX {
            let oldest = self.held.iter().find(|(_, notice)| matches!(notice, Notice::Trimmed { .. }));
            let oldest = oldest.map(|(&number, _)| number);
            oldest.into_iter().for_each(|number| self.drop_notice(number));
        }
    }

    pub(crate) fn forgotten(&mut self, channel: &ChannelName, mark: Position) {
        if let Some(replaced) = self.trimmed.remove(channel) {
            self.held.remove(&replaced);
        }
        let number = self.push(Notice::Forgotten(channel.clone(), mark));
        self.forgotten.push_back(number);
        if self.forgotten.len() > FORGOTTEN_HELD_MAX
            && let Some(number) = self.forgotten.pop_front()
        {
            self.drop_notice(number);
        }
    }

    /// The place of a follower that begins behind `after`, when the log has given positions up to `given`.
    pub(crate) fn place(&self, after: Position, given: Position) -> Place {
        let dropped = self.dropped.is_some_and(|dropped| dropped.mark > after);
        if after > given || dropped {
            return Place::Lost;
        }
        // No mark lies above what was given: a follower that begins there has nothing older to be told.
        let told = if after == given { self.last } else { self.dropped.map_or(0, |dropped| dropped.number) };
        Place::At { told, known: self.last, after }
    }

    /// Adds at most `most` of the notices that follow `place` to `changes`, and moves it behind them. `Some(true)` if no
    /// more follow, `None` if some are no longer held.
    pub(crate) fn tell(&self, place: &mut Place, most: usize, changes: &mut Vec<Change>) -> Option<bool> {
        let Place::At { told, known, after } = place else { return None };
        if self.dropped.is_some_and(|dropped| dropped.number > *told) {
            return None;
        }
        for (&number, notice) in self.held.range(*told + 1..) {
            if changes.len() >= most {
                return Some(false);
            }
            *told = number;
            if number > *known || notice.mark() > *after {
                changes.push(notice.change());
            }
        }
        Some(true)
    }

    fn push(&mut self, notice: Notice) -> u64 {
        self.last += 1;
        self.held.insert(self.last, notice);
        self.last
    }

    fn drop_notice(&mut self, number: u64) {
        let Some(notice) = self.held.remove(&number) else { return };
        if let Notice::Trimmed { channel, .. } = &notice {
            self.trimmed.remove(channel);
        }
        let before = self.dropped.unwrap_or(Dropped { number: 0, mark: Position::START });
        let (number, mark) = (before.number.max(number), before.mark.max(notice.mark()));
        self.dropped = Some(Dropped { number, mark });
    }
}

impl Notice {
    fn mark(&self) -> Position {
        match self {
            Self::Trimmed { to: mark, .. } | Self::Forgotten(_, mark) => *mark,
        }
    }

    fn change(&self) -> Change {
        match self {
            Self::Trimmed { channel, to, first_seq } => {
                Change::Trimmed { channel: channel.clone(), to: *to, first_seq: *first_seq }
            }
            Self::Forgotten(channel, mark) => Change::Forgotten { channel: channel.clone(), mark: *mark },
        }
    }
}
