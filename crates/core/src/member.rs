//! One channel or prefix in a reader's set, with the floor below which it has nothing to say.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
};

use crate::{
    channel::Channel,
    cursor::Position,
    error::Error,
    herald::WatchId,
    life::Life,
    name::{ChannelName, Pattern, Prefix},
    space::Space,
};

/// Followed from the moment it is made until it is dropped.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) pattern: Pattern,
    pub(crate) space: Arc<Space>,
    pub(crate) kind: Kind,
    /// Events and gaps at or below are not for this reader.
    pub(crate) floor: Position,
    /// Marks of forgotten channels at or below are not for this reader, as long as no more than this many channels of
    /// the namespace have been forgotten.
    pub(crate) forgotten_floor: (Position, u64),
}

#[derive(Debug)]
pub(crate) enum Kind {
    Channel(Arc<Channel>),
    Prefix {
        prefix: Prefix,
        watch: WatchId,
        /// Channels under the prefix whose own floor is higher.
        #[allow(
            clippy::box_collection,
            reason = "members of one channel, which are most, are as large as this"
        )]
        floors: Box<HashMap<ChannelName, Position>>,
    },
}

impl Member {
    /// Follows `pattern` in `life`, with its records read.
    pub(crate) async fn follow(life: &Life, space: &Arc<Space>, pattern: Pattern) -> Result<Self, Error> {
        let kind = match &pattern {
            Pattern::Channel(name) => {
                let channel = life.channel(name).await?;
                channel.followers.fetch_add(1, Ordering::SeqCst);
                Kind::Channel(channel)
            }
            Pattern::Prefix(prefix) => {
                let watch = space.follow(prefix, life.watches());
                Kind::Prefix { prefix: prefix.clone(), watch, floors: Box::default() }
            }
        };
        let member = Self {
            pattern,
            space: space.clone(),
            kind,
            floor: Position::START,
            forgotten_floor: Default::default(),
        };
        match member.kind {
            Kind::Prefix { .. } => life.load_index(space).await?,
            Kind::Channel(_) => life.load_mark(space).await?,
        }
        Ok(member)
    }

    pub(crate) fn watch(&self) -> WatchId {
        match &self.kind {
            Kind::Channel(channel) => channel.watch,
            Kind::Prefix { watch, .. } => *watch,
        }
    }

    pub(crate) fn is_signal(&self) -> bool {
        self.space.options.signal
    }

    /// Where reading of `channel`, one of the member's, starts for a reader at `place`.
    #[inline]
    pub(crate) fn start_of(&self, channel: &ChannelName, place: Position) -> Position {
        let own = match &self.kind {
            Kind::Channel(_) => Position::START,
            Kind::Prefix { floors, .. } => floors.get(channel).copied().unwrap_or_default(),
        };
        place.max(self.floor).max(own)
    }

    /// Floors that `place` has passed are of no use any more.
    pub(crate) fn passed(&mut self, place: Position) {
        if let Kind::Prefix { floors, .. } = &mut self.kind
            && !floors.is_empty()
        {
            floors.retain(|_, &mut floor| floor > place);
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        match &self.kind {
            Kind::Channel(channel) => _ = channel.followers.fetch_sub(1, Ordering::SeqCst),
            Kind::Prefix { prefix, .. } => self.space.unfollow(prefix),
        }
    }
}
