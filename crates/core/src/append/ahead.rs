//! What is known of the channels before `follow` has told it.

use std::sync::Arc;

use hashbrown::HashMap;
use parking_lot::Mutex;

use crate::{
    channel::Channel,
    cursor::Position,
    error::Error,
    life::Life,
    name::ChannelName,
    store::{ChannelHead, Place, Placed},
};

/// Said by the store but not told by `follow` yet: the record changes only by `follow`, numbering must not wait for
/// it. `None` for a channel without a record.
#[derive(Debug, Default)]
pub(crate) struct Ahead(Mutex<HashMap<ChannelName, Option<ChannelHead>>>);

impl Ahead {
    /// The record of a channel has been told up to `seq`.
    pub(crate) fn followed(&self, channel: &ChannelName, seq: u64) {
        let mut ahead = self.0.lock();
        if ahead.get(channel).is_some_and(|head| head.is_none_or(|head| head.seq <= seq)) {
            ahead.remove(channel);
        }
    }

    /// The channel has been told to be forgotten.
    pub(crate) fn forgotten(&self, channel: &ChannelName) {
        let mut ahead = self.0.lock();
        if ahead.get(channel).is_some_and(|head| head.is_none()) {
            ahead.remove(channel);
        }
    }

    /// Whether nothing is left to be told; lets the caller skip the look-ups.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }

    /// Where the channel's next event belongs, by what is known.
    pub(super) fn place(&self, life: &Life, channel: &Channel) -> Result<Place, Error> {
        let space = life.space(channel.name.namespace()).ok_or(Error::Unavailable)?;
        Ok(match self.known(channel) {
            Some(head) => Place::After { seq: head.seq + 1, prev: head.position },
            None if space.options.forgettable => Place::First { prev: space.forgotten_to() },
            None => Place::After { seq: 1, prev: Position::START },
        })
    }

    /// The newest that is known of a channel: told by `follow`, or acknowledged and not told yet.
    fn known(&self, channel: &Channel) -> Option<ChannelHead> {
        let ahead = self.0.lock().get(&channel.name).copied();
        match (channel.head(), ahead) {
            (Some(told), Some(Some(ahead))) if told.seq > ahead.seq => Some(told),
            (told, ahead) => ahead.unwrap_or(told),
        }
    }

    /// Asks the store what a channel is by now.
    pub(super) async fn read(&self, life: &Life, channel: &ChannelName) -> Result<(), Error> {
        let head = life.store.channel(channel).await?;
        let space = life.space(channel.namespace()).ok_or(Error::Unavailable)?;
        if head.is_none() && space.options.forgettable {
            let forgotten_to = life.store.namespace(&space.options.name).await?.forgotten_to;
            space.raise_forgotten_to(forgotten_to);
        }
        self.0.lock().insert(channel.clone(), head);
        Ok(())
    }

    /// The store has acknowledged an event of each of `channels`.
    pub(super) fn stored(&self, channels: &[Arc<Channel>], placed: &[Placed]) {
        let mut ahead = self.0.lock();
        for (channel, place) in channels.iter().zip(placed) {
            let head = ChannelHead { seq: place.seq, position: place.position, ..ChannelHead::default() };
            ahead.insert(channel.name.clone(), Some(head));
        }
    }

    /// `follow` may have told an event before its append was acknowledged.
    pub(super) fn forget_what_was_told(&self, head: Position) {
        self.0.lock().retain(|_, ahead| ahead.is_none_or(|ahead| ahead.position > head));
    }
}
