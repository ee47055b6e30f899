//! docs/protocol/limits.md says the numbers of the log on the disk.

use std::{fs, path::Path};

use sosik_store::disk::{
    COMMITS_HELD_MAX, PLACES_NAMED_MAX, READS_QUEUED_MAX, RECENT_BYTES_MAX, RECENT_EVENTS_MAX, RESERVE_BYTES,
    SCRUB_BYTES_PER_S, SCRUB_PAUSE, WRITES_QUEUED_MAX,
};

// Mutants: `SCRUB_PAUSE` with 3,601 on the page; a row more on the page -> each fails.
#[test]
fn the_page_of_limits_has_the_numbers_of_the_disk() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/protocol/limits.md");
    let page = fs::read_to_string(path).unwrap();
    let (_, section) = page.split_once("## The log on the disk").unwrap();
    let said: Vec<_> = section.lines().filter(|line| line.starts_with("| `")).collect();
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
    assert_eq!(said.len(), numbers.len());
    for ((name, number), row) in numbers.iter().zip(said) {
        assert!(row.replace(',', "").starts_with(&format!("| `{name}` | {number} | ")), "{name}: {row}");
    }
}
