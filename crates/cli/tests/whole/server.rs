//! `sosik serve` in a process of its own, on free ports.

use std::{
    fs::File,
    future::Future,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

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
    /// Where it has no configuration file, and its data.
    dir: PathBuf,
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
        Self::start_with(&[], &[]).await
    }

    /// A server with further options, run by the program that `under` names with its own.
    pub(crate) async fn start_with(under: &[&str], args: &[&str]) -> Self {
        let dir = scratch();
        let (child, http, tcp) = serve(&dir, under, args).await;
        Self { http, tcp, child, dir }
    }

    /// Its data directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.dir.join("sosik-data")
    }

    /// What it has said on standard error, over all its starts.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("log")).unwrap()
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// Ends it by SIGKILL, without a word.
    pub(crate) async fn kill(&mut self) {
        within(self.child.kill()).await.unwrap();
    }

    /// Sends SIGTERM and waits for its end.
    pub(crate) async fn stop(&mut self) {
        self.terminate().await;
        assert!(within(self.child.wait()).await.unwrap().success());
    }

    /// Starts it again on the same data, after [`Server::kill`] or [`Server::stop`].
    pub(crate) async fn again(&mut self) {
        (self.child, self.http, self.tcp) = serve(&self.dir, &[], &[]).await;
    }

    /// A command that talks to this server.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = sosik();
        command.args(args).env("SOSIK_SERVER", &self.http).env("SOSIK_TCP", &self.tcp).current_dir(&self.dir);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Sends it SIGTERM.
    pub(crate) async fn terminate(&self) {
        signal(&self.child, "TERM").await;
    }

    /// Runs a command, beside its data, to its end.
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

async fn serve(dir: &Path, under: &[&str], args: &[&str]) -> (Child, String, String) {
    let mut command = match under {
        [program, options @ ..] => {
            let mut command = Command::new(program);
            command.args(options).arg(SOSIK).kill_on_drop(true);
            command
        }
        [] => sosik(),
    };
    let mut child = command
        .args(["serve", "--demo", "--listen", "127.0.0.1:0", "--tcp-listen", "127.0.0.1:0"])
        .args(args)
        .current_dir(dir)
        .stdout(Stdio::piped())
        .stderr(File::options().create(true).append(true).open(dir.join("log")).unwrap())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = within(lines.next_line()).await.unwrap().unwrap();
    let rest = line.strip_prefix("sosik listening http=").unwrap();
    let (http, tcp) = rest.split_once(" tcp=").unwrap();
    (child, format!("http://{http}"), tcp.to_owned())
}

/// A directory of its own.
pub(crate) fn scratch() -> PathBuf {
    let dir = std::env::temp_dir().join(format!("sosik-cli-{:016x}", fastrand::u64(..)));
    std::fs::create_dir(&dir).unwrap();
    dir
}

impl Drop for Server {
    fn drop(&mut self) {
        // Dead before its files go: it would make new ones.
        drop(self.child.start_kill());
        while let Ok(None) = self.child.try_wait() {
            std::thread::sleep(Duration::from_millis(1));
        }
        drop(std::fs::remove_dir_all(&self.dir));
    }
}

pub(crate) async fn signal(child: &Child, name: &str) {
    let pid = child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-s", name, &pid]).status().await.unwrap().success());
}

fn sosik() -> Command {
    let mut command = Command::new(SOSIK);
    command.env_clear().kill_on_drop(true);
    command
}

const SOSIK: &str = env!("CARGO_BIN_EXE_sosik");

pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    timeout(Duration::from_secs(30), future).await.expect("nothing happened for 30 s")
}

/// What curl hears.
pub(crate) async fn curl(args: &[&str]) -> String {
    let run = Command::new("curl")
        .args(["--silent", "--show-error", "--noproxy", "*", "--max-time", "20"])
        .args(["-H", "Content-Type: application/json"])
        .args(args)
        .output();
    String::from_utf8(run.await.unwrap().stdout).unwrap()
}
