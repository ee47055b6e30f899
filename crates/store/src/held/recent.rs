//! The newest events of all channels, up to a bound.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashMap;
use sosik_core::{cursor::Position, name::ChannelName, store::Stored};

/// Newest events by position, and by channel so that removing a channel's costs only what it holds.
pub(crate) struct Recent {
    held: BTreeMap<Position, Stored>,
    of: HashMap<ChannelName, BTreeSet<Position>>,
    bytes: usize,
    events_max: usize,
    bytes_max: usize,
}

impl Recent {
    pub(crate) fn new(events_max: usize, bytes_max: usize) -> Self {
        Self { held: BTreeMap::new(), of: HashMap::new(), bytes: 0, events_max, bytes_max }
    }

    pub(crate) fn held(&self) -> &BTreeMap<Position, Stored> {
        &self.held
    }

    /// Takes in the newest event, and answers the position of the last one that had to go for it.
    pub(crate) fn push(&mut self, event: Stored) -> Option<Position> {
        self.bytes += event.body.len();
        self.of.entry(event.channel.clone()).or_default().insert(event.position);
        self.held.insert(event.position, event);
        let mut gone = None;
        while self.held.len() > self.events_max || self.bytes > self.bytes_max {
            let Some((position, oldest)) = self.held.pop_first() else { break };
            self.bytes -= oldest.body.len();
            self.unlink(&oldest.channel, position);
            gone = Some(position);
        }
        gone
    }

    /// Removes the channel's events at or below `to`.
    pub(crate) fn remove(&mut self, channel: &ChannelName, to: Position) {
        let Some(own) = self.of.get_mut(channel) else { return };
        while let Some(&position) = own.first().filter(|&&first| first <= to) {
            own.remove(&position);
            self.bytes -= self.held.remove(&position).map_or(0, |event| event.body.len());
        }
        if own.is_empty() {
            self.of.remove(channel);
        }
    }

    fn unlink(&mut self, channel: &ChannelName, position: Position) {
        let Some(own) = self.of.get_mut(channel) else { return };
        own.remove(&position);
        if own.is_empty() {
            self.of.remove(channel);
        }
    }
}
