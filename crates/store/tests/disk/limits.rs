//! docs/protocol/limits.md says the numbers of the stores.

use std::{fs, path::Path};

use sosik_store::disk::{
    BATCHES_HELD_MAX, COMMITS_HELD_MAX, FORGOTTEN_HELD_MAX, NEWS_CHANGES_MAX, PLACES_NAMED_MAX,
    READS_QUEUED_MAX, RECENT_BYTES_MAX, RECENT_EVENTS_MAX, RESERVE_BYTES, SCRUB_BYTES_PER_S, SCRUB_PAUSE,
    SIGNALS_HELD_BYTES_MAX, SIGNALS_HELD_MAX, TRIMMED_HELD_MAX, WRITES_QUEUED_MAX,
};

// Mutants: `SCRUB_PAUSE` with 3,601 on the page; a row more on the page -> each fails.
#[test]
fn the_page_of_limits_has_the_numbers_of_the_disk() {
    let numbers = [
        ("RESERVE_BYTES", RESERVE_BYTES),
        ("WRITES_QUEUED_MAX", WRITES_QUEUED_MAX as u64),
        ("READS_QUEUED_MAX", READS_QUEUED_MAX as u64),
        ("RECENT_EVENTS_MAX", RECENT_EVENTS_MAX as u64),
        ("RECENT_BYTES_MAX", RECENT_BYTES_MAX as u64),
        ("COMMITS_HELD_MAX", COMMITS_HELD_MAX),
        ("SCRUB_BYTES_PER_S", SCRUB_BYTES_PER_S),
        ("SCRUB_PAUSE", SCRUB_PAUSE.as_secs()),
        ("PLACES_NAMED_MAX", PLACES_NAMED_MAX as u64),
    ];
    said("The log on the disk", &numbers);
}

// Mutants: `FORGOTTEN_HELD_MAX` with 4,097 on the page; `TRIMMED_HELD_MAX` not on the page -> each fails.
#[test]
fn the_page_of_limits_has_the_numbers_of_what_is_held_for_those_who_are_behind() {
    let numbers = [
        ("NEWS_CHANGES_MAX", NEWS_CHANGES_MAX as u64),
        ("BATCHES_HELD_MAX", BATCHES_HELD_MAX as u64),
        ("SIGNALS_HELD_MAX", SIGNALS_HELD_MAX as u64),
        ("SIGNALS_HELD_BYTES_MAX", SIGNALS_HELD_BYTES_MAX as u64),
        ("FORGOTTEN_HELD_MAX", FORGOTTEN_HELD_MAX as u64),
        ("TRIMMED_HELD_MAX", TRIMMED_HELD_MAX as u64),
    ];
    said("What each log holds for those who are behind", &numbers);
}

/// That the table below a heading has these rows and no other.
fn said(heading: &str, numbers: &[(&str, u64)]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/protocol/limits.md");
    let page = fs::read_to_string(path).unwrap();
    let (_, below) = page.split_once(&format!("## {heading}\n")).unwrap();
    let section = below.split("\n## ").next().unwrap();
    let said: Vec<_> = section.lines().filter(|line| line.starts_with("| `")).collect();
    assert_eq!(said.len(), numbers.len());
    for ((name, number), row) in numbers.iter().zip(said) {
        assert!(row.replace(',', "").starts_with(&format!("| `{name}` | {number} | ")), "{name}: {row}");
    }
}
