//! `sosik serve` in a process of its own, on free ports.

use std::{future::Future, process::Stdio, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{Child, Command},
    time::timeout,
};

/// A server; killed when dropped.
pub(crate) struct Server {
    pub(crate) http: String,
    pub(crate) tcp: String,
    child: Child,
    /// Where it has no configuration file.
    dir: std::path::PathBuf,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let dir = std::env::temp_dir().join(format!("sosik-cli-{:016x}", fastrand::u64(..)));
        std::fs::create_dir(&dir).unwrap();
        let mut child = sosik()
            .args(["serve", "--demo", "--listen", "127.0.0.1:0", "--tcp-listen", "127.0.0.1:0"])
            .current_dir(&dir)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = within(lines.next_line()).await.unwrap().unwrap();
        let rest = line.strip_prefix("sosik listening http=").unwrap();
        let (http, tcp) = rest.split_once(" tcp=").unwrap();
        Self { http: format!("http://{http}"), tcp: tcp.to_owned(), child, dir }
    }

    /// A command that talks to this server.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = sosik();
        command.args(args).env("SOSIK_SERVER", &self.http).env("SOSIK_TCP", &self.tcp);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Sends it SIGTERM.
    pub(crate) async fn terminate(&self) {
        signal(&self.child, "TERM").await;
    }

    /// Runs a command to its end.
    pub(crate) async fn run(&self, args: &[&str], input: impl AsRef<[u8]>) -> Ended {
        let mut child = self.command(args).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_ref()).await.unwrap();
        let output = within(child.wait_with_output()).await.unwrap();
        Ended {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.dir));
    }
}

pub(crate) async fn signal(child: &Child, name: &str) {
    let pid = child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-s", name, &pid]).status().await.unwrap().success());
}

fn sosik() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sosik"));
    command.env_clear().kill_on_drop(true);
    command
}

pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    timeout(Duration::from_secs(30), future).await.expect("nothing happened for 30 s")
}
