//! Programs that the tests run: with bounds on every wait, and ended with the test.

use std::{ffi::OsStr, io, net::SocketAddr, process::Stdio, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::{Child, Command},
    time::timeout,
};

/// A program at work. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    child: Child,
    seen: Vec<u8>,
}

impl Process {
    /// Starts a program, found through the path or in `/usr/sbin`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start<S: AsRef<OsStr>>(program: &str, args: &[S]) -> io::Result<Self> {
        let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
        let mut command = Command::new(program);
        command.args(args).env("PATH", path).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(Self { child: command.spawn()?, seen: Vec::new() })
    }

    /// Writes to its standard input and, with `end`, closes it.
    ///
    /// # Errors
    /// When it does not take the bytes.
    pub async fn write(&mut self, bytes: &[u8], end: bool) -> io::Result<()> {
        let mut input = self.child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
        input.write_all(bytes).await?;
        input.flush().await?;
        if !end {
            self.child.stdin = Some(input);
        }
        Ok(())
    }

    /// Waits until all that it printed so far is `enough`, and returns it.
    ///
    /// # Errors
    /// When it ends before that or takes longer than [`PATIENCE`]; the text is what it printed.
    pub async fn until(&mut self, enough: impl Fn(&[u8]) -> bool) -> io::Result<&[u8]> {
        let output = self.child.stdout.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        let seen = &mut self.seen;
        let reading = async {
            while !enough(seen) {
                if output.read_buf(seen).await? == 0 {
                    return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
                }
            }
            Ok(())
        };
        let read = timeout(PATIENCE, reading).await.unwrap_or_else(|late| Err(late.into()));
        read.map_err(|error| io::Error::other(format!("{error}: {}", String::from_utf8_lossy(&self.seen))))?;
        Ok(&self.seen)
    }

    /// Waits for its end and returns all it printed.
    ///
    /// # Errors
    /// When it ends with another code than 0, with what it said on standard error, or takes longer than [`PATIENCE`].
    pub async fn end(mut self) -> io::Result<Vec<u8>> {
        drop(self.child.stdin.take());
        let output = timeout(PATIENCE, self.child.wait_with_output()).await??;
        self.seen.extend(output.stdout);
        if output.status.success() {
            return Ok(self.seen);
        }
        let (seen, said) = (String::from_utf8_lossy(&self.seen), String::from_utf8_lossy(&output.stderr));
        Err(io::Error::other(format!("{}: {said}\n{seen}", output.status)))
    }
}

/// Runs curl to its end and returns the body. `--no-buffer`, silence and a bound are added.
///
/// # Errors
/// As [`Process::end`].
pub async fn curl(args: &[&str]) -> io::Result<Vec<u8>> {
    curl_starts(args)?.end().await
}

/// Starts curl on an answer that may not end.
///
/// # Errors
/// As [`Process::start`].
pub fn curl_starts(args: &[&str]) -> io::Result<Process> {
    Process::start(
        "curl",
        &[&["--no-buffer", "--silent", "--show-error", "--noproxy", "*", "--max-time", "60"], args].concat(),
    )
}

/// Publishes to `demo:lobby` with curl and returns the `ok`.
///
/// # Errors
/// As [`curl`], and when the answer is no JSON.
pub async fn publish(http: SocketAddr, data: &Value) -> io::Result<Value> {
    let body = json!({ "channel": "demo:lobby", "data": data }).to_string();
    let answer = curl(&["--json", &body, &format!("http://{http}/v1/publish")]).await?;
    serde_json::from_slice(&answer).map_err(io::Error::other)
}

/// Longer than anything here needs on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);
