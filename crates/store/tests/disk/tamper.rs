//! Changing what lies on the disk behind the log's back: rows through the engine, bytes without it.

use std::{fs, path::Path};

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use crate::kit::Scratch;

/// Changes the rows of one table behind the log's back.
pub(crate) fn tamper(scratch: &Scratch, table: &str, change: impl Fn(&[u8], &mut Vec<u8>) -> bool) {
    let rows = rows(scratch, table);
    let (database, table) = table_of(scratch, table);
    for (key, mut value) in rows {
        if !change(&key, &mut value) {
            table.remove(key).unwrap();
        } else {
            table.insert(key, value).unwrap();
        }
    }
    database.persist(PersistMode::SyncAll).unwrap();
}

/// Changes a byte in every file below `directory` that has `text` in it, and answers how many there are.
pub(crate) fn flip(directory: &Path, text: &[u8]) -> usize {
    let mut flipped = 0;
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            flipped += flip(&path, text);
            continue;
        }
        let mut bytes = fs::read(&path).unwrap();
        if let Some(at) = bytes.windows(text.len()).position(|window| window == text) {
            bytes[at] ^= 1;
            fs::write(&path, bytes).unwrap();
            flipped += 1;
        }
    }
    flipped
}

pub(crate) fn table_of(scratch: &Scratch, table: &str) -> (Database, Keyspace) {
    let database = Database::builder(scratch.path().join("tables")).open().unwrap();
    let table = database.keyspace(table, KeyspaceCreateOptions::default).unwrap();
    (database, table)
}

/// The rows of the log itself in a table.
pub(crate) fn rows(scratch: &Scratch, table: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    let (_database, table) = table_of(scratch, table);
    let rows = table.iter().map(|row| row.into_inner().unwrap());
    let rows = rows.filter(|(key, _)| !key.starts_with(&[0xff, 0xff]));
    rows.map(|(key, value)| (key.to_vec(), value.to_vec())).collect()
}
