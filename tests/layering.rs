//! Which crate may know which: the table of ARCHITECTURE.md as data, compared with the manifests as they are.
//!
//! A wrong edge fails here before anybody relies on it. The frameworks a crate may use are in `deny.toml` (`wrappers`).

#![allow(clippy::unwrap_used)]

use std::{collections::BTreeSet, fs};

use serde_json::Value;
use sosik_tests::workspace;

/// Crate, the crates of this workspace that it may depend on. `ANY` is for what is never released.
///
/// Development edges may be these and `sosik-testkit`; nothing that is released has an edge to `sosik-testkit`.
#[rustfmt::skip]
const MAY_DEPEND_ON: &[(&str, &[&str])] = &[
    ("sosik-core",      &[]),
    ("sosik-wire",      &["sosik-core"]),
    ("sosik-store",     &["sosik-core"]),
    ("sosik-transport", &["sosik-core", "sosik-wire"]),
    ("sosik-server",    &["sosik-core", "sosik-wire", "sosik-store", "sosik-transport"]),
    ("sosik-client",    &["sosik-wire"]),
    ("sosik-lab",       &["sosik-client"]),
    ("sosik-cli",       &["sosik-client", "sosik-server", "sosik-lab"]),
    ("sosik-testkit",   ANY),
    ("sosik-tests",     ANY),
    ("sosik-bench",     ANY),
    ("sosik-pump-bench", ANY),
];

const ANY: &[&str] = &["*"];

/// The suites; an edge to them from anything but development would ship them.
const DEV_ONLY: &str = "sosik-testkit";

/// Foreign crates that a release may not have in it: they replace what tasks and locks are.
const FOREIGN_DEV_ONLY: &[&str] = &["shuttle"];

/// All that core may stand on, in a release build. Small, pure, and no clock, socket or runtime among them.
#[rustfmt::skip]
const CORE_STANDS_ON: &[&str] = &[
    "bytes", "crc32c", "hashbrown", "parking_lot", "smallvec", "thiserror", "tokio", "unicode-normalization",
];

/// Of tokio core has the channels and `Notify`: no runtime, no timer, no socket.
const CORE_TOKIO_FEATURES: &[&str] = &["sync"];

/// Crate, directory, what its code may not say, and why. Comments may.
#[rustfmt::skip]
const MAY_NOT_SAY: &[(&str, &[(&str, &str)])] = &[
    ("crates/core/src", &[
        ("std::net",                "core knows no socket"),
        ("std::fs",                 "core knows no file: a store does"),
        ("Instant::now",            "core knows no clock: `now` is an argument"),
        ("SystemTime",              "core knows no clock: `now` is an argument"),
        ("serde",                   "core knows no JSON: wire does"),
        ("tokio::spawn",            "core starts nothing: its futures are spawned by the server"),
        ("tokio::time",             "core knows no clock: `now` is an argument"),
        ("tokio::net",              "core knows no socket"),
    ]),
    ("crates/wire/src", &[
        ("tokio",                   "wire is pure functions"),
        ("axum",                    "wire knows no framework"),
        ("hyper",                   "wire knows no framework"),
    ]),
];

