//! Commits that are missing in some of the tables, as damage in a journal leaves them.

use std::collections::BTreeMap;

use fjall::{Database, KeyspaceCreateOptions, PersistMode};
use sosik_testkit::{seed::seeds, store_suite::block_on};

use crate::{
    kit::Scratch,
    oracle::{Files, Original, STEPS},
};

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

fn tables(scratch: &Scratch) -> [Rows; 6] {
    let database = Database::builder(scratch.path().join("tables")).open().unwrap();
    TABLES.map(|name| {
        let table = database.keyspace(name, KeyspaceCreateOptions::default).unwrap();
        let rows = table.iter().map(|row| row.into_inner().unwrap());
        rows.map(|(key, value)| (key.to_vec(), value.to_vec())).collect()
    })
}

/// Brings those tables back to what they were, whose bit is set in `which`.
fn set_back(scratch: &Scratch, which: usize, before: &[Rows; 6]) {
    let now = tables(scratch);
    let database = Database::builder(scratch.path().join("tables")).open().unwrap();
    for (at, name) in TABLES.into_iter().enumerate().filter(|(at, _)| which & (1 << at) != 0) {
        let table = database.keyspace(name, KeyspaceCreateOptions::default).unwrap();
        for key in now[at].keys().filter(|key| !before[at].contains_key(*key)) {
            table.remove(key.clone()).unwrap();
        }
        for (key, value) in &before[at] {
            table.insert(key.clone(), value.clone()).unwrap();
        }
    }
    database.persist(PersistMode::SyncAll).unwrap();
}

// Mutants: the rings not read; the witness not compared at the start; what is left not mended -> each fails.
#[test]
fn commits_that_are_missing_in_any_of_the_tables_are_never_passed_over() {
    block_on(async {
        let scratch = Scratch::new();
        let mut original = Original::new(&scratch.open()).await;
        let mut states = Vec::new();
        for (id, step) in STEPS.into_iter().enumerate() {
            states.push(tables(&scratch));
            let store = scratch.open();
            original.step(&store, step, id as u128).await;
        }
        let files = Files::read(scratch.path());
        let cases = STEPS.len() * 63;
        for seed in seeds(60).take(cases) {
            // A prime: all cases come once, whatever their number.
            let case = seed.number() as usize * 47 % cases;
            let (back, which) = (case / 63, case % 63 + 1);
            let scratch = Scratch::new();
            files.write(&scratch);
            set_back(&scratch, which, &states[STEPS.len() - 1 - back]);
            let store = scratch.open();
            let renewed = store.renewed().unwrap_or_else(|| panic!("{back} steps of tables {which:#b}"));
            assert!(!renewed.why.is_empty());
            original.check(&store, files.vouched()).await;
            drop(store);
            assert_eq!(scratch.open().renewed(), None, "{back} steps of tables {which:#b}: renewed twice");
        }
    });
}

const TABLES: [&str; 6] = ["events", "order", "channels", "meta", "producers", "keys"];
