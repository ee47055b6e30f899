//! The history checker: from what was published and what each reader was sent, the promises that were broken.
//!
//! Pure: no clock, no sockets, and nothing of the client or the server. Its input is a [`History`]: publishes
//! with their outcome, and per [`Reader`] the observations in the order of the wire (see [`crate::raw`]). The
//! rules are those of the protocol; each [`Kind`] of violation names its own.
//!
//! Two views are judged. *The wire*: each connection must go on exactly from the cursor it was opened with, so a
//! server that repeats something and trusts the client to drop it is caught. *The reader*: over all its
//! connections, every acknowledged event was seen or its loss was told.
//!
//! Not judged: a second subscribe with its own backlog on one connection, and sets that change while followed.

mod chain;
mod dedupe;
mod history;
mod notes;
mod publishes;
mod reader;
mod set;
mod violation;

pub use dedupe::{Dedupe, Fresh};
pub use history::{
    Acked, Begin, CursorFrom, Event, Gap, History, NamespaceKind, Observed, Place, Reader, Seen, Uncertain,
};
pub use violation::{Counts, Kind, Verdict, Violation};

use notes::Notes;
use publishes::Publishes;

/// Judges a history. An empty [`Verdict::violations`] means that no promise was seen broken.
///
/// Costs memory for one entry per publish and per observation, and a copy of a connection's place for each
/// cursor that a later connection was opened with.
pub fn check(history: &History) -> Verdict {
    let mut notes = Notes::default();
    let mut publishes = Publishes::new(history, &mut notes);
    for reader in &history.readers {
        notes.begin(&reader.name);
        reader::check(history, reader, &mut publishes, &mut notes);
    }
    notes.verdict()
}
