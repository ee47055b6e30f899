//! Directories, and appends in one line.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use sosik_core::{
    cursor::{Epoch, Position},
    store::{Batch, Entry, Page, Place, Placed, Store},
};
use sosik_store::{Disk, disk::DiskOptions};
pub(crate) use sosik_testkit::Scratch;
use sosik_testkit::store_suite::{ALL, channel, entry};

/// As in production, with a random epoch.
pub(crate) fn options() -> DiskOptions {
    DiskOptions::new(Epoch::new(fastrand::u64(..)))
}

/// One entry behind what the channel holds; `First` below `mark` when it has no record.
pub(crate) async fn next(store: &Disk, name: &str, mark: Position, data: &str, kept: bool) -> Entry {
    let name = channel(name);
    let place = match store.channel(&name).await.unwrap() {
        Some(head) => Place::After { seq: head.seq + 1, prev: head.position },
        None => Place::First { prev: mark },
    };
    entry(&name, place, data, kept)
}

/// Appends one event as a batch of its own.
pub(crate) async fn append(store: &Disk, id: u128, name: &str) -> Placed {
    let entries = vec![next(store, name, Position::START, &format!("{id}"), true).await];
    store.append(Batch::new(id, entries)).await.unwrap().placed[0]
}

/// All that is left of a channel.
pub(crate) async fn whole(store: &Disk, name: &str) -> Page {
    store.page(&channel(name), Position::START, Position::END, ALL).await.unwrap()
}

/// This test program once more, running `test` alone with `directory` to work in.
pub(crate) fn child(mut program: Command, test: &str, directory: &Path) -> Command {
    program.args([test, "--exact", "--nocapture", "--test-threads=1"]).env(CHILD, directory);
    program
}

/// The directory to work in, when this process is a child.
pub(crate) fn child_directory() -> Option<PathBuf> {
    env::var_os(CHILD).map(PathBuf::from)
}

const CHILD: &str = "SOSIK_DISK_TEST_DIRECTORY";
