//! The pages in `docs/protocol/` say what the code does: tables, examples and numbers.
#![allow(clippy::unwrap_used)]

use std::{collections::BTreeSet, fs, path::PathBuf};

use serde_json::Value;
use sosik_core::limits;
use sosik_wire::{BODY_BYTES_MAX, Code, Goodbye, payload::DEPTH_MAX, websocket::FRAGMENTS_MAX};

// Mutant: a meaning worded otherwise on the page -> fails.
#[test]
fn the_page_of_codes_is_the_table_of_codes() {
    let after = |code: Code| code.after_ms().map_or_else(|| "no".to_owned(), |ms| ms.to_string());
    let row = |code: &Code| {
        let (name, status, meaning) = (code.name(), code.http_status(), code.meaning());
        format!("| `{name}` | {status} | {} | {meaning} |", after(*code))
    };
    let codes: Vec<_> = Code::ALL.iter().map(row).collect();
    assert_eq!(table(&page("codes.md"), "| code | status |"), codes);
}

// Mutant: drain with `spread_ms` 3000 on the page -> fails.
#[test]
fn the_page_of_codes_is_the_table_of_goodbyes() {
    let row = |goodbye: &Goodbye| {
        let retry = if goodbye.retry() { "yes" } else { "no" };
        let (after, spread) = (goodbye.after_ms(), goodbye.spread_ms());
        format!("| {} | `{}` | {retry} | {after} | {spread} |", goodbye.number(), goodbye.name())
    };
    let goodbyes: Vec<_> = Goodbye::ALL.iter().map(row).collect();
    assert_eq!(table(&page("codes.md"), "| number | name |"), goodbyes);
}

// Mutant: `durability` renamed `level` in an example -> it is no line of the vectors.
#[test]
fn examples_of_frames_are_lines_of_the_vectors() {
    let vectors: BTreeSet<String> = ["frames.json", "events.json", "up.json"]
        .into_iter()
        .flat_map(|name| serde_json::from_str::<Vec<Value>>(&read(&format!("vectors/{name}"))).unwrap())
        .filter_map(|vector| {
            Some(vector.get("json_line").or_else(|| vector.get("line"))?.as_str()?.trim_end().to_owned())
        })
        .collect();
    let (frames, once) = (page("frames.md"), page("once.md"));
    let examples = fenced(&frames, "json");
    let of_once = fenced(&once, "json");
    assert!(examples.len() > 20 && of_once.len() == 2, "{examples:?} {of_once:?}");
    for example in examples.iter().chain(&of_once) {
        assert!(vectors.contains(*example), "not in the vectors: {example}");
    }
    let types: BTreeSet<_> = vectors.iter().filter_map(|line| type_of(line)).collect();
    let down: Vec<Value> = serde_json::from_str(&read("vectors/frames.json")).unwrap();
    for vector in down {
        let kind = vector["frame"]["type"].as_str().unwrap().to_owned();
        assert!(
            types.contains(&kind) && examples.iter().any(|line| type_of(line).as_ref() == Some(&kind)),
            "{kind}"
        );
    }
}

// Mutant: one hex digit changed on the page -> fails.
#[test]
fn the_worked_example_is_the_first_event_of_the_vectors() {
    let events: Vec<Value> = serde_json::from_str(&read("vectors/events.json")).unwrap();
    let encodings = page("encodings.md");
    let bytes = table(&encodings, "| bytes | meaning |").into_iter();
    let hex: String = bytes.map(|row| row.split('`').nth(1).unwrap().to_owned()).collect();
    assert_eq!(hex, events[0]["binary_hex"].as_str().unwrap());
    assert!(encodings.contains(events[0]["json_line"].as_str().unwrap()));
    assert!(encodings.contains(events[0]["sse"].as_str().unwrap()));
}