// Mutants, each planted in a manifest and seen to fail: store -> sosik-wire; client -> sosik-core;
// cli -> sosik-testkit and transport -> shuttle as normal dependencies; core -> fastrand; core's tokio with `time`; wire -> tokio.
#[test]
fn no_crate_knows_more_than_the_table_allows() {
    let metadata = workspace::metadata().unwrap();
    let wrong = wrong_edges(&members(&metadata));
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

// Mutant: `use std::net::SocketAddr;` in a file of core -> fails and names file and line.
#[test]
fn core_and_wire_do_not_say_what_they_may_not_know() {
    let mut wrong = Vec::new();
    for (dir, words) in MAY_NOT_SAY {
        let files = workspace::rust_files(&workspace::root().join(dir)).unwrap();
        assert!(!files.is_empty(), "{dir} has no source: the table names a crate that moved");
        for file in files {
            let name = file.strip_prefix(workspace::root()).unwrap().display().to_string();
            for (word, why, line) in said(&fs::read_to_string(&file).unwrap(), words) {
                wrong.push(format!("{name}:{line}: `{word}`: {why}"));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

// Mutant: any of the rules in `wrong_edges` left out -> its line here fails.
#[test]
fn each_kind_of_wrong_edge_is_found() {
    let with = |name: &str, to: &str, kind: Kind| Member {
        edges: vec![Edge { to: to.into(), kind, features: vec![], defaults: false }],
        name: name.into(),
    };
    let tokio = |features: &[&str], defaults| Member {
        edges: vec![Edge {
            to: "tokio".into(),
            kind: Kind::Normal,
            features: features.iter().map(|&f| f.into()).collect(),
            defaults,
        }],
        name: "sosik-core".into(),
    };
    let allowed = [
        with("sosik-store", "sosik-core", Kind::Normal),
        with("sosik-store", "sosik-testkit", Kind::Dev),
        with("sosik-core", "fastrand", Kind::Dev),
        with("sosik-transport", "shuttle", Kind::Dev),
        with("sosik-tests", "sosik-testkit", Kind::Dev),
        with("sosik-testkit", "sosik-server", Kind::Normal),
        tokio(&["sync"], false),
    ];
    for member in allowed {
        assert!(wrong_edges(std::slice::from_ref(&member)).is_empty(), "{member:?}");
    }
    let forbidden = [
        with("sosik-store", "sosik-wire", Kind::Normal),
        with("sosik-store", "sosik-wire", Kind::Build),
        with("sosik-store", "sosik-wire", Kind::Dev),
        with("sosik-server", "sosik-testkit", Kind::Normal),
        with("sosik-tests", "sosik-testkit", Kind::Normal),
        with("sosik-core", "fastrand", Kind::Normal),
        with("sosik-core", "fastrand", Kind::Build),
        with("sosik-wire", "tokio", Kind::Normal),
        with("sosik-transport", "shuttle", Kind::Normal),
        with("sosik-new", "sosik-core", Kind::Normal),
        tokio(&["sync", "time"], false),
        tokio(&["sync"], true),
    ];
    for member in forbidden {
        assert_eq!(wrong_edges(std::slice::from_ref(&member)).len(), 1, "{member:?}");
    }
}

// Mutant: `said` that searches whole lines, or stops at the first -> fails.
#[test]
fn a_comment_may_name_what_the_code_may_not() {
    let words = [("std::net", "why")];
    assert_eq!(said("//! not std::net\nlet a = 1; // nor std::net here\n", &words), []);
    assert_eq!(
        said("use std::net::IpAddr; // x\n\nuse std::net as n;", &words),
        [("std::net", "why", 1), ("std::net", "why", 3)]
    );
}

#[derive(Debug)]
struct Member {
    name: String,
    edges: Vec<Edge>,
}

#[derive(Debug)]
struct Edge {
    to: String,
    kind: Kind,
    features: Vec<String>,
    defaults: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Normal,
    Build,
    Dev,
}

fn wrong_edges(members: &[Member]) -> Vec<String> {
    let mut wrong = Vec::new();
    for Member { name, edges } in members {
        let Some((_, allowed)) = MAY_DEPEND_ON.iter().find(|(of, _)| of == name) else {
            wrong
                .push(format!("{name} has no row in MAY_DEPEND_ON: decide what it may know, write it there"));
            continue;
        };
        for Edge { to, kind, features, defaults } in edges {
            let fault = if to.starts_with("sosik-") {
                let dev_suite = to == DEV_ONLY && *kind == Kind::Dev;
                let ships_suite = to == DEV_ONLY && *kind != Kind::Dev;
                let in_table = *allowed == ANY || allowed.contains(&to.as_str());
                if ships_suite {
                    Some("is for development only")
                } else if in_table || dev_suite {
                    None
                } else {
                    Some("is not in its row of MAY_DEPEND_ON")
                }
            } else if FOREIGN_DEV_ONLY.contains(&to.as_str()) && *kind != Kind::Dev {
                Some("is for tests only")
            } else if name == "sosik-core" && *kind != Kind::Dev {
                let only_sync =
                    features.iter().all(|f| CORE_TOKIO_FEATURES.contains(&f.as_str())) && !defaults;
                if !CORE_STANDS_ON.contains(&to.as_str()) {
                    Some("is not in CORE_STANDS_ON")
                } else if to == "tokio" && !only_sync {
                    Some("has more features than CORE_TOKIO_FEATURES")
                } else {
                    None
                }
            } else if name == "sosik-wire" && to.starts_with("tokio") {
                Some("is a runtime, and wire is pure functions")
            } else {
                None
            };
            if let Some(fault) = fault {
                wrong.push(format!("{name} -> {to} ({kind:?}): {to} {fault}"));
            }
        }
    }
    wrong
}

fn members(metadata: &Value) -> Vec<Member> {
    let packages = metadata["packages"].as_array().unwrap();
    let members: Vec<_> = packages
        .iter()
        .map(|package| Member {
            name: text(&package["name"]),
            edges: package["dependencies"].as_array().unwrap().iter().map(edge).collect(),
        })
        .collect();
    // A reading that finds nothing would allow everything.
    let names: BTreeSet<_> = members.iter().map(|member| member.name.as_str()).collect();
    assert!(names.is_superset(&BTreeSet::from(["sosik-core", "sosik-wire", "sosik-server"])), "{names:?}");
    assert!(members.iter().any(|member| member.edges.iter().any(|edge| edge.kind == Kind::Normal)));
    members
}

fn edge(dependency: &Value) -> Edge {
    Edge {
        to: text(&dependency["name"]),
        kind: match dependency["kind"].as_str() {
            None => Kind::Normal,
            Some("build") => Kind::Build,
            Some("dev") => Kind::Dev,
            Some(other) => panic!("cargo has a new kind of edge: {other}"),
        },
        features: dependency["features"].as_array().unwrap().iter().map(text).collect(),
        defaults: dependency["uses_default_features"].as_bool().unwrap(),
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// Each of `words` on each line of code, with its reason and the number of the line. What follows `//` is no code.
fn said<'a>(source: &str, words: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str, usize)> {
    let code = source.lines().map(|line| line.split("//").next().unwrap_or_default());
    code.zip(1..)
        .flat_map(|(line, number)| {
            let here = words.iter().filter(move |(word, _)| line.contains(word));
            here.map(move |&(word, why)| (word, why, number))
        })
        .collect()
}
