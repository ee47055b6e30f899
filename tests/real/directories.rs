//! Directories on which the real binary must not run: it says so, ends, and does no harm. Those that are not
//! ours, in use, or of another version are in the tests of the commands (`crates/cli/tests/whole/operators.rs`).

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde_json::json;
use sosik_testkit::carriers::TCP;
use sosik_tests::{
    scratch::Scratch,
    sosik::{Ended, Serve, Sosik},
};

use crate::{
    block_on, past,
    up::{Up, place, publish},
};

// Mutant: what refuses a write is taken for damage -> other words than that it cannot be written.
#[test]
fn a_directory_that_cannot_be_written_ends_the_start_and_stays_as_it_is() {
    block_on(async {
        let scratch = Scratch::new().unwrap();
        let data = scratch.path().join("data");
        stored(&data, &scratch).await.kill().await;
        let before = files(&data);
        let script = "mount --bind \"$0\" \"$0\" && mount -o remount,ro,bind \"$0\" && exec \"$@\"";
        let through = ["unshare", "-rm", "sh", "-c", script, data.to_str().unwrap()].map(str::to_owned);
        let serve = Serve { through: through.to_vec(), ..serve() };
        refused(serve.start(&data, scratch.path()).await, &data, &["cannot be written"]);
        assert!(files(&data) == before, "something was written");

        let server = self::serve().start(&data, scratch.path()).await.unwrap();
        assert_eq!(past(&place(&server), "talk:1").await.len(), EVENTS as usize);
    });
}

// Mutant: a log that cannot be read is made anew -> it starts, without its events.
#[test]
fn a_directory_whose_tables_are_damaged_ends_the_start_and_loses_nothing_by_it() {
    block_on(async {
        let scratch = Scratch::new().unwrap();
        let data = scratch.path().join("data");
        stored(&data, &scratch).await.kill().await;
        for file in ["tables/version", "tables/keyspaces/1/current"] {
            let whole = fs::read(data.join(file)).unwrap();
            fs::write(data.join(file), vec![0xff; whole.len()]).unwrap();
            refused(serve().start(&data, scratch.path()).await, &data, &[]);
            let left = fs::read(data.join(file)).unwrap();
            assert!(left.iter().all(|byte| *byte == 0xff), "{file} was made new");
            fs::write(data.join(file), whole).unwrap();
        }
        let server = serve().start(&data, scratch.path()).await.unwrap();
        assert_eq!(past(&place(&server), "talk:1").await.len(), EVENTS as usize);
    });
}

/// It ended before it listened, with the code for a directory, and a message that names it and is no panic.
fn refused(started: Result<Sosik, Ended>, data: &Path, words: &[&str]) {
    let ended = started.expect_err("it started");
    assert_eq!(ended.status.code(), Some(4), "{ended:?}");
    for word in words.iter().copied().chain([data.to_str().unwrap()]) {
        assert!(ended.said.contains(word), "no {word:?} in {ended:?}");
    }
    assert!(!ended.said.contains("panicked"), "{ended:?}");
}

/// A server with some events in `talk:1`.
async fn stored(data: &Path, near: &Scratch) -> Sosik {
    let server = serve().start(data, near.path()).await.unwrap();
    let mut up = Up::open(&TCP, &place(&server)).await.unwrap();
    for id in 0..EVENTS {
        let said = up.say(&publish(id, "talk:1", &json!(id))).await.unwrap();
        assert_eq!(said["type"], "ok", "{said}");
    }
    server
}

fn serve() -> Serve {
    Serve::open(&[("talk", "")])
}

/// Every file below a directory with what is in it. A log has few and small ones here, but its journal: of that the
/// beginning.
fn files(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path));
        } else if path.is_file() {
            let mut bytes = fs::read(&path).unwrap();
            bytes.truncate(1024 * 1024);
            all.insert(path, bytes);
        }
    }
    all
}

const EVENTS: u64 = 10;
