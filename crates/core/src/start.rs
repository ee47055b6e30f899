//! Where reading begins: `now`, `start`, `last=N` and cursors (rules 1 and 7).

use std::{collections::BTreeSet, sync::Arc};

use tokio::sync::Semaphore;

use crate::{
    channel::Channel,
    cursor::{Cursor, Position},
    error::Error,
    life::Life,
    limits::LAST_MAX,
    member::{Kind, Member},
};

/// Where a reader wants to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// With what comes next.
    Now,
    /// With everything; what was trimmed is told as a gap.
    Beginning,
    /// With the last events of each channel, or of each whole prefix; at most [`LAST_MAX`].
    Last(u64),
    /// Behind what the cursor has seen.
    After(Cursor),
}

impl Start {
    /// Reads `after` and `last` as requests carry them; `after` wins.
    pub fn parse(after: Option<&str>, last: Option<u64>) -> Result<Self, Error> {
        match (after, last) {
            (Some("now"), _) => Ok(Self::Now),
            (Some("start"), _) => Ok(Self::Beginning),
            (Some(text), _) => Ok(Self::After(Cursor::parse(text)?)),
            (None, Some(last)) if last > LAST_MAX => {
                Err(Error::Limit { what: "events may be asked for with `last`", most: LAST_MAX as usize })
            }
            (None, Some(last)) => Ok(Self::Last(last)),
            (None, None) => Ok(Self::Now),
        }
    }
}

/// The greatest last-or-trimmed position of the set; of a channel without a record, its namespace's mark.
pub(crate) fn now(members: &[Member]) -> Position {
    members.iter().map(now_of).max().unwrap_or_default()
}

fn now_of(member: &Member) -> Position {
    match &member.kind {
        Kind::Channel(channel) => match channel.head() {
            Some(head) => head.position.max(head.trimmed_to),
            None => member.space.forgotten_to(),
        },
        Kind::Prefix { prefix, .. } => {
            let index = member.space.index();
            let last = |index: &crate::space::Index| {
                let last = index.changed(prefix, Position::START).next_back().map(|(position, _)| position);
                let trimmed = index.trimmed(prefix, Position::START, Position::END).next_back();
                last.max(trimmed.map(|(position, _)| position))
            };
            index.as_ref().and_then(last).unwrap_or_default().max(member.space.forgotten_to())
        }
    }
}

/// Sets the floors for `last = count` and answers where the feed starts: at the lowest of them. Signals are skipped.
pub(crate) async fn last(
    life: &Life,
    permits: &Semaphore,
    members: &mut [Member],
    count: u64,
) -> Result<Position, Error> {
    let mut lowest = None;
    for member in members.iter_mut() {
        // Before the store is asked: what is forgotten meanwhile was asked for.
        let forgets = member.space.forgets();
        member.forgotten_floor = (member.space.forgotten_to(), forgets);
        let floor = match &member.kind {
            _ if member.is_signal() => None,
            Kind::Channel(channel) => {
                Some(last_of_channel(life, permits, channel, count, member.space.forgotten_to()).await?)
            }
            Kind::Prefix { .. } => Some(last_of_prefix(life, permits, member, count).await?),
        };
        member.floor = floor.unwrap_or_else(|| now_of(member));
        lowest = lowest.into_iter().chain(floor).min();
    }
    Ok(lowest.unwrap_or_else(|| now(members)))
}

/// Signals have no beginning: they start with what comes next.
pub(crate) fn skip_signals(members: &mut [Member]) {
    for member in members.iter_mut().filter(|member| member.is_signal()) {
        member.floor = now_of(member);
    }
}

/// `prev` of the N-th last event, or `trimmed_to` when fewer are left.
async fn last_of_channel(
    life: &Life,
    permits: &Semaphore,
    channel: &Channel,
    count: u64,
    forgotten_to: Position,
) -> Result<Position, Error> {
    let Some(head) = channel.head() else { return Ok(forgotten_to) };
    let newest = newest(life, permits, channel, count).await?;
    if count == 0 {
        return Ok(head.position.max(head.trimmed_to));
    }
    // The first event of a name that was forgotten before has a `prev` of its own.
    let before = newest.last().map_or(head.trimmed_to, |&(_, prev)| prev);
    Ok(if newest.len() as u64 == count { before } else { before.max(head.trimmed_to) })
}

/// N counts over the whole prefix: the floor is the event before the N newest, and channels that were trimmed above it
/// have a floor of their own, so that no gap is told for what was not asked.
async fn last_of_prefix(
    life: &Life,
    permits: &Semaphore,
    member: &mut Member,
    count: u64,
) -> Result<Position, Error> {
    let Kind::Prefix { prefix, floors, .. } = &mut member.kind else { return Ok(Position::START) };
    let channels: Vec<_> = {
        let index = member.space.index();
        let changed = index.iter().flat_map(|index| index.changed(prefix, Position::START).rev());
        changed.map(|(last, channel)| (last, channel.clone())).collect()
    };
    let mut newest_of_all = BTreeSet::new();
    let mut firsts = Vec::new();
    for (last, channel) in channels {
        let full = newest_of_all.len() as u64 > count;
        if full && newest_of_all.first().is_some_and(|lowest| last < *lowest) {
            break;
        }
        let own = newest(life, permits, &channel, count + 1).await?;
        if let Some(&(_, prev)) = own.last().filter(|_| own.len() as u64 <= count) {
            firsts.push((prev, channel));
        }
        newest_of_all.extend(own.iter().map(|(position, _)| *position));
        while newest_of_all.len() as u64 > count + 1 {
            newest_of_all.pop_first();
        }
    }
    let floor = match newest_of_all.len() as u64 > count {
        true => newest_of_all.first().copied().unwrap_or_default(),
        false => Position::START,
    };
    let index = member.space.index();
    let trimmed = index.iter().flat_map(|index| index.trimmed(prefix, floor, Position::END));
    let trimmed = trimmed.map(|(mark, channel)| (mark, channel.clone()));
    for (mark, channel) in firsts.into_iter().chain(trimmed).filter(|(mark, _)| *mark > floor) {
        let own = floors.entry(channel.name.clone()).or_default();
        *own = mark.max(*own);
    }
    Ok(floor)
}

/// Positions and `prev` of the newest kept events, newest first, from memory or from the store.
async fn newest(
    life: &Life,
    permits: &Semaphore,
    channel: &Channel,
    count: u64,
) -> Result<Arc<[(Position, Position)]>, Error> {
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    match channel.newest(count) {
        Some(newest) => Ok(newest.into()),
        None => Ok(life.newest.read(life, permits, channel, count).await?),
    }
}
