//! Reading a log whole finds what is wrong, in the right words, and nothing where nothing is.

use std::fs;

use sosik_core::{cursor::Position, store::Store};
use sosik_store::disk::{DamageKind, Report, verify};
use sosik_testkit::store_suite::{block_on, channel};

use crate::{
    kit::{Scratch, append},
    tamper::tamper,
};

/// A log of two channels, one of them trimmed.
async fn log() -> Scratch {
    let scratch = Scratch::new();
    let store = scratch.open();
    for id in 0..6 {
        append(&store, id, if id % 2 == 0 { "room:a" } else { "room:b" }).await;
    }
    store.trim(&channel("room:a"), Position::new(1)).await.unwrap();
    scratch
}

fn kinds(report: &Report) -> Vec<(DamageKind, u64)> {
    report.damage.iter().map(|damage| (damage.kind, damage.count)).collect()
}

#[test]
fn a_whole_log_is_whole_while_it_lives_and_when_it_is_closed() {
    block_on(async {
        let scratch = log().await;
        let store = scratch.open();
        let live = store.verify().await.unwrap();
        assert!(live.is_whole(), "{live}");
        drop(store);
        let closed = verify(scratch.path()).unwrap();
        assert!(closed.is_whole(), "{closed}");
        assert_eq!((closed.events, closed.channels), (5, 2), "{closed}");
        assert!(closed.rows >= 14, "{closed}");
    });
}

// Mutants: a missing event not told; a damaged record not told -> its line is whole.
#[test]
fn each_kind_of_damage_is_found_and_named() {
    block_on(async {
        for (table, gone, found) in [
            ("events", false, DamageKind::Event),
            ("events", true, DamageKind::MissingEvent),
            ("order", false, DamageKind::Order),
            ("order", true, DamageKind::MissingOrder),
            ("channels", false, DamageKind::Record),
            ("channels", true, DamageKind::Record),
            ("meta", false, DamageKind::Meta),
        ] {
            let scratch = log().await;
            // The third event, or what tells of its channel.
            let is_meant = |key: &[u8]| match table {
                "events" | "order" => key.ends_with(&[0, 0, 0, 0, 0, 0, 0, 3]),
                "channels" => key.ends_with(b"room:a"),
                _ => key.first() == Some(&1),
            };
            tamper(&scratch, table, |key, value| {
                if is_meant(key) && !gone {
                    *value.last_mut().unwrap() ^= 1;
                }
                !(is_meant(key) && gone)
            });
            let report = verify(scratch.path()).unwrap();
            assert!(kinds(&report).iter().any(|(kind, _)| *kind == found), "{table} {gone}: {report}");
            assert!(!report.is_whole() && report.to_string().contains(&found.to_string()), "{report}");
            let again = verify(scratch.path()).unwrap();
            assert_eq!(again, report, "it changes nothing");
        }
    });
}

/// Seals what `write` makes of the content of the rows of `table` that are `meant`.
fn rewrite(scratch: &Scratch, table: &str, meant: impl Fn(&[u8]) -> bool, write: impl Fn(&mut [u8])) {
    tamper(scratch, table, |key, value| {
        if meant(key) {
            write(&mut value[5..]);
            let sum = crc32c::crc32c_append(crc32c::crc32c_append(crc32c::crc32c(&[1]), key), &value[5..]);
            value[1..5].copy_from_slice(&sum.to_le_bytes());
        }
        true
    });
}

// Mutant: the witness not compared -> what an open would begin a new epoch for is called whole.
#[test]
fn less_than_the_witness_vouched_for_is_found() {
    block_on(async {
        let (scratch, other) = (log().await, log().await);
        let other = fs::read(other.path().join("witness")).unwrap();
        for witness in [Some(other), Some(vec![0; 100]), None] {
            let path = scratch.path().join("witness");
            match &witness {
                Some(bytes) => fs::write(&path, bytes).unwrap(),
                None => fs::remove_file(&path).unwrap(),
            }
            let report = verify(scratch.path()).unwrap();
            assert_eq!(kinds(&report), [(DamageKind::Hole, 1)], "{report}");
            assert!(report.to_string().contains("witness"), "{report}");
            assert_eq!(path.exists(), witness.is_some(), "it changes nothing");
        }
        assert!(scratch.open().renewed().is_some());
        let report = verify(scratch.path()).unwrap();
        assert!(report.is_whole(), "{report}");
    });
}

// Mutant: only another epoch told -> whole.
#[test]
fn an_end_before_the_one_that_was_vouched_for_is_found() {
    block_on(async {
        let scratch = log().await;
        rewrite(&scratch, "meta", |key| key == b"tail", |content| content[0] -= 1);
        let report = verify(scratch.path()).unwrap();
        let told = "up to position 6, and ends at position 5";
        assert!(
            kinds(&report).contains(&(DamageKind::Hole, 1)) && report.to_string().contains(told),
            "{report}"
        );
    });
}

// Mutants: the sums not compared; events alone or bytes alone compared; the first event not compared -> whole.
#[test]
fn what_is_said_to_be_kept_and_is_not_is_found_while_it_lives_and_when_it_is_closed() {
    block_on(async {
        let tail = |key: &[u8]| key == b"tail";
        let record = |key: &[u8]| key == b"croom:a";
        // The fifth and sixth number of a tail; the fourth, fifth and seventh of a record.
        for (table, number, found) in [
            ("meta", 4, DamageKind::Meta),
            ("meta", 5, DamageKind::Meta),
            ("channels", 3, DamageKind::Record),
            ("channels", 4, DamageKind::Record),
            ("channels", 6, DamageKind::Record),
        ] {
            let scratch = log().await;
            let meant = |key: &[u8]| if table == "meta" { tail(key) } else { record(key) };
            rewrite(&scratch, table, meant, |content| content[number * 8] ^= 1);
            let closed = verify(scratch.path()).unwrap();
            assert_eq!(kinds(&closed), [(found, 1)], "{table} {number}: {closed}");
            let live = scratch.open().verify().await.unwrap();
            assert_eq!(kinds(&live), [(found, 1)], "{table} {number}: {live}");
        }
    });
}

// Mutant: a directory made where none was -> it is there.
#[test]
fn what_is_not_there_is_not_made() {
    let scratch = Scratch::new();
    assert!(verify(scratch.path()).is_err());
    assert!(!scratch.path().exists());
}
