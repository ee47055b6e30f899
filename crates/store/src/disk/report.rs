//! What is told to an operator about damage.

use std::{fmt, path::PathBuf};

use sosik_core::cursor::{Epoch, Position};

/// What was found when a log was read whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Rows read, of all tables.
    pub rows: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
    /// Events that can be read.
    pub events: u64,
    /// Channels that have a record.
    pub channels: u64,
    /// What is wrong, at most one entry of each kind; empty if nothing is.
    pub damage: Vec<Damage>,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_whole(&self) -> bool {
        self.damage.is_empty()
    }

    /// Places that are damaged, all kinds together.
    pub fn damaged(&self) -> u64 {
        self.damage.iter().map(|damage| damage.count).sum()
    }

    pub(super) fn add(&mut self, kind: DamageKind, place: impl FnOnce() -> String) {
        let at = match self.damage.iter().position(|damage| damage.kind == kind) {
            Some(at) => at,
            None => {
                self.damage.push(Damage { kind, count: 0, first: Vec::new() });
                self.damage.len() - 1
            }
        };
        let damage = &mut self.damage[at];
        damage.count += 1;
        if damage.first.len() < PLACES_NAMED_MAX {
            damage.first.push(place());
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rows, bytes, events, channels, damage } = self;
        write!(f, "read {rows} rows, {bytes} bytes: {events} events of {channels} channels")?;
        if damage.is_empty() {
            return write!(f, "; nothing is damaged");
        }
        damage.iter().try_for_each(|damage| write!(f, "\n{damage}"))
    }
}

/// Damage of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Damage {
    /// What is wrong.
    pub kind: DamageKind,
    /// In how many places.
    pub count: u64,
    /// The first of these, at most [`PLACES_NAMED_MAX`].
    pub first: Vec<String>,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} × {}: {}", self.count, self.kind, self.first.join(", "))?;
        if self.count > self.first.len() as u64 { write!(f, ", …") } else { Ok(()) }
    }
}

/// What can be wrong in a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum DamageKind {
    /// A table could not be read further: the file below is damaged.
    Unreadable,
    /// An event is not what was written.
    Event,
    /// An event that the order or its channel names is missing.
    MissingEvent,
    /// A row of the order is not what was written, or names another event.
    Order,
    /// An event has no row in the order.
    MissingOrder,
    /// A channel's record is missing, not what was written, or does not fit its events.
    Record,
    /// Something that the log remembers about itself is missing or not what was written.
    Meta,
    /// Less is there than was vouched for, or writes are missing that were followed by others.
    Hole,
}

impl fmt::Display for DamageKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreadable => "unreadable file",
            Self::Event => "damaged event",
            Self::MissingEvent => "missing event",
            Self::Order => "damaged row of the order",
            Self::MissingOrder => "event without a row in the order",
            Self::Record => "damaged record of a channel",
            Self::Meta => "damaged row about the log itself",
            Self::Hole => "missing part",
        })
    }
}

/// Why opening a log began a new epoch. Its text is for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Renewed {
    /// The new epoch.
    pub epoch: Epoch,
    /// The head that was found; positions above it are new.
    pub base: Position,
    /// What was vouched for, and what was found instead.
    pub why: String,
}

impl fmt::Display for Renewed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the log began a new epoch at position {}: {}. Readers with older cursors are told a gap. \
             What can be read is kept; `sosik verify` says what is damaged, and a backup may hold what is missing",
            self.base.number(),
            self.why
        )
    }
}

/// What a repair did.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Repaired {
    /// What was found before.
    pub found: Report,
    /// The new epoch.
    pub epoch: Epoch,
    /// Where the log ends now.
    pub head: Position,
    /// Events that were there and are lost; readers are told a gap in their place.
    pub events_lost: u64,
    /// Records of channels that were made anew.
    pub records_rebuilt: u64,
    /// Where what was there before is kept; it can be deleted once nobody wants to look at it.
    pub old: PathBuf,
}

impl fmt::Display for Repaired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "repaired: {} events lost, {} records of channels made anew; the log began a new epoch at position {}. \
             What was there before is kept in {}: delete it when nobody needs it",
            self.events_lost,
            self.records_rebuilt,
            self.head.number(),
            self.old.display()
        )
    }
}

/// Places that a [`Report`] names for each kind of damage.
pub const PLACES_NAMED_MAX: usize = 10;