// Mutant: LAST_MAX with 1,001 on the page -> fails.
#[test]
fn the_page_of_limits_has_the_numbers_of_the_code() {
    let said: BTreeSet<_> = table(&page("limits.md"), "| name | value | unit | what happens")
        .iter()
        .map(|row| cells(row))
        .collect();
    let numbers = [
        ("CHANNEL_NAME_BYTES_MAX", limits::CHANNEL_NAME_BYTES_MAX as u64),
        ("EVENT_BYTES_MAX", limits::EVENT_BYTES_MAX as u64),
        ("EVENT_NAME_BYTES_MAX", limits::EVENT_NAME_BYTES_MAX as u64),
        ("CHANNELS_PER_READER_MAX", limits::CHANNELS_PER_READER_MAX as u64),
        ("EVENTS_PER_PUBLISH_MAX", limits::EVENTS_PER_PUBLISH_MAX as u64),
        ("LAST_MAX", limits::LAST_MAX),
        ("BYTES_MAX", limits::BYTES_MAX),
        ("AGE_MAX_MS", limits::AGE_MAX_MS),
        ("DISK_BYTES_MAX", limits::DISK_BYTES_MAX),
        ("MEMORY_BYTES_MAX", limits::MEMORY_BYTES_MAX),
        ("EVENT_OVERHEAD_BYTES", limits::EVENT_OVERHEAD_BYTES),
        ("META_PAIRS_MAX", limits::META_PAIRS_MAX as u64),
        ("META_BYTES_MAX", limits::META_BYTES_MAX as u64),
        ("APPEND_EVENTS_MAX", limits::APPEND_EVENTS_MAX as u64),
        ("APPEND_BYTES_MAX", limits::APPEND_BYTES_MAX as u64),
        ("PAGE_EVENTS_MAX", limits::PAGE_EVENTS_MAX as u64),
        ("PAGE_BYTES_MAX", limits::PAGE_BYTES_MAX as u64),
        ("TAIL_EVENTS_MAX", limits::TAIL_EVENTS_MAX as u64),
        ("TAIL_BYTES_MAX", limits::TAIL_BYTES_MAX as u64),
        ("SIGNALS_MAX", limits::SIGNALS_MAX as u64),
        ("SIGNAL_TTL_MS", limits::SIGNAL_TTL_MS),
        ("ACK_WAIT_MS", limits::ACK_WAIT_MS),
        ("AHEAD_WAIT_MS", limits::AHEAD_WAIT_MS),
        ("APPEND_RETRY_MS", limits::APPEND_RETRY_MS),
        ("APPEND_QUEUE_MAX", limits::APPEND_QUEUE_MAX as u64),
        ("APPEND_QUEUE_BYTES_MAX", limits::APPEND_QUEUE_BYTES_MAX as u64),
        ("EVENTS_MAX", limits::EVENTS_MAX),
        ("ONCE_ID_BYTES_MAX", limits::ONCE_ID_BYTES_MAX as u64),
        ("PRODUCER_SEQS_HELD", limits::PRODUCER_SEQS_HELD as u64),
        ("ONCE_WINDOW_MS", limits::ONCE_WINDOW_MS),
        ("KEY_CLOCK_SLACK_MS", limits::KEY_CLOCK_SLACK_MS),
        ("IDEMPOTENCY_KEYS_MAX", limits::IDEMPOTENCY_KEYS_MAX),
        ("PRODUCERS_MAX", limits::PRODUCERS_MAX),
        ("PAGE_READS_MAX", limits::PAGE_READS_MAX as u64),
        ("RECORD_READS_MAX", limits::RECORD_READS_MAX as u64),
        ("READS_HELD_BYTES_MAX", limits::READS_HELD_BYTES_MAX as u64),
        ("BACKLOGS_MAX", limits::BACKLOGS_MAX as u64),
    ];
    let source = read("../core/src/limits.rs");
    let declared: BTreeSet<_> =
        source.lines().filter_map(|line| line.strip_prefix("pub const ")?.split(':').next()).collect();
    assert_eq!(declared, numbers.iter().map(|(name, _)| *name).collect());
    let own = [
        ("DEPTH_MAX", DEPTH_MAX as u64),
        ("BODY_BYTES_MAX", BODY_BYTES_MAX as u64),
        ("FRAGMENTS_MAX", u64::from(FRAGMENTS_MAX)),
    ];
    let known: BTreeSet<_> =
        numbers.into_iter().chain(own).map(|(name, value)| (name.to_owned(), value)).collect();
    assert_eq!(said, known);
}

// Mutant: 100,000 keys on the page -> fails.
#[test]
fn the_page_on_publishing_once_has_the_bounds_of_the_code() {
    let hours = limits::ONCE_WINDOW_MS / 3_600_000;
    let number = |number: u64| {
        let digits = number.to_string();
        let groups: Vec<_> =
            digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap()).collect();
        groups.join(",")
    };
    let said = table(&page("once.md"), "| bound | value |");
    for (value, name) in [
        (format!("| {hours} h since"), "ONCE_WINDOW_MS"),
        (format!("| {} (", number(limits::IDEMPOTENCY_KEYS_MAX)), "IDEMPOTENCY_KEYS_MAX"),
        (format!("| {} (", number(limits::PRODUCERS_MAX)), "PRODUCERS_MAX"),
        (format!("| the last {} (", limits::PRODUCER_SEQS_HELD), "PRODUCER_SEQS_HELD"),
    ] {
        assert!(
            said.iter().any(|row| row.contains(&value) && row.contains(name)),
            "{name}: {value} in {said:?}"
        );
    }
    let codes = table(&page("once.md"), "| answer | meaning |").concat();
    for code in Code::ALL
        .iter()
        .filter(|code| code.name().starts_with("producer_") || code.name().starts_with("key_"))
    {
        assert!(codes.contains(&format!("`{}`", code.name())), "{code:?}");
    }
}

fn page(name: &str) -> String {
    read(&format!("../../docs/protocol/{name}"))
}

fn read(path: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The rows of the table whose head begins like this.
fn table(page: &str, head: &str) -> Vec<String> {
    let lines = page.lines().skip_while(|line| !line.starts_with(head)).skip(2);
    let rows: Vec<_> = lines.take_while(|line| line.starts_with('|')).map(str::to_owned).collect();
    assert!(!rows.is_empty(), "no table begins with {head}");
    rows
}

/// Name and number in the first two cells.
fn cells(row: &str) -> (String, u64) {
    let mut cells = row.split('|').skip(1).map(|cell| cell.trim().trim_matches('`').to_owned());
    (cells.next().unwrap(), cells.next().unwrap().replace(',', "").parse().unwrap())
}

/// The lines inside blocks fenced with this language.
fn fenced<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let mut inside = false;
    let mut lines = Vec::new();
    for line in page.lines() {
        match line.strip_prefix("```") {
            Some(after) => inside = !inside && after == language,
            None if inside => lines.push(line),
            None => {}
        }
    }
    lines
}

fn type_of(line: &str) -> Option<String> {
    Some(serde_json::from_str::<Value>(line).ok()?.get("type")?.as_str()?.to_owned())
}
