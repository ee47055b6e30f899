//! The commands in README.md and README.ko.md work as printed, and print what is printed below them.
//!
//! Every `sh` block is run by bash, in order, against a real server on ports of its own; the `text` block after it is what must
//! come out, with `…` for what differs each time. `make` is not run here: its targets must exist.
#![allow(clippy::unwrap_used)]

use std::{
    env, fs,
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
};

// Mutants, each planted and seen to fail: `seq` 3 in the text below the long-poll; `/v1/streams` in the stream's command;
// `make runs`; `--transport sockets`; `publsh = "anyone"` in the example of sosik.toml.
#[test]
fn the_commands_of_the_readme_work_as_printed() {
    works_as_printed("README.md", 13);
}

// Mutant: `seq` 2 in its text -> fails.
#[test]
fn the_commands_of_the_korean_readme_work_as_printed() {
    works_as_printed("README.ko.md", 4);
}

/// `least` guards against a reading of the page that finds nothing.
fn works_as_printed(page: &str, least: usize) {
    let blocks = blocks(&fs::read_to_string(root().join(page)).unwrap());
    assert!(blocks.iter().filter(|block| block.language == "sh").count() >= least, "{page}: {blocks:?}");
    for toml in blocks.iter().filter(|block| block.language == "toml") {
        is_a_configuration(&toml.text);
    }
    let server = Server::start(&["--demo"]);
    let mut rest = blocks.iter().peekable();
    while let Some(block) = rest.next() {
        if block.language != "sh" {
            continue;
        }
        if let Some(target) = block.text.trim().strip_prefix("make ") {
            is_a_target(target);
            continue;
        }
        let printed = server.run(&block.text);
        if let Some(shown) = rest.next_if(|next| next.language == "text") {
            assert!(
                matches(shown.text.trim_end(), printed.trim_end()),
                "{page}:{}\n{}\nprinted\n{printed}\nand not\n{}",
                block.line,
                block.text,
                shown.text
            );
        }
    }
}

#[derive(Debug)]
struct Block {
    language: String,
    line: usize,
    text: String,
}

fn blocks(page: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut inside = false;
    for (line, number) in page.lines().zip(1..) {
        match (line.strip_prefix("```"), inside) {
            (Some(language), false) => {
                blocks.push(Block { language: language.to_owned(), line: number, text: String::new() });
                inside = true;
            }
            (Some(_), true) => inside = false,
            (None, true) => {
                let text = &mut blocks.last_mut().unwrap().text;
                text.push_str(line);
                text.push('\n');
            }
            (None, false) => {}
        }
    }
    blocks
}

/// Whether `printed` is `shown`, where each `…` stands for anything on its line, also nothing.
fn matches(shown: &str, printed: &str) -> bool {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let (shown, printed) = (lines(shown), lines(printed));
    shown.len() == printed.len()
        && shown.iter().zip(&printed).all(|(shown, printed)| line_matches(shown, printed))
}

fn line_matches(shown: &str, printed: &str) -> bool {
    let mut parts = shown.split('…');
    let Some(mut rest) = parts.next().and_then(|first| printed.strip_prefix(first)) else { return false };
    let mut parts = parts.peekable();
    let mut open = false;
    while let Some(part) = parts.next() {
        open = true;
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    open || rest.is_empty()
}

// Mutant: `rest.is_empty()` left out -> a longer line passes.
#[test]
fn a_wildcard_stands_for_anything_on_its_line_and_for_nothing_else() {
    for (shown, printed) in [
        ("a", "a"),
        ("a…c", "abc"),
        ("a…c", "ac"),
        ("…", "a"),
        ("a…", "a"),
        ("a…b…", "a1b2"),
        ("a\nb", "a\nb"),
    ] {
        assert!(matches(shown, printed), "{shown:?} {printed:?}");
    }
    for (shown, printed) in
        [("a", "ab"), ("a…c", "abcd"), ("a…b…c", "ac"), ("a…", "ba"), ("a", "a\nb"), ("…", "a\nb")]
    {
        assert!(!matches(shown, printed), "{shown:?} {printed:?}");
    }
}

fn is_a_target(target: &str) {
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    assert!(
        makefile.lines().any(|line| line.starts_with(&format!("{target}:"))),
        "make {target}: no such target"
    );
}

/// A server that is configured like this starts.
fn is_a_configuration(toml: &str) {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("readme-{}.toml", std::process::id()));
    fs::write(&path, toml).unwrap();
    let server = Server::start(&["--config", path.to_str().unwrap()]);
    drop(server);
    fs::remove_file(path).unwrap();
}

struct Server {
    child: Child,
    http: SocketAddr,
    tcp: SocketAddr,
    /// Where its events lie.
    data: PathBuf,
    /// Where the commands of the page are run.
    beside: PathBuf,
}

impl Server {
    fn start(args: &[&str]) -> Self {
        let data =
            PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("readme-{:016x}", fastrand::u64(..)));
        let beside = data.with_extension("beside");
        fs::create_dir(&beside).unwrap();
        let mut child = Command::new(SOSIK)
            .args(["serve", "--listen", "127.0.0.1:0", "--tcp-listen", "127.0.0.1:0", "--data"])
            .arg(&data)
            .args(args)
            .current_dir(env!("CARGO_TARGET_TMPDIR"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address =
            |key: &str| line.split_whitespace().find_map(|word| word.strip_prefix(key)?.parse().ok());
        match (address("http="), address("tcp=")) {
            (Some(http), Some(tcp)) => Self { child, http, tcp, data, beside },
            _ => {
                let _ = child.kill();
                panic!("the server did not start: {line:?} {:?}", child.wait());
            }
        }
    }

    /// What a block prints, with the ports and the program of this test in place of those of the page.
    fn run(&self, block: &str) -> String {
        let script = block
            .replace("localhost:7171", &format!("localhost:{}", self.http.port()))
            .replace("localhost 7172", &format!("localhost {}", self.tcp.port()))
            .replace("target/release/sosik", SOSIK);
        // What bash leaves in the background must not keep the pipe open for ever.
        let mut bash = Command::new("timeout")
            .args(["-s", "KILL", RUN_S_MAX, "bash", "-c", &script])
            .env("SOSIK_SERVER", format!("http://{}", self.http))
            .env("SOSIK_TCP", self.tcp.to_string())
            .env_remove("http_proxy")
            .env("SOSIK_DATA", &self.data)
            .current_dir(&self.beside)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = bash.stderr.take().unwrap();
        let complaints = thread::spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).unwrap();
            text
        });
        let mut printed = String::new();
        bash.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
        let status = bash.wait().unwrap();
        let complaints = complaints.join().unwrap();
        assert!(is_good(status, block), "{block}\n{status}\n{printed}\n{complaints}");
        printed
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.data);
        let _ = fs::remove_dir_all(&self.beside);
    }
}

/// 28 is curl's word for the end of `--max-time`, 124 that of `timeout`.
fn is_good(status: ExitStatus, block: &str) -> bool {
    match status.code() {
        Some(0) => true,
        Some(28) => block.contains("--max-time"),
        Some(124) => block.contains("timeout"),
        _ => false,
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap()
}

const SOSIK: &str = env!("CARGO_BIN_EXE_sosik");
/// Seconds after which a block that hangs is killed.
const RUN_S_MAX: &str = "60";
