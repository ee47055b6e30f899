//! What happened to whole channels, in the order in which it happened, kept for followers that are behind.

use std::collections::{BTreeMap, VecDeque};

use sosik_core::{cursor::Position, name::ChannelName};

use super::FORGOTTEN_HELD_MAX;

/// Notices under rising numbers. A channel has at most one of being trimmed, the newest; of being forgotten as many as
/// fit, because nothing else is left of it.
#[derive(Default)]
pub(super) struct Notices {
    held: BTreeMap<u64, Notice>,
    last: u64,
    forgotten: VecDeque<u64>,
    dropped: Option<Dropped>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Notice {
    /// The channel's record says how far.
    Trimmed(ChannelName),
    Forgotten(ChannelName, Position),
}

#[derive(Clone, Copy)]
struct Dropped {
    number: u64,
    mark: Position,
}

/// A follower's place among the notices.
#[derive(Clone, Copy)]
pub(super) enum Place {
    /// Everything up to `told` was told. Up to `known`, what lies at or below `after` does not concern it: it happened
    /// before the follower came, to events that it did not ask for.
    At { told: u64, known: u64, after: Position },
    /// The place cannot be served.
    Lost,
}

impl Notices {
    pub(super) fn trimmed(&mut self, channel: &ChannelName, replaces: Option<u64>) -> u64 {
        self.remove(replaces);
        self.push(Notice::Trimmed(channel.clone()))
    }

    pub(super) fn forgotten(&mut self, channel: &ChannelName, mark: Position, replaces: Option<u64>) {
        self.remove(replaces);
        let number = self.push(Notice::Forgotten(channel.clone(), mark));
        self.forgotten.push_back(number);
        if self.forgotten.len() > FORGOTTEN_HELD_MAX
            && let Some(number) = self.forgotten.pop_front()
            && let Some(Notice::Forgotten(_, mark)) = self.held.remove(&number)
        {
            let mark = self.dropped.map_or(mark, |dropped| dropped.mark.max(mark));
            self.dropped = Some(Dropped { number, mark });
        }
    }

    /// The place of a follower that begins behind `after`, when the log has given positions up to `given`.
    pub(super) fn place(&self, after: Position, given: Position) -> Place {
        let dropped = self.dropped.is_some_and(|dropped| dropped.mark > after);
        if after > given || dropped {
            return Place::Lost;
        }
        // No mark lies above what was given: a follower that begins there has nothing older to be told.
        let told = if after == given { self.last } else { self.dropped.map_or(0, |dropped| dropped.number) };
        Place::At { told, known: self.last, after }
    }

    /// The notices that follow `place`; `None` if some of them are gone.
    pub(super) fn after(&self, place: Place) -> Option<impl Iterator<Item = (u64, &Notice)>> {
        let Place::At { told, .. } = place else { return None };
        if self.dropped.is_some_and(|dropped| dropped.number > told) {
            return None;
        }
        Some(self.held.range(told + 1..).map(|(&number, notice)| (number, notice)))
    }

    fn push(&mut self, notice: Notice) -> u64 {
        self.last += 1;
        self.held.insert(self.last, notice);
        self.last
    }

    fn remove(&mut self, number: Option<u64>) {
        if let Some(number) = number {
            self.held.remove(&number);
        }
    }
}

impl Place {
    /// Moves behind notice `number`, and says whether it is to be told when it is about `mark`.
    pub(super) fn pass(&mut self, number: u64, mark: Position) -> bool {
        let Self::At { told, known, after } = self else { return false };
        *told = number;
        number > *known || mark > *after
    }
}
