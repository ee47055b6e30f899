//! docs/protocol/limits.md says the defaults of the server that this binary runs.
#![allow(clippy::unwrap_used)]

use std::{collections::BTreeSet, fmt::Debug, fs, path::Path};

use sosik_server::{Checked, ServeArgs};

// Mutants: `wait_s_max` with 56 on the page; the row of `idle_ms` left out -> each fails.
#[test]
fn the_page_of_limits_has_the_defaults_of_the_server() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/protocol/limits.md");
    let page = fs::read_to_string(path).unwrap();
    let defaults = Checked::new(ServeArgs::default()).unwrap();
    assert_eq!(rows(&page, "## Transports"), numbers(&defaults.settings));
    assert_eq!(rows(&page, "## Sockets"), numbers(&defaults.limits));
}

/// Name and number of each row of the first table below a heading.
fn rows(page: &str, heading: &str) -> BTreeSet<(String, u64)> {
    let below = page.lines().skip_while(|line| *line != heading);
    let table =
        below.skip_while(|line| !line.starts_with('|')).skip(2).take_while(|line| line.starts_with('|'));
    let cells = table.map(|row| row.split('|').skip(1).map(|cell| cell.trim().trim_matches('`')));
    cells
        .map(|mut row| {
            (row.next().unwrap().to_owned(), row.next().unwrap().replace(',', "").parse().unwrap())
        })
        .collect()
}

/// The fields of a struct that are numbers, so that a new one cannot be forgotten.
fn numbers(of: &impl Debug) -> BTreeSet<(String, u64)> {
    let text = format!("{of:?}");
    let (_, fields) = text.split_once('{').unwrap();
    let pairs = fields.trim_end_matches('}').split(',').filter_map(|field| field.split_once(':'));
    let found: BTreeSet<_> = pairs
        .filter_map(|(name, value)| Some((name.trim().to_owned(), value.trim().parse().ok()?)))
        .collect();
    assert!(found.len() > 3, "{text}");
    found
}
