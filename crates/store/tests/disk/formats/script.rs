//! What was written into a log that is kept. To be left as it is: the next format gets a script of its own if it holds
//! more.

use fjall::PersistMode;
use sosik_core::{
    Data, Draft,
    cursor::{Epoch, Position},
    record,
    store::{Batch, Entry, Keep, Memo, MemoKind, Place, Placed, Store},
};
use sosik_store::{Disk, disk::DiskOptions};
use sosik_testkit::store_suite::{channel, memos::memo_key};

use crate::{
    flips::flush,
    kit::Scratch,
    tamper::{rows, table_of},
};

/// Writes the log, half of it in tables and half in a journal, and closes it.
pub(crate) async fn write(scratch: &Scratch) {
    let open = || Script::new(Disk::open(scratch.path(), DiskOptions::new(EPOCH)).unwrap());
    let mut script = open();
    script.early().await;
    drop(script);
    flush(scratch);
    let mut script = open();
    script.batches = 6;
    script.late().await;
    drop(script);
    let before = ["events", "order"].map(|table| rows(scratch, table));
    let script = open();
    let to = script.positions("room:d").await[1];
    script.store.trim(&channel("room:d"), to).await.unwrap();
    drop(script);
    drop(open());
    unfinished(scratch, before, to);
}

/// As if the log had been closed before anything was taken away of what is marked as gone.
fn unfinished(scratch: &Scratch, before: [Vec<(Vec<u8>, Vec<u8>)>; 2], to: Position) {
    for (name, before) in ["events", "order"].into_iter().zip(before) {
        let now = rows(scratch, name);
        let (database, table) = table_of(scratch, name);
        for (key, value) in before.into_iter().filter(|row| !now.contains(row)) {
            table.insert(key, value).unwrap();
        }
        database.persist(PersistMode::SyncAll).unwrap();
    }
    let (database, table) = table_of(scratch, "meta");
    let key = [b"\x02room:d\0".as_slice(), &to.number().to_be_bytes()].concat();
    table.insert(key, []).unwrap();
    database.persist(PersistMode::SyncAll).unwrap();
}

/// Batches by number, each event another one.
pub(crate) struct Script {
    pub(crate) store: Disk,
    pub(crate) batches: u128,
}

impl Script {
    pub(crate) fn new(store: Disk) -> Self {
        Self { store, batches: 0 }
    }

    async fn early(&mut self) {
        let (producer, key) = (MemoKind::Producer, MemoKind::Key);
        self.append(&["room:a"], vec![]).await;
        let memos = vec![
            memo(producer, "room", "one", &[0, 1], LONG),
            memo(key, "room", "order 1", &[2], LONG),
            memo(key, "match", "order 1", &[3], LONG),
        ];
        self.append(&["room:a", "room:a", "room:b", "match:x"], memos).await;
        self.signal("room:typing").await;
        self.append(&["match:x", "room:b", "match:y"], vec![]).await;
        self.trim("room:a", 1).await;
        self.append(&["room:a", "room:c"], vec![memo(producer, "room", "two", &[1], LONG)]).await;
        self.append(&["room:d", "room:d", "room:d"], vec![]).await;
    }

    async fn late(&mut self) {
        let (producer, key) = (MemoKind::Producer, MemoKind::Key);
        self.store.forget(&channel("match:x")).await.unwrap();
        self.append(&["room:a", "match:y"], vec![memo(producer, "room", "one", &[0], LONG)]).await;
        self.append(&["match:x"], vec![]).await;
        self.trim("room:b", 2).await;
        self.trim("room:a", 2).await;
        self.signal("room:typing").await;
        let memos = vec![memo(key, "room", "order 2", &[0], LONG), memo(key, "room", "order 3", &[], LONG)];
        self.append(&["room:c", "room:a"], memos).await;
    }

    /// One event in each channel.
    pub(crate) async fn append(&mut self, names: &[&str], memos: Vec<Memo>) -> Vec<Placed> {
        let mut entries: Vec<Entry> = Vec::new();
        for name in names {
            let before = entries.iter().rposition(|entry| entry.channel == channel(name));
            let place = match before {
                Some(before) => Place::Behind(before as u32),
                None => self.place(name).await,
            };
            entries.push(self.entry(name, place, entries.len(), true));
        }
        self.send(entries, memos).await
    }

    async fn signal(&mut self, name: &str) {
        let entry = self.entry(name, self.place(name).await, 0, false);
        self.send(vec![entry], vec![]).await;
    }

    async fn send(&mut self, entries: Vec<Entry>, memos: Vec<Memo>) -> Vec<Placed> {
        self.batches += 1;
        self.store.append(Batch { id: self.batches, entries, memos }).await.unwrap().placed
    }

    /// The oldest `count` events of those that are left.
    async fn trim(&self, name: &str, count: usize) {
        let to = self.positions(name).await[count - 1];
        self.store.trim(&channel(name), to).await.unwrap();
    }

    async fn positions(&self, name: &str) -> Vec<Position> {
        let page = crate::kit::whole(&self.store, name).await;
        page.events.iter().map(|event| event.position).collect()
    }

    async fn place(&self, name: &str) -> Place {
        let name = channel(name);
        match self.store.channel(&name).await.unwrap() {
            Some(head) => Place::After { seq: head.seq + 1, prev: head.position },
            None => Place::First { prev: self.store.namespace(name.namespace()).await.unwrap().forgotten_to },
        }
    }

    fn entry(&self, name: &str, place: Place, at: usize, kept: bool) -> Entry {
        let (name, number) = (channel(name), self.batches as usize * 4 + at);
        let mut draft = Draft::json(name.clone(), format!(r#"{{"n":{number},"text":"소식 {number}"}}"#));
        if number % 3 == 1 {
            draft.data = Data::Binary((0..=255).cycle().take(number * 7).collect::<Vec<u8>>().into());
            draft.content_type = "application/octet-stream".into();
        }
        if number % 3 == 2 {
            draft.name = "note".into();
            draft.meta = vec![("lang".into(), "ko".into()), ("n".into(), number.to_string().into())];
        }
        let from = if number % 2 == 0 { "" } else { "ari" };
        let body = record::encode(&draft, from, TIME + number as u64, !kept);
        Entry { channel: name, place, body, kept }
    }
}

pub(crate) fn memo(kind: MemoKind, namespace: &str, name: &str, entries: &[u32], keep: Keep) -> Memo {
    let value = format!("what {name} left").into();
    Memo { key: memo_key(kind, namespace, name), value, entries: entries.to_vec(), keep }
}

const EPOCH: Epoch = Epoch::new(0x0123_4567_89ab_cdef);
/// Of the first event.
const TIME: u64 = 1_700_000_000_000;
const LONG: Keep = Keep { most: 1_000, ms: 3_600_000 };
