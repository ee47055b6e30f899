//! Taking away what is kept: events of a channel, or a channel with its record.
//!
//! What a removal takes is neither here nor gone until the store has answered. A mark is raised only for what the store
//! has accepted; a reader that finds less than there was waits for the answer before it passes what may be missing.

use parking_lot::Mutex;
use tokio::sync::{Notify, futures::Notified};

use crate::{
    cursor::Position,
    error::Error,
    life::Life,
    name::ChannelName,
    store::{Answer, StoreError},
};

/// The removals of one life that the store has not answered yet.
#[derive(Debug, Default)]
pub(crate) struct Removals {
    under_way: Mutex<Vec<(ChannelName, Position)>>,
    ended: Notify,
}

impl Removals {
    fn begin(&self, channel: &ChannelName, to: Position) -> UnderWay<'_> {
        self.under_way.lock().push((channel.clone(), to));
        UnderWay { all: self, channel: channel.clone(), to }
    }

    /// Waits until none is under way that `takes` something from the caller: of a channel, up to a position.
    pub(crate) async fn settled(&self, takes: impl Fn(&ChannelName, Position) -> bool) {
        loop {
            let ended: Notified<'_> = self.ended.notified();
            if !self.under_way.lock().iter().any(|(channel, to)| takes(channel, *to)) {
                return;
            }
            ended.await;
        }
    }
}

struct UnderWay<'a> {
    all: &'a Removals,
    channel: ChannelName,
    to: Position,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut under_way = self.all.under_way.lock();
        let own = under_way.iter().position(|(channel, to)| *channel == self.channel && *to == self.to);
        own.into_iter().for_each(|own| _ = under_way.swap_remove(own));
        drop(under_way);
        self.all.ended.notify_waiters();
    }
}

impl Life {
    /// Removes a channel's events at or below `to`, the position of one of them; `first_seq` is the first number kept.
    /// Asked again at each `pulse` while the store does not say whether it was done. The caller must not leave.
    pub(crate) async fn trim(
        &self,
        channel: &ChannelName,
        to: Position,
        first_seq: u64,
        pulse: &Notify,
    ) -> Result<(), Error> {
        let _under_way = self.removals.begin(channel, to);
        self.until_answered(pulse, || self.store.trim(channel, to)).await?;
        self.trimmed_by_name(channel, to, first_seq);
        Ok(())
    }

    /// Removes a channel with its record, and raises the namespace's mark. As [`Life::trim`]; nothing may be appended to
    /// the channel meanwhile.
    pub(crate) async fn forget(&self, channel: &ChannelName, pulse: &Notify) -> Result<(), Error> {
        let _under_way = self.removals.begin(channel, Position::END);
        let mark = self.until_answered(pulse, || self.store.forget(channel)).await?;
        self.forgotten(channel, mark);
        Ok(())
    }

    async fn until_answered<'a, T>(
        &self,
        pulse: &Notify,
        ask: impl Fn() -> Answer<'a, Result<T, StoreError>>,
    ) -> Result<T, Error> {
        loop {
            match ask().await {
                Err(StoreError::Unavailable) if !self.is_over() => pulse.notified().await,
                answer => return Ok(answer?),
            }
        }
    }
}
