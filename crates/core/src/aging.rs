//! What is too old: found by walking up the log from its oldest kept event, and taken away slowly.

use std::collections::HashMap;

use crate::{
    cursor::Position,
    error::Error,
    life::Life,
    limits::AGE_MAX_MS,
    log::Log,
    name::ChannelName,
    oldest::oldest,
    record,
    retention::{AT_ONCE, STEP, all},
    steady::Moment,
    store::{PageLimit, StoreError, Stored},
};

/// The walks of one life, one for each age that some namespace has: time never falls within a log, so each walk goes up
/// only once.
#[derive(Debug)]
pub(crate) struct Aging {
    walks: Vec<Walk>,
    due: HashMap<ChannelName, Due>,
}

/// Everything of this age at or below the place is due or gone.
#[derive(Debug)]
struct Walk {
    age_ms: u64,
    place: Position,
    /// Time of the event at the place, for one that cannot be read.
    time: u64,
    /// When the event above the place is too old; nothing is read before.
    next: u64,
}

/// A channel that holds events that are too old, or held some lately.
#[derive(Debug, Clone, Copy)]
struct Due {
    /// The last one.
    to: Position,
    /// Nothing more of the channel is taken away before.
    not_before_ms: u64,
}

/// What became of a channel.
enum Aged {
    /// Nothing is due, or nothing is left.
    Done,
    /// So many events of so many went.
    Some(u64, u64),
}

impl Aging {
    pub(crate) fn new(life: &Life) -> Self {
        // What is left of namespaces that are no longer configured has the default.
        let own = life.spaces().filter(|space| !space.signal).filter_map(|space| space.age_max_ms);
        let mut ages: Vec<u64> = own.chain([AGE_MAX_MS]).collect();
        ages.sort_unstable();
        ages.dedup();
        let walk = |age_ms| Walk { age_ms, place: Position::START, time: 0, next: 0 };
        Self { walks: ages.into_iter().map(walk).collect(), due: HashMap::new() }
    }

    /// One second's share. At most 1 % of a channel goes each second, or one event in as long as that stands for.
    /// What the store does not answer now is asked again by the next pass.
    pub(crate) async fn pass(&mut self, log: &Log, life: &Life, moment: Moment) {
        for walk in &mut self.walks {
            // What is due already waits for no walk.
            let _ = walk.go_on(life, moment, &mut self.due).await;
        }
        let ready = self.due.iter().filter(|(_, due)| due.not_before_ms <= moment.steady_ms);
        let ready: Vec<_> =
            ready.map(|(channel, due)| (channel.clone(), due.to)).take(CHANNELS_EACH_SECOND).collect();
        for some in ready.chunks(AT_ONCE) {
            if log.retention.is_pressed() {
                break;
            }
            let aged = all(some.iter().map(|(channel, to)| age(log, life, channel, *to))).await;
            for ((channel, _), aged) in some.iter().zip(aged) {
                match (aged, self.due.get_mut(channel)) {
                    (Ok(Aged::Some(gone, of)), Some(due)) => {
                        // From when it was allowed, not from when it was done: seconds are coarse.
                        let from = due.not_before_ms.max(moment.steady_ms.saturating_sub(1_000));
                        due.not_before_ms = from + gone * CHANNEL_EMPTY_MS / of;
                    }
                    (Ok(Aged::Done), _) => _ = self.due.remove(channel),
                    (Err(_), Some(due)) => due.not_before_ms = moment.steady_ms + 1_000,
                    (_, None) => {}
                }
            }
        }
    }
}

impl Walk {
    async fn go_on(
        &mut self,
        life: &Life,
        moment: Moment,
        due: &mut HashMap<ChannelName, Due>,
    ) -> Result<(), StoreError> {
        for _ in 0..PAGES_EACH_SECOND {
            if self.next > moment.believed_ms || due.len() >= DUE_MAX {
                return Ok(());
            }
            let (from, page) = oldest(life, self.place).await?;
            self.place = from;
            for event in &page.events {
                self.time = time_of(life, event).unwrap_or(self.time);
                if self.time.saturating_add(self.age_ms) > moment.believed_ms {
                    self.next = self.time.saturating_add(self.age_ms);
                    return Ok(());
                }
                if age_of(life, &event.channel) == Some(self.age_ms) {
                    let own = due.entry(event.channel.clone());
                    own.or_insert(Due { to: event.position, not_before_ms: 0 }).to = event.position;
                }
                self.place = event.position;
            }
            self.place = self.place.max(page.complete_to);
            if page.events.is_empty() {
                return Ok(());
            }
        }
        Ok(())
    }
}

/// Takes away a hundredth of what the channel has, at least one event, of those at or below `to`.
async fn age(log: &Log, life: &Life, channel: &ChannelName, to: Position) -> Result<Aged, Error> {
    let Some(head) = life.store.channel(channel).await? else { return Ok(Aged::Done) };
    let has = head.events();
    if head.trimmed_to >= to || has == 0 {
        return Ok(Aged::Done);
    }
    if has == 1 && head.position <= to {
        log.trim_now(life, channel, head.position, head.seq + 1).await?;
        return Ok(Aged::Done);
    }
    let share = PageLimit { events: has.div_ceil(100).min(STEP.events as u64) as usize, ..STEP };
    let page = life.store.page(channel, head.trimmed_to, to.min(life.head()), share).await?;
    let Some(last) = page.events.last() else { return Ok(Aged::Done) };
    log.trim_now(life, channel, last.position, last.seq + 1).await?;
    Ok(Aged::Some(page.events.len() as u64, has))
}

/// How long an event of `channel` is kept.
fn age_of(life: &Life, channel: &ChannelName) -> Option<u64> {
    life.space(channel.namespace()).map_or(Some(AGE_MAX_MS), |space| space.options.age_max_ms)
}

fn time_of(life: &Life, event: &Stored) -> Option<u64> {
    record::decode(life.log, life.epoch, event).ok().map(|event| event.time)
}

/// How long it takes at least until a channel is empty, if all of it is too old at once: 1 % a second.
const CHANNEL_EMPTY_MS: u64 = 100_000;
/// Channels of which something is taken away each second, at most.
const CHANNELS_EACH_SECOND: usize = 1_000;
/// Pages that each walk reads each second, at most.
const PAGES_EACH_SECOND: usize = 16;
/// Channels that wait to be trimmed; a walk rests while there are more. Costs about 100 bytes each.
const DUE_MAX: usize = 65_536;
