//! What an operator does to a channel: trim it, delete what it holds, forget it.

use crate::{
    cursor::Position,
    error::Error,
    grant::{Grant, Verb},
    life::Life,
    name::ChannelName,
    node::Node,
    retention::STEP,
    store::ChannelHead,
};

/// Which of a channel's events go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// All but the newest so many.
    Keep(u64),
    /// All with a number below.
    Below(u64),
}

/// What an operation took away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Removed {
    /// How many events.
    pub events: u64,
    /// Number of the first event still kept, or of the next one if none is.
    pub next_seq: u64,
}

impl Node {
    /// Takes the oldest events of `channel` away, some at a time; readers are told a gap in their place. Needs the verb
    /// `manage`. Cancelled, it may have done a part.
    pub async fn trim(
        &self,
        grant: &Grant,
        channel: &ChannelName,
        cut: Cut,
        now: u64,
    ) -> Result<Removed, Error> {
        grant.allows_channel(Verb::Manage, channel, now)?;
        let log = self.log_of(channel.namespace(), Verb::Manage, channel)?;
        let life = log.life();
        let Some(before) = life.store.channel(channel).await? else { return Ok(NOTHING) };
        let next_seq = match cut {
            Cut::Keep(count) => (before.seq + 1).saturating_sub(count),
            Cut::Below(seq) => seq.min(before.seq + 1),
        };
        let mut first_seq = before.first_seq;
        while first_seq < next_seq {
            let (to, next) = match next_seq > before.seq {
                true => (before.position, before.seq + 1),
                false => match oldest_below(&life, channel, next_seq).await? {
                    Some(place) => place,
                    None => break,
                },
            };
            log.trim(channel, to, next).await?;
            first_seq = next;
        }
        Ok(removed(before, first_seq))
    }

    /// Takes all events of `channel` away. Its record stays, so that the next event goes on with the next number and
    /// readers are told a gap in the place of what was there. Needs the verb `manage`.
    pub async fn delete(&self, grant: &Grant, channel: &ChannelName, now: u64) -> Result<Removed, Error> {
        self.trim(grant, channel, Cut::Keep(0), now).await
    }

    /// Removes `channel` with its record, so that its name begins anew. Needs the verb `manage`, and a namespace whose
    /// channels may be forgotten. Errors: [`Error::Request`] otherwise.
    pub async fn forget(&self, grant: &Grant, channel: &ChannelName, now: u64) -> Result<Removed, Error> {
        grant.allows_channel(Verb::Manage, channel, now)?;
        let log = self.log_of(channel.namespace(), Verb::Manage, channel)?;
        let before = log.life().store.channel(channel).await?;
        log.forget(channel).await?;
        Ok(before.map_or(NOTHING, |before| removed(before, before.seq + 1)))
    }
}

/// The last of the channel's oldest events with a number below `seq`, as far as one page goes: its place, and the number
/// behind it.
async fn oldest_below(
    life: &Life,
    channel: &ChannelName,
    seq: u64,
) -> Result<Option<(Position, u64)>, Error> {
    let page = life.store.page(channel, Position::START, life.head(), STEP).await?;
    let last = page.events.iter().take_while(|event| event.seq < seq).last();
    Ok(last.map(|event| (event.position, event.seq + 1)))
}

fn removed(before: ChannelHead, next_seq: u64) -> Removed {
    Removed { events: next_seq.saturating_sub(before.first_seq), next_seq }
}

const NOTHING: Removed = Removed { events: 0, next_seq: 0 };
