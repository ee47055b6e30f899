//! The pages of the repository name only what is there: files, tests, each other.
#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use sosik_tests::workspace;

// Mutants, each planted and seen to fail: a test's name misspelt in ARCHITECTURE.md; `core/nodes.rs` there; a link to
// `frame.md` in docs/protocol/README.md.
#[test]
fn what_the_pages_name_is_there() {
    let root = workspace::root();
    let mut sources = workspace::rust_files(&root.join("crates")).unwrap();
    sources.extend(workspace::rust_files(&root.join("tests")).unwrap());
    let files: BTreeSet<String> =
        sources.iter().map(|path| path.strip_prefix(root).unwrap().display().to_string()).collect();
    let text: String = sources.iter().map(|path| fs::read_to_string(path).unwrap()).collect();

    let mut wrong = Vec::new();
    for page in pages(root) {
        let name = page.strip_prefix(root).unwrap().display().to_string();
        let body = fs::read_to_string(&page).unwrap();
        for link in links(&body) {
            if !page.parent().unwrap().join(link).exists() {
                wrong.push(format!("{name}: a link to {link}, which is not there"));
            }
        }
        if name != "ARCHITECTURE.md" && !name.starts_with("docs/decisions/") {
            continue;
        }
        for word in code_words(&body) {
            if word.ends_with(".rs") && !files.iter().any(|file| is_file(file, word)) {
                wrong.push(format!("{name}: the file {word}, which is not there"));
            }
            if is_test_name(word) && !text.contains(&format!("fn {word}(")) {
                wrong.push(format!("{name}: the test {word}, which is not there"));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

fn pages(root: &Path) -> Vec<PathBuf> {
    let dirs = [root.to_owned(), root.join("docs"), root.join("docs/protocol"), root.join("docs/decisions")];
    let all = dirs.iter().flat_map(|dir| fs::read_dir(dir).unwrap()).map(|entry| entry.unwrap().path());
    let pages: Vec<_> =
        all.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect();
    assert!(pages.len() > 20, "{pages:?}");
    pages
}

/// The targets of links to files of the repository, without their anchors.
fn links(page: &str) -> impl Iterator<Item = &str> {
    let targets = page.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets
        .map(|target| target.split('#').next().unwrap_or_default())
        .filter(|t| !t.is_empty() && !t.contains("://"))
}

/// What stands between single backticks.
fn code_words(page: &str) -> impl Iterator<Item = &str> {
    page.lines().flat_map(|line| line.split('`').skip(1).step_by(2))
}

/// `core/node.rs` means `crates/core/src/node.rs`; a path from the root and a bare name are fine too.
fn is_file(file: &str, word: &str) -> bool {
    let within = word.split_once('/').map(|(name, rest)| format!("crates/{name}/src/{rest}"));
    file == word
        || within.is_some_and(|path| path == file)
        || (!word.contains('/') && file.ends_with(&format!("/{word}")))
}

/// Tests are sentences: at least four words in lower case.
fn is_test_name(word: &str) -> bool {
    word.matches('_').count() >= 3 && word.chars().all(|c| c.is_ascii_lowercase() || c == '_')
}
