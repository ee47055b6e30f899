//! Directories that are in use, not ours, or of another version.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
};

use sosik_store::disk::OpenError;
use sosik_testkit::store_suite::block_on;

use crate::kit::{Scratch, append, options, whole};

// Mutant: no lock of our own -> the second open answers late and in the engine's words.
#[test]
fn a_second_open_is_refused_as_long_as_the_first_lives() {
    let scratch = Scratch::new();
    let store = scratch.open();
    let follow = sosik_core::Store::follow(&store, sosik_core::Position::START);
    assert!(matches!(scratch.try_open(), Err(OpenError::InUse(path)) if path == scratch.path()));
    drop(store);
    assert!(matches!(scratch.try_open(), Err(OpenError::InUse(_))), "a follower still has it");
    drop(follow);
    for _ in 0..5 {
        drop(scratch.open());
    }
}

// Mutant: the check left out -> a lock and tables appear between somebody's photographs.
#[test]
fn a_directory_of_somebody_else_is_refused_and_left_alone() {
    let scratch = Scratch::new();
    fs::create_dir(scratch.path()).unwrap();
    fs::write(scratch.path().join("photo.jpg"), "x").unwrap();
    assert!(matches!(scratch.try_open(), Err(OpenError::Foreign(_))));
    fs::remove_file(scratch.path().join("photo.jpg")).unwrap();
    fs::write(scratch.path().join("format"), "pdf\n").unwrap();
    assert!(matches!(scratch.try_open(), Err(OpenError::Foreign(_))));
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 1);
    let file = Scratch::new();
    fs::write(file.path(), "x").unwrap();
    assert!(matches!(file.try_open(), Err(OpenError::Io { .. })));
    fs::remove_file(file.path()).unwrap();
}

// Mutant: any marker of ours taken for the present one -> opened.
#[test]
fn another_format_is_refused_by_its_number() {
    let scratch = Scratch::new();
    drop(scratch.open());
    let marker = scratch.path().join("format");
    let own = fs::read_to_string(&marker).unwrap();
    fs::write(&marker, own.replace('1', "2")).unwrap();
    let error = scratch.try_open().unwrap_err();
    assert!(matches!(&error, OpenError::Format { found, .. } if found == "2"), "{error}");
    assert!(error.to_string().contains("reads format 1"), "{error}");
    fs::write(&marker, own).unwrap();
    drop(scratch.open());
}

// Mutant: directories made with the default mode -> 0755.
#[test]
fn only_the_owner_may_look_inside() {
    let scratch = Scratch::new();
    let store = scratch.open();
    let mode = |name: &str| fs::metadata(scratch.path().join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!([mode(""), mode("tables")], [0o700; 2]);
    assert_eq!([mode("lock"), mode("format")], [0o600; 2]);
    drop(store);
}

// Mutant: a missing marker taken for a fresh directory whatever lies in it -> the log is thrown away.
#[test]
fn a_log_without_its_marker_is_not_overwritten() {
    block_on(async {
        let scratch = Scratch::new();
        append(&scratch.open(), 1, "room:a").await;
        let marker = scratch.path().join("format");
        let own = fs::read(&marker).unwrap();
        fs::remove_file(&marker).unwrap();
        assert!(matches!(scratch.try_open(), Err(OpenError::Foreign(_))));
        fs::write(&marker, own).unwrap();
        assert_eq!(whole(&scratch.open(), "room:a").await.events.len(), 1);
    });
}

// Mutant: what a first open left half-made kept -> it cannot be opened any more.
#[test]
fn a_first_open_that_was_interrupted_begins_anew() {
    let scratch = Scratch::new();
    drop(scratch.open());
    fs::write(scratch.path().join("format"), "sosik log begun, format 1\n").unwrap();
    fs::remove_file(scratch.path().join("tables/lock")).unwrap();
    drop(scratch.open());
}

#[test]
fn a_directory_that_cannot_be_written_is_told_so() {
    let scratch = Scratch::new();
    fs::create_dir(scratch.path()).unwrap();
    fs::set_permissions(scratch.path(), Permissions::from_mode(0o500)).unwrap();
    // The superuser may write everywhere, except where there is nothing to write to.
    let writable = fs::write(scratch.path().join("lock"), "").is_ok();
    let error = match writable {
        true => sosik_store::Disk::open("/proc/sys/sosik".as_ref(), options()).unwrap_err(),
        false => scratch.try_open().unwrap_err(),
    };
    fs::set_permissions(scratch.path(), Permissions::from_mode(0o700)).unwrap();
    assert!(matches!(error, OpenError::ReadOnly(_) | OpenError::Io { .. }), "{error:?}");
}
