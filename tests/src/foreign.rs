//! Clients that are not ours, as processes: the `eventsource` package of npm, Python's `websockets`, Chromium.
//!
//! The scripts in `tests/foreign/` say what each prints. `make tools` installs what they need; when it is not there the
//! script fails and so does the test that called it. Every run is bounded, and dropping it ends the process.

use std::{fmt, io, process::Stdio, time::Duration};

use serde_json::Value;
use tokio::{process::Command, time::timeout};

use crate::workspace;

/// Follows an SSE address with npm's `eventsource` until `count` messages came: one `{"id","data"}` each.
///
/// `last_event_id` is what a reloaded page would start with.
///
/// # Errors
/// When node cannot be started or takes longer than [`PATIENCE`].
pub async fn eventsource(url: &str, count: usize, last_event_id: Option<&str>) -> io::Result<Ran> {
    let count = count.to_string();
    let mut args = vec![url, &count];
    args.extend(last_event_id);
    run(node("eventsource.mjs").args(args)).await
}

/// Sends two frames (an empty one is left out) with Python's `websockets` and collects `count` frames in answer.
///
/// # Errors
/// When Python cannot be started or takes longer than [`PATIENCE`].
pub async fn websocket(url: &str, hello: &str, subscribe: &str, count: usize) -> io::Result<Ran> {
    run(python("websocket.py").args([url, hello, subscribe, &count.to_string()])).await
}

/// Publishes `text` in three fragments with Python's `websockets`, pings before and after it, and ends when both were
/// answered: the frames as they came, then `{"pong": true}` twice.
///
/// # Errors
/// When Python cannot be started or takes longer than [`PATIENCE`].
pub async fn websocket_parts(url: &str, channel: &str, text: &str) -> io::Result<Ran> {
    run(python("websocket_parts.py").args([url, channel, text])).await
}

/// Asks of the echo at `url` what RFC 6455 asks of a server, case by case: each that fails, then `{"cases": COUNT}`.
///
/// # Errors
/// When Python cannot be started or takes longer than [`PATIENCE`].
pub async fn websocket_cases(url: &str) -> io::Result<Ran> {
    run(python("websocket_cases.py").args([url])).await
}

/// Opens `url` in Chromium and does `steps` (`eval:…`, `wait:…`, `click:…`; all are in `page.mjs`).
///
/// The first line is the step that opened the page.
///
/// # Errors
/// When node cannot be started or takes longer than [`PATIENCE`].
pub async fn page(url: &str, steps: &[&str]) -> io::Result<Ran> {
    page_in("en-GB", url, steps).await
}

/// [`page`] for a person whose `navigator.language` is `language`.
///
/// # Errors
/// As [`page`].
pub async fn page_in(language: &str, url: &str, steps: &[&str]) -> io::Result<Ran> {
    run(node("page.mjs").env("PAGE_LANGUAGE", language).arg(url).args(steps)).await
}

/// What a foreign client left behind.
pub struct Ran {
    /// Whether it ended with 0.
    pub ok: bool,
    /// What it printed, one JSON value per line; a line that is not JSON is kept as a string.
    pub lines: Vec<Value>,
    /// What it said on standard error: its warnings, and the console of a page.
    pub stderr: String,
}

impl Ran {
    /// The lines of a client that ended well.
    ///
    /// # Panics
    /// When it did not, with all it printed: that is the failure of the test.
    #[must_use]
    pub fn expect_ok(self) -> Vec<Value> {
        assert!(self.ok, "{self:?}");
        self.lines
    }
}

impl fmt::Debug for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "the foreign client {}", if self.ok { "ended well" } else { "failed" })?;
        for line in &self.lines {
            writeln!(f, "  {line}")?;
        }
        write!(f, "{}", self.stderr)
    }
}

/// Longer than any of them needs on a busy machine; a client that hangs ends here.
pub const PATIENCE: Duration = Duration::from_secs(90);

fn node(name: &str) -> Command {
    let mut command = Command::new("node");
    command.arg(script(name));
    command
}

fn python(name: &str) -> Command {
    let mut command = Command::new(workspace::root().join(".cache/venv/bin/python"));
    command.arg(script(name));
    command
}

fn script(name: &str) -> std::path::PathBuf {
    workspace::root().join("tests/foreign").join(name)
}

async fn run(command: &mut Command) -> io::Result<Ran> {
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let output = timeout(PATIENCE, output).await.map_err(io::Error::from)??;
    let text = String::from_utf8_lossy(&output.stdout);
    let lines =
        text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| Value::from(line))).collect();
    Ok(Ran {
        ok: output.status.success(),
        lines,
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}
