//! Reading a log whole finds what is wrong, in the right words, and nothing where nothing is.

use sosik_core::{cursor::Position, store::Store};
use sosik_store::disk::{DamageKind, Report, verify};
use sosik_testkit::store_suite::{block_on, channel};

use crate::{
    damage::tamper,
    kit::{Scratch, append},
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

// Mutant: a directory made where none was -> it is there.
#[test]
fn what_is_not_there_is_not_made() {
    let scratch = Scratch::new();
    assert!(verify(scratch.path()).is_err());
    assert!(!scratch.path().exists());
}
