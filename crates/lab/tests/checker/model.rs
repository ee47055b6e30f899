//! A naive server with two logs and readers that are cut, resumed and moved: it makes histories in which no
//! promise is broken. Everything is drawn from one seed.

mod client;
mod log;

use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;
use sosik_lab::checker::{
    Acked, Begin, CursorFrom, History, NamespaceKind, Observed, Place, Reader, Uncertain,
};

use self::{
    client::{Client, Connection, parse, see},
    log::Log,
};

const CHANNELS: [&[&str]; 2] = [
    &["room:1", "room:2", "match:1", "match:2", "match:3", "once:1", "once:2"],
    &["game:1", "game:2", "typing:1"],
];

const SETS: [&[&str]; 6] = [
    &["room:1"],
    &["room:1", "room:2", "match:*"],
    &["match:*", "game:*"],
    &["room:2", "game:1", "typing:1"],
    &["once:*", "once:1", "room:1"],
    &["room:1", "room:2", "match:*", "once:*", "game:*", "typing:*"],
];

/// A history in which every promise is kept.
pub(crate) fn history(seed: u64) -> History {
    let mut world = World::new(seed);
    let steps = world.rng.usize(50..250);
    for _ in 0..steps {
        world.step();
    }
    world.finish()
}

struct World {
    rng: Rng,
    logs: [Log; 2],
    clients: Vec<Client>,
    history: History,
    bodies: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let logs = [Log::new(epoch(&mut rng)), Log::new(epoch(&mut rng))];
        let history = History {
            namespaces: BTreeMap::from([
                ("once".to_owned(), NamespaceKind::Forgetful),
                ("typing".to_owned(), NamespaceKind::Signal),
            ]),
            trimmed_to: Some(BTreeMap::new()),
            ..History::default()
        };
        Self { rng, logs, clients: Vec::new(), history, bodies: 0 }
    }

    fn step(&mut self) {
        match self.rng.u32(0..100) {
            0..40 => self.publish(),
            40..45 => self.trim(),
            45..47 => self.forget(),
            47..49 => self.expire_signals(),
            49 => self.restart(),
            50..55 if self.clients.len() < 6 => self.arrive(),
            _ if !self.clients.is_empty() => {
                let at = self.rng.usize(..self.clients.len());
                self.act(at);
            }
            _ => {}
        }
    }

    fn publish(&mut self) {
        let which = self.rng.usize(..2);
        let channel = *self.rng.choice(CHANNELS[which]).unwrap();
        self.bodies += 1;
        let body = format!("{{\"n\":{}}}", self.bodies).into_bytes();
        let answered = self.rng.u32(..10) > 0;
        if !answered {
            self.history.uncertain.push(Uncertain { channel: channel.to_owned(), body: body.clone() });
            if self.rng.bool() {
                return;
            }
        }
        let log = &mut self.logs[which];
        let (seq, position) = log.append(channel, &body, self.rng.u64(1..4));
        if answered {
            let (channel, epoch) = (channel.to_owned(), log.epoch.clone());
            self.history.acked.push(Acked { channel, epoch, seq, body, position: Some(position) });
        }
    }

    fn trim(&mut self) {
        let which = self.rng.usize(..2);
        let channel = *self.rng.choice(CHANNELS[which]).unwrap();
        if !channel.starts_with("typing") {
            let keep = self.rng.usize(..4);
            if let Some(seq) = self.logs[which].trim(channel, keep) {
                self.note_trimmed(which, channel, seq);
            }
        }
    }

    fn forget(&mut self) {
        let channel = if self.rng.bool() { "once:1" } else { "once:2" };
        if let Some(seq) = self.logs[0].forget(channel) {
            self.note_trimmed(0, channel, seq);
        }
    }

    fn note_trimmed(&mut self, which: usize, channel: &str, seq: u64) {
        let key = (self.logs[which].epoch.clone(), channel.to_owned());
        self.history.trimmed_to.as_mut().unwrap().insert(key, seq);
    }

    fn expire_signals(&mut self) {
        self.logs[1].events.retain(|event| !event.channel.starts_with("typing"));
    }

    /// The memory log is gone, or the disk log is put back to an earlier moment.
    fn restart(&mut self) {
        let which = self.rng.usize(..2);
        let epoch = epoch(&mut self.rng);
        let log = &mut self.logs[which];
        self.history.ended_epochs.insert(log.epoch.clone());
        if which == 1 {
            *log = Log::new(epoch);
        } else {
            let base = log.head - log.head.min(self.rng.u64(..12));
            log.restore(base, epoch.clone());
            let trimmed = self.history.trimmed_to.as_mut().unwrap();
            for channel in CHANNELS[0] {
                trimmed.insert((epoch.clone(), (*channel).to_owned()), log.trimmed_seq(channel));
            }
        }
        for client in &mut self.clients {
            for connection in std::mem::take(&mut client.open) {
                see(client, connection.number, Observed::Closed);
            }
        }
    }

    fn arrive(&mut self) {
        let set: Vec<String> = self.rng.choice(SETS).unwrap().iter().map(|s| (*s).to_owned()).collect();
        let drained = self.rng.u32(..4) > 0;
        let name = format!("reader {}", self.clients.len());
        let reader = Reader { name, set, begin: Begin::Start, drained, seen: Vec::new() };
        let mut client = Client { reader, open: Vec::new(), cursor: None, connections: 0 };
        let named = !client.reader.set.iter().any(|entry| entry.ends_with('*'));
        let mut places = [None, None];
        let mut floors = BTreeMap::new();
        let kind = self.rng.u32(..5);
        let mut begin = Vec::new();
        for (which, log) in self.logs.iter().enumerate() {
            if !CHANNELS[which].iter().any(|channel| follows(&client.reader.set, channel)) {
                continue;
            }
            let mut place = if kind < 2 { 0 } else { log.head };
            for channel in CHANNELS[which].iter().filter(|channel| follows(&client.reader.set, channel)) {
                let mut seq = log.last_seq(channel);
                if kind == 2 && named {
                    let (floor, floor_seq) = log.floor(channel, 3);
                    floors.insert((*channel).to_owned(), floor);
                    place = place.min(floor);
                    seq = floor_seq;
                }
                if seq > 0 {
                    begin.push(Place { channel: (*channel).to_owned(), epoch: log.epoch.clone(), seq });
                }
            }
            places[which] = Some((log.epoch.clone(), place));
        }
        client.reader.begin = match kind {
            0 | 1 => Begin::Start,
            2 if named => Begin::Last(begin),
            2 | 3 => Begin::At(begin),
            _ => Begin::Anywhere,
        };
        let after = if kind < 2 { Some("start".to_owned()) } else { None };
        client.welcome(places, floors, after);
        self.clients.push(client);
    }

    fn act(&mut self, at: usize) {
        let action = self.rng.u32(..10);
        let poll = self.rng.u32(..4) == 0;
        let client = &mut self.clients[at];
        match (action, client.open.len()) {
            (_, 0) if poll => self.poll(at),
            (_, 0) => client.reopen(),
            (0, _) => {
                // A cut: whatever the client last read stands.
                let number = client.open.pop().unwrap().number;
                see(client, number, Observed::Closed);
                client.close_all();
            }
            (1, 1) => {
                let after = client.cursor.clone().unwrap();
                let places = parse(&after);
                client.welcome_over(places, Some(after));
            }
            (2, 2) => client.break_old(),
            _ => {
                let which = self.rng.usize(..client.open.len());
                self.pump(at, which);
            }
        }
    }

    /// Part of a page of one log, to one connection.
    fn pump(&mut self, at: usize, which: usize) -> usize {
        let log = self.rng.usize(..2);
        self.pump_log(at, which, log)
    }

    fn pump_log(&mut self, at: usize, which: usize, log: usize) -> usize {
        let client = &mut self.clients[at];
        let Some(connection) = client.open.get_mut(which) else { return 1 };
        let items = connection.look(&client.reader.set, log, &self.logs[log], &mut self.rng);
        let number = connection.number;
        let mut wanted = self.rng.usize(1..8).min(items.len());
        // A server goes on after what it has written; only a cut parts the items of one position.
        let cut = self.rng.u32(..10) == 0;
        while !cut
            && wanted > 0
            && items.get(wanted).is_some_and(|next| next.position == items[wanted - 1].position)
        {
            wanted += 1;
        }
        for index in 0..wanted {
            let same = items.get(index + 1).is_some_and(|next| next.position == items[index].position);
            let connection = &mut client.open[which];
            if !same {
                connection.places[log] = Some((self.logs[log].epoch.clone(), items[index].position));
            }
            let cursor = connection.cursor();
            let item = items[index].observe(&self.logs[log].epoch, Some(cursor.clone()));
            see(client, number, item);
            client.hand(number, cursor);
        }
        if cut {
            client.close_all();
            return wanted;
        }
        if wanted == items.len() && self.rng.u32(..4) == 0 {
            let cursor = client.open[which].cursor();
            see(client, number, Observed::Cursor { from: CursorFrom::CaughtUp, cursor: cursor.clone() });
            client.hand(number, cursor);
        }
        wanted
    }

    fn poll(&mut self, at: usize) {
        let client = &mut self.clients[at];
        let after = client.cursor.clone().unwrap();
        client.connections += 1;
        let number = client.connections;
        see(client, number, Observed::Opened { after: Some(after.clone()) });
        if self.rng.u32(..5) > 0 {
            let mut connection = Connection { number, places: parse(&after), floors: BTreeMap::new() };
            for log in 0..2 {
                let items = connection.look(&client.reader.set, log, &self.logs[log], &mut self.rng);
                for item in &items {
                    see(client, number, item.observe(&self.logs[log].epoch, None));
                }
                if let Some(last) = items.last() {
                    connection.places[log] = Some((self.logs[log].epoch.clone(), last.position));
                }
            }
            let cursor = connection.cursor();
            see(client, number, Observed::Cursor { from: CursorFrom::Answer, cursor: cursor.clone() });
            client.cursor = Some(cursor);
        }
        see(client, number, Observed::Closed);
    }

    fn finish(mut self) -> History {
        for at in 0..self.clients.len() {
            while self.clients[at].open.len() > 1 {
                self.clients[at].break_old();
            }
            if self.clients[at].open.is_empty() {
                self.clients[at].reopen();
            }
            if self.clients[at].reader.drained {
                while self.pump_log(at, 0, 0) + self.pump_log(at, 0, 1) > 0 {
                    if self.clients[at].open.is_empty() {
                        self.clients[at].reopen();
                    }
                }
            }
        }
        self.history.readers = self.clients.into_iter().map(|client| client.reader).collect();
        self.history
    }
}

fn epoch(rng: &mut Rng) -> String {
    format!("{:06x}", rng.u32(..1 << 24))
}

pub(crate) fn matches(pattern: &str, channel: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == channel, |prefix| channel.starts_with(prefix))
}

pub(crate) fn follows(set: &[String], channel: &str) -> bool {
    set.iter().any(|pattern| matches(pattern, channel))
}

/// Readers' channels, for tests that need one that nobody follows.
pub(crate) fn all_channels() -> BTreeSet<&'static str> {
    CHANNELS.concat().into_iter().collect()
}
