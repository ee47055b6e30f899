//! What one reader was sent, over all its connections, in the order in which the bytes came.

use std::sync::{Arc, Mutex};

use sosik_lab::checker::{Observed, Seen};

/// Notes of one reader, shared by its lines.
#[derive(Debug, Clone, Default)]
pub struct Transcript(Arc<Mutex<Notes>>);

#[derive(Debug, Default)]
struct Notes {
    connections: u64,
    seen: Vec<Seen>,
}

impl Transcript {
    /// A connection begins, asking with this cursor; answers its number.
    pub(super) fn opened(&self, after: Option<&str>) -> u64 {
        let mut notes = self.0.lock().unwrap();
        notes.connections += 1;
        let connection = notes.connections;
        notes.seen.push(Seen { connection, item: Observed::Opened { after: after.map(str::to_owned) } });
        connection
    }

    /// Something came, or the connection is over.
    pub(super) fn note(&self, connection: u64, item: Observed) {
        self.0.lock().unwrap().seen.push(Seen { connection, item });
    }

    /// Everything so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.0.lock().unwrap().seen.clone()
    }
}
