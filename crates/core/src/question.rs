//! What a reader asks, and what it was answered at: whoever asks the same meanwhile may be given the same answer.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::{
    channel::Channel,
    cursor::{Part, Position},
    error::Error,
    half::Half,
    herald::WatchId,
    life::Life,
    member::{Kind, Member},
    reader::Reader,
    space::Space,
};

/// A set and a cursor: readers with equal questions are told the same as long as their [`Moment`] lasts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Question {
    watches: SmallVec<[WatchId; 2]>,
    told: SmallVec<[Part; 2]>,
}

/// The state of everything that a question is about.
#[derive(Debug)]
pub struct Moment(SmallVec<[At; 1]>);

/// What a reader asks now.
#[derive(Debug)]
pub enum Asked {
    /// Nothing follows its cursor in memory.
    Nothing,
    /// What anybody with its set and cursor would ask.
    Same(Question, Moment),
    /// Something of its own.
    Own,
}

/// One log.
#[derive(Debug)]
struct At {
    life: Arc<Life>,
    head: Position,
    members: SmallVec<[Of; 1]>,
}

/// One channel, or all of a prefix.
#[derive(Debug)]
struct Of {
    space: Arc<Space>,
    channel: Option<Arc<Channel>>,
    marks: u64,
}

impl Reader {
    /// What it asks at `now`. Errors: the grant is over. Its rights were looked at when it was opened.
    pub fn asks(&self, now: u64) -> Result<Asked, Error> {
        self.check(now)?;
        if !self.is_alone() || !self.halves.iter().all(Half::is_plain) {
            return Ok(Asked::Own);
        }
        if self.halves.iter().all(Half::is_quiet) {
            return Ok(Asked::Nothing);
        }
        let question = Question {
            watches: self.watches().collect(),
            told: self.halves.iter().map(|half| half.told).collect(),
        };
        Ok(Asked::Same(question, Moment(self.halves.iter().map(At::of).collect())))
    }
}

impl Moment {
    /// Whether nothing that an answer could tell has changed since: no event has come, and none was taken away.
    pub fn lasts(&self) -> bool {
        self.0.iter().all(At::lasts)
    }
}

impl At {
    fn of(half: &Half) -> Self {
        let head = half.life.head();
        let members = half.members.iter().map(|member| {
            let channel = match &member.kind {
                Kind::Channel(channel) => Some(channel.clone()),
                Kind::Prefix { .. } => None,
            };
            Of { space: member.space.clone(), channel, marks: member.space.marks() }
        });
        Self { life: half.life.clone(), head, members: members.collect() }
    }

    fn lasts(&self) -> bool {
        let now = self.life.head();
        !self.life.is_over()
            && self.members.iter().all(|of| {
                let silent = of.channel.as_ref().is_some_and(|channel| !channel.is_newer_than(self.head));
                (now == self.head || silent) && of.space.marks() == of.marks
            })
    }
}

impl Half {
    /// Whether its set and cursor say everything about it.
    fn is_plain(&self) -> bool {
        self.fetched.is_none()
            && self.ahead_since.is_none()
            && !self.is_foreign()
            && !self.life.is_over()
            && self.told.position <= self.life.head()
            && self.members.iter().all(Member::is_plain)
    }

    fn is_quiet(&self) -> bool {
        self.place >= self.life.head() || self.members.iter().all(|member| member.is_quiet(self.place))
    }
}

impl Member {
    fn is_plain(&self) -> bool {
        let floors = match &self.kind {
            Kind::Channel(_) => false,
            Kind::Prefix { floors, .. } => !floors.is_empty(),
        };
        !floors && self.floor == Position::START && self.forgotten_floor == Default::default()
    }

    /// Whether there is neither an event nor a mark above `place`.
    fn is_quiet(&self, place: Position) -> bool {
        match &self.kind {
            Kind::Channel(channel) => channel.is_quiet(place, self.space.forgotten_to()),
            Kind::Prefix { .. } => false,
        }
    }
}
