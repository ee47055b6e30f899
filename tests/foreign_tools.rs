//! Is everything here that the foreign clients need? When it is not, this fails first and says what to do,
//! instead of a scenario that times out.

#![allow(clippy::unwrap_used)]

use std::{env, process::Command};

use serde_json::json;
use sosik_tests::{foreign, workspace};

// Mutant: removing one of the tools, `node_modules` or the venv -> fails, naming it.
#[test]
fn every_tool_the_tests_call_is_here() {
    let root = workspace::root();
    let path =
        env::join_paths(env::split_paths(&env::var_os("PATH").unwrap()).chain(["/usr/sbin".into()])).unwrap();
    let mut missing = Vec::new();
    for (tool, arg) in [
        ("chromium", "--version"),
        ("nginx", "-v"),
        ("nc", "-h"),
        ("curl", "-V"),
        ("node", "-v"),
        ("slowhttptest", "-h"),
    ] {
        // Not the exit code: `nc -h` ends with 1 on some builds.
        if Command::new(tool).arg(arg).env("PATH", &path).output().is_err() {
            missing.push(tool.to_owned());
        }
    }
    for file in [
        "tests/foreign/node_modules/eventsource",
        "tests/foreign/node_modules/playwright-core",
        ".cache/venv/bin/python",
    ] {
        if !root.join(file).exists() {
            missing.push(file.to_owned());
        }
    }
    assert!(missing.is_empty(), "missing: {}. `make tools` installs what the tests need", missing.join(", "));
}

// Mutant: a lock file written without tests/foreign/.npmrc -> fails.
#[test]
fn lock_file_records_no_download_address() {
    let lock = std::fs::read_to_string(workspace::root().join("tests/foreign/package-lock.json")).unwrap();
    assert!(
        !lock.contains("\"resolved\""),
        "run npm inside tests/foreign, where .npmrc leaves addresses out"
    );
}

// Mutant: page.mjs that goes on after a failed step, or ends with 0 -> fails.
#[tokio::test]
async fn page_stops_at_the_step_that_failed() {
    let ran = foreign::page(
        "data:text/html,<title>one</title>",
        &["eval:document.title", "eval:nothere.x", "eval:2"],
    );
    let ran = ran.await.unwrap();
    assert!(!ran.ok, "{ran:?}");
    assert_eq!(ran.lines.len(), 3, "{ran:?}");
    assert_eq!(ran.lines[1], json!({"step": "eval:document.title", "value": "one"}), "{ran:?}");
    assert!(ran.lines[2]["error"].is_string(), "{ran:?}");
}
