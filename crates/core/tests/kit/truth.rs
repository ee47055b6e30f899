//! What really happened to a log.

use sosik_core::{ChannelName, Epoch, Position, store::Stored};

/// Everything that ever happened in one life of a log.
#[derive(Debug)]
pub struct Truth {
    pub epoch: Epoch,
    /// By position.
    pub facts: Vec<Fact>,
    /// Namespaces with positions that were ever their mark of forgotten channels.
    pub marks: Vec<(String, Position)>,
    /// Counts what is written down.
    pub clock: u64,
    /// Removals that the store has been asked for and has not answered.
    pub removing: usize,
}

/// One event, and when it was removed.
#[derive(Debug, Clone)]
pub struct Fact {
    pub stored: Stored,
    pub removed: Option<u64>,
    /// Whether its channel was forgotten after it.
    pub forgotten: bool,
}

impl Truth {
    pub fn new(epoch: Epoch) -> Self {
        Self { epoch, facts: Vec::new(), marks: Vec::new(), clock: 0, removing: 0 }
    }

    pub fn head(&self) -> Position {
        self.facts.last().map_or(Position::START, |fact| fact.stored.position)
    }

    pub fn at(&self, position: Position) -> Option<&Fact> {
        let i = self.facts.binary_search_by_key(&position, |fact| fact.stored.position).ok()?;
        Some(&self.facts[i])
    }

    pub fn of<'a>(&'a self, channel: &'a ChannelName) -> impl DoubleEndedIterator<Item = &'a Fact> {
        self.facts.iter().filter(move |fact| fact.stored.channel == *channel)
    }

    /// The last event of the channel's present record.
    pub fn last<'a>(&'a self, channel: &'a ChannelName) -> Option<&'a Fact> {
        self.of(channel).next_back().filter(|fact| !fact.forgotten)
    }

    pub(super) fn remove(&mut self, channel: &ChannelName, to: Position, forgotten: bool) {
        self.clock += 1;
        let clock = self.clock;
        for fact in &mut self.facts {
            if fact.stored.channel == *channel && fact.stored.position <= to {
                fact.removed.get_or_insert(clock);
                fact.forgotten |= forgotten;
            }
        }
    }
}
