//! What a client has asked for, and which events that means.

use std::collections::HashSet;

use sosik_core::{LogId, Pattern, Position, Start};

use crate::{kit::truth::Fact, world::World};

/// One channel or prefix of the set, and which of its events were asked for.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) pattern: Pattern,
    pub(crate) log: LogId,
    pub(crate) signal: bool,
    from: From,
    /// The token of its join, while it has a backlog.
    pub(crate) joining: Option<u64>,
}

#[derive(Debug, Clone)]
enum From {
    /// Everything above.
    Above(Position),
    /// What was there and was counted, and everything above the head; between the two heads either way.
    Chosen { chosen: HashSet<Position>, head: (Position, Position) },
    /// Of an earlier life: everything of this one, behind a gap.
    Epoch,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    Yes,
    Maybe,
    No,
}

impl Asked {
    pub(crate) fn wants(&self, fact: &Fact) -> Wanted {
        if !self.pattern.matches(&fact.stored.channel) {
            return Wanted::No;
        }
        let at = fact.stored.position;
        let yes = match &self.from {
            From::Epoch => true,
            From::Above(from) => at > *from,
            From::Chosen { head: (before, after), .. } if at > *before && at <= *after => {
                return Wanted::Maybe;
            }
            From::Chosen { chosen, head } => chosen.contains(&at) || at > head.1,
        };
        match yes {
            true if self.signal => Wanted::Maybe,
            true => Wanted::Yes,
            false => Wanted::No,
        }
    }
}

/// What asking for `set` from `start` asks for.
pub(crate) fn ask(
    world: &World,
    set: &[Pattern],
    start: &Start,
    before: [u64; 2],
    joining: Option<u64>,
) -> Vec<Asked> {
    let one = |pattern: &Pattern| {
        let space = world.space(pattern.namespace());
        let log = space.log;
        let truth = world.truth(log).lock().unwrap();
        // While something moves, what is the newest is a matter of opinion.
        let moving = truth.clock != before[log.index()] || truth.removing > 0;
        let head = (if moving { Position::START } else { truth.head() }, truth.head());
        let chosen = |count: u64| {
            let own = truth.facts.iter().rev().filter(|fact| {
                pattern.matches(&fact.stored.channel) && fact.removed.is_none() && fact.stored.kept
            });
            From::Chosen { chosen: own.take(count as usize).map(|fact| fact.stored.position).collect(), head }
        };
        let from = match start {
            Start::Now => chosen(0),
            Start::Beginning if space.signal => chosen(0),
            Start::Beginning => From::Above(Position::START),
            Start::Last(_) if space.signal => chosen(0),
            Start::Last(count) => chosen(*count),
            Start::After(cursor) => match cursor.part(log) {
                None => chosen(0),
                Some(part) if part.epoch != truth.epoch => From::Epoch,
                Some(part) => From::Above(part.position),
            },
        };
        Asked { pattern: pattern.clone(), log, signal: space.signal, from, joining }
    };
    // What another of the set covers is not asked for by itself.
    let alone = set.iter().enumerate().filter(|(i, own)| {
        !set.iter().enumerate().any(|(j, other)| other.covers(own) && (other != *own || j < *i))
    });
    alone.map(|(_, pattern)| one(pattern)).collect()
}

/// How much has happened: what [`ask`] wants to know of the time before something was asked for.
pub(crate) fn clocks(world: &World) -> [u64; 2] {
    LogId::ALL.map(|log| {
        let truth = world.truth(log).lock().unwrap();
        if truth.removing > 0 { u64::MAX } else { truth.clock }
    })
}
