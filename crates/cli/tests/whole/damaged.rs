//! A log whose files are not what was written: what an operator is told, and what a repair keeps.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    operators::{after, cursor_now},
    server::Server,
};

// Mutants: exit code 1 for damage; a repair that does not look for what follows a damaged part of a table -> both fail.
#[tokio::test]
async fn a_damaged_log_is_told_repaired_and_served_with_a_gap() {
    let mut server = Server::start().await;
    let lines: String = (1..=EVENTS).map(|number| format!("{}\n", data_of(number))).collect();
    server.run(&["publish", "demo:a", "-"], lines).await;
    let cursor = cursor_now(&server).await;
    server.stop().await;
    // A restored log lies in table files, not in a journal.
    assert_eq!(server.run(&["backup", "kept"], "").await.code, 0);
    fs::remove_dir_all(server.data()).unwrap();
    assert_eq!(server.run(&["restore", "kept"], "").await.code, 0);
    let keyspaces = server.data().join("tables/keyspaces");
    let hit = data_of(EVENTS / 2).to_string();
    let flipped = files_below(&keyspaces).into_iter().filter(|path| flip(path, hit.as_bytes())).count();
    assert_eq!(flipped, 1, "the event lies in one table file");

    let ended = server.run(&["verify"], "").await;
    assert_eq!((ended.code, ended.out.contains("1 × unreadable file: table events")), (5, true), "{ended:?}");
    assert!(ended.err.contains("verify --repair") && !ended.out.contains("FjallError"), "{ended:?}");
    let ended = server.run(&["serve", "--demo", "--listen", "127.0.0.1:0", "--tcp-listen", "off"], "").await;
    assert_eq!((ended.code, ended.err.contains("verify --repair")), (4, true), "{ended:?}");
    let ended = server.run(&["verify", "--repair", "--json"], "").await;
    let told: serde_json::Value = serde_json::from_str(&ended.out).unwrap_or_else(|_| panic!("{ended:?}"));
    let lost = told["events_lost"].as_u64().unwrap();
    assert!((1..EVENTS / 10).contains(&lost) && told["found"]["whole"] == false, "{told}");
    assert!(server.data().with_file_name(told["old"].as_str().unwrap()).is_dir(), "{told}");
    let ended = server.run(&["verify"], "").await;
    assert_eq!((ended.code, ended.out.contains("nothing is damaged")), (0, true), "{ended:?}");

    server.again().await;
    let said = server.run(&["publish", "demo:a", "\"next\""], "").await;
    assert_eq!(said.out, format!("demo:a {} synced\n", EVENTS + 1), "{said:?}");
    let seen = after(&server, &cursor, 2).await;
    assert!(seen[0].contains("\"reason\":\"epoch\"") && seen[1].contains("\"data\":\"next\""), "{seen:?}");
    let seen = after(&server, "start", (EVENTS + 2 - lost) as usize).await;
    let gaps: Vec<_> = seen.iter().filter(|line| line.contains("\"type\":\"gap\"")).collect();
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    for line in &seen {
        let frame: serde_json::Value = serde_json::from_str(line).unwrap();
        if frame["type"] == "event" && frame["data"] != "next" {
            assert_eq!(frame["data"], data_of(frame["seq"].as_u64().unwrap()), "{line}");
        }
    }
}

// Mutant: the engine's own text told -> `FjallError`.
#[tokio::test]
async fn a_damaged_journal_is_told_in_words_with_what_helps_and_what_does_not() {
    let mut server = Server::start().await;
    let lines: String = (1..=3).map(|number| format!("{}\n", data_of(number))).collect();
    server.run(&["publish", "demo:a", "-"], lines).await;
    server.kill().await;
    let hit = data_of(2).to_string();
    assert!(flip(&server.data().join("tables/0.jnl"), hit.as_bytes()), "the event lies in the journal");
    for args in [
        &["serve", "--demo", "--listen", "127.0.0.1:0", "--tcp-listen", "off"][..],
        &["verify"],
        &["verify", "--repair"],
    ] {
        let ended = server.run(args, "").await;
        assert_eq!(ended.code, 4, "{args:?}: {ended:?}");
        for words in ["journal", "the disk", "`sosik restore`", "`sosik verify --repair` cannot help"] {
            assert!(ended.err.to_lowercase().contains(&words.to_lowercase()), "{args:?}: {words}: {ended:?}");
        }
        assert!(!ended.err.contains("Error"), "{args:?}: {ended:?}");
    }
}

const EVENTS: u64 = 600;

/// What compresses badly and is found again in a file.
fn data_of(number: u64) -> serde_json::Value {
    let mut rng = fastrand::Rng::with_seed(number);
    std::iter::repeat_with(|| rng.alphanumeric()).take(200).collect::<String>().into()
}

/// Flips a bit in the middle of `text` where a file has it.
fn flip(path: &Path, text: &[u8]) -> bool {
    let mut bytes = fs::read(path).unwrap();
    let found = bytes.windows(text.len()).position(|part| part == text);
    if let Some(at) = found {
        bytes[at + text.len() / 2] ^= 1;
        fs::write(path, bytes).unwrap();
    }
    found.is_some()
}

fn files_below(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.into()];
    }
    fs::read_dir(path).unwrap().flat_map(|entry| files_below(&entry.unwrap().path())).collect()
}
