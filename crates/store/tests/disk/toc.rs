//! Files of the engine below that do not say what is in them: refused by name before it reads them, unless it never would.

use std::{
    fs,
    path::{Path, PathBuf},
};

use sosik_core::cursor::Epoch;
use sosik_store::{
    Disk,
    disk::{DiskOptions, OpenError},
};
use sosik_testkit::store_suite::block_on;

use crate::{
    flips::flush,
    kit::{Scratch, append, whole},
};

/// A log with its tables written out of the journal, and all the files of these.
fn written() -> (Scratch, Vec<PathBuf>) {
    let scratch = Scratch::new();
    block_on(async {
        append(&scratch.open(), 1, "room:a").await;
    });
    flush(&scratch);
    let mut files = Vec::new();
    for table in fs::read_dir(scratch.path().join("tables/keyspaces")).unwrap() {
        let listed = fs::read_dir(table.unwrap().path().join("tables")).unwrap();
        files.extend(listed.map(|file| file.unwrap().path()));
    }
    assert!(files.len() >= 6, "{files:?}");
    (scratch, files)
}

/// The start says that `file` is not what was written.
fn is_refused(scratch: &Scratch, file: &Path) {
    let Err(error) = Disk::open(scratch.path(), DiskOptions::new(Epoch::new(1))) else {
        panic!("{} is not missed", file.display())
    };
    let says = format!("{} is missing or not what was written", file.display());
    assert!(matches!(&error, OpenError::Unreadable { why, .. } if *why == says), "{error}");
}

// Mutant: the tables of contents not held against their checksums -> the engine asks for 40 GiB, and the process ends.
#[test]
fn a_flipped_count_of_sections_is_refused_before_the_engine_believes_it() {
    let (scratch, files) = written();
    for file in files {
        let bytes = fs::read(&file).unwrap();
        let count = 4 + bytes.windows(4).rposition(|found| found == b"TOC!").unwrap();
        for bit in (0..32).rev() {
            let mut flipped = bytes.clone();
            flipped[count + bit / 8] ^= 1 << (bit % 8);
            fs::write(&file, flipped).unwrap();
            is_refused(&scratch, &file);
        }
        fs::write(file, bytes).unwrap();
    }
    assert_eq!(block_on(whole(&scratch.open(), "room:a")).events.len(), 1);
}

#[test]
fn a_listed_file_that_ends_early_or_is_gone_is_refused_by_name() {
    let (scratch, files) = written();
    for file in files {
        let bytes = fs::read(&file).unwrap();
        for length in [0, 30, bytes.len() / 2, bytes.len() - 1] {
            fs::write(&file, &bytes[..length]).unwrap();
            is_refused(&scratch, &file);
        }
        fs::remove_file(&file).unwrap();
        is_refused(&scratch, &file);
        fs::write(file, bytes).unwrap();
    }
}

// Mutant: all files asked, not only the listed ones -> the start is refused.
#[test]
fn a_half_written_file_that_is_not_listed_costs_nothing() {
    let (scratch, files) = written();
    for file in files {
        let left = file.with_file_name("999999");
        let bytes = fs::read(file).unwrap();
        fs::write(left, &bytes[..bytes.len() - 1]).unwrap();
    }
    assert_eq!(block_on(whole(&scratch.open(), "room:a")).events.len(), 1);
}
