//! What a reader does: it opens, is cut, resumes and moves, and writes down what it sees.

use std::collections::BTreeMap;

use fastrand::Rng;
use sosik_lab::checker::{CursorFrom, Observed, Reader, Seen};

use super::{
    CHANNELS,
    log::{Item, Log},
    matches,
};

/// A reader with its connections: none when cut, one, or two while it moves.
pub(super) struct Client {
    pub(super) reader: Reader,
    pub(super) open: Vec<Connection>,
    pub(super) cursor: Option<String>,
    pub(super) connections: u64,
}

pub(super) struct Connection {
    pub(super) number: u64,
    pub(super) places: [Option<(String, u64)>; 2],
    pub(super) floors: BTreeMap<String, u64>,
}

impl Client {
    pub(super) fn welcome(
        &mut self,
        places: [Option<(String, u64)>; 2],
        floors: BTreeMap<String, u64>,
        after: Option<String>,
    ) {
        self.connections += 1;
        let number = self.connections;
        let connection = Connection { number, places, floors };
        let cursor = connection.cursor();
        see(self, number, Observed::Opened { after });
        see(self, number, Observed::Cursor { from: CursorFrom::Welcome, cursor: cursor.clone() });
        self.open.push(connection);
        self.hand(number, cursor);
    }

    pub(super) fn welcome_over(&mut self, places: [Option<(String, u64)>; 2], after: Option<String>) {
        self.welcome(places, BTreeMap::new(), after);
    }

    pub(super) fn reopen(&mut self) {
        let after = self.cursor.clone().unwrap();
        self.welcome_over(parse(&after), Some(after));
    }

    /// The new connection takes over, with its own cursor.
    pub(super) fn break_old(&mut self) {
        let old = self.open.remove(0).number;
        see(self, old, Observed::Closed);
        self.cursor = Some(self.open[0].cursor());
    }

    pub(super) fn close_all(&mut self) {
        for connection in std::mem::take(&mut self.open) {
            see(self, connection.number, Observed::Closed);
        }
    }

    /// Only the older connection's frames move the client's cursor while two are open.
    pub(super) fn hand(&mut self, number: u64, cursor: String) {
        if self.open.first().is_some_and(|connection| connection.number == number) {
            self.cursor = Some(cursor);
        }
    }
}

impl Connection {
    pub(super) fn cursor(&self) -> String {
        let parts = self.places.iter().map(|place| match place {
            Some((epoch, position)) => format!("{epoch}.{position}"),
            None => String::new(),
        });
        parts.collect::<Vec<_>>().join(",")
    }

    pub(super) fn look(&self, set: &[String], which: usize, log: &Log, rng: &mut Rng) -> Vec<Item> {
        let Some((epoch, position)) = &self.places[which] else { return Vec::new() };
        if *epoch == log.epoch {
            return log.page(set, *position, &self.floors, rng);
        }
        let patterns: Vec<&String> = set
            .iter()
            .filter(|entry| CHANNELS[which].iter().any(|channel| matches(entry, channel)))
            .filter(|entry| !entry.starts_with("typing"))
            .collect();
        let mut items: Vec<Item> = patterns.iter().map(|pattern| log.epoch_gap(pattern)).collect();
        items.extend(log.page(set, log.base, &BTreeMap::new(), rng));
        items
    }
}

pub(super) fn see(client: &mut Client, connection: u64, item: Observed) {
    client.reader.seen.push(Seen { connection, item });
}

pub(super) fn parse(cursor: &str) -> [Option<(String, u64)>; 2] {
    let mut parts = cursor.split(',').map(|part| {
        let (epoch, position) = part.split_once('.')?;
        Some((epoch.to_owned(), position.parse().unwrap()))
    });
    [parts.next().unwrap(), parts.next().unwrap()]
}
