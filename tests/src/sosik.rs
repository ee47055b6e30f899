//! The binary as an operator runs it: `sosik serve` in a process of its own, on free ports of loopback.

use std::{
    env,
    ffi::OsString,
    fs,
    io::{self, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::timeout,
};

use crate::{process::PATIENCE, workspace};

/// How to start it: options behind `sosik serve`, and what its configuration file says.
#[derive(Debug, Clone, Default)]
pub struct Serve {
    /// Options, without addresses, `--data` and `--config`. Unless they say `--connections-per-address-max` there is no limit: all
    /// of a test's clients come from one address.
    pub args: Vec<String>,
    /// The text of its `sosik.toml`.
    pub config: String,
    /// What it is started through: a program that it takes the place of, with its arguments. Empty for none.
    pub through: Vec<String>,
}

impl Serve {
    /// Namespaces that are open for anyone, each with more lines of its table, such as `events_max = 16`.
    #[must_use]
    pub fn open(namespaces: &[(&str, &str)]) -> Self {
        let table = |(name, more): &(&str, &str)| {
            format!(
                "[[namespace]]\nname = \"{name}\"\nread = \"anyone\"\npublish = \"anyone\"\nhistory = \"anyone\"\n{more}\n"
            )
        };
        Self { config: namespaces.iter().map(table).collect(), ..Self::default() }
    }

    /// Starts it on a directory; its configuration and what it says lie beside that, in `near`.
    ///
    /// # Errors
    /// [`Ended`] when it ends before it listens.
    ///
    /// # Panics
    /// When it can neither be started nor ends within [`PATIENCE`].
    pub async fn start(&self, data: &Path, near: &Path) -> Result<Sosik, Ended> {
        let mut starting = self.begin(data, near);
        let listening = timeout(PATIENCE, starting.listening()).await;
        listening.unwrap_or_else(|_| panic!("sosik serve neither listens nor ends: {}", starting.said()))?;
        Ok(Sosik { http: starting.http, tcp: starting.tcp, starting })
    }

    /// Starts it and does not wait until it listens.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn begin(&self, data: &Path, near: &Path) -> Starting {
        let config = near.join("sosik.toml");
        fs::write(&config, &self.config).expect("the configuration can be written");
        let said = near.join("said");
        let err =
            fs::OpenOptions::new().create(true).append(true).open(&said).expect("a file for what it says");
        let said_from = err.metadata().map_or(0, |file| file.len());
        let mut command = command_through(&self.through);
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--tcp-listen", "127.0.0.1:0", "--config"])
            .arg(&config)
            .arg("--data")
            .arg(data)
            .args(&self.args)
            .args(
                self.args.iter().all(|arg| arg != PER_ADDRESS).then_some([PER_ADDRESS, "0"]).iter().flatten(),
            )
            .current_dir(near)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(err)
            .kill_on_drop(true);
        let child = command.spawn().expect("sosik can be started");
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        Starting { child, http: nowhere, tcp: nowhere, said, said_from }
    }
}

/// A server that is not known to listen yet. Dropping it kills it.
#[derive(Debug)]
pub struct Starting {
    child: Child,
    http: SocketAddr,
    tcp: SocketAddr,
    said: PathBuf,
    said_from: u64,
}

impl Starting {
    async fn listening(&mut self) -> Result<(), Ended> {
        let output = self.child.stdout.take().expect("its output is piped");
        let line = BufReader::new(output).lines().next_line().await.ok().flatten();
        let address = |key: &str| {
            let found = line
                .as_deref()
                .and_then(|line| line.split_whitespace().find_map(|word| word.strip_prefix(key)));
            found.and_then(|text| text.parse().ok())
        };
        match (address("http="), address("tcp=")) {
            (Some(http), Some(tcp)) => {
                (self.http, self.tcp) = (http, tcp);
                Ok(())
            }
            _ => Err(self.ended().await),
        }
    }

    async fn ended(&mut self) -> Ended {
        let status = self.child.wait().await.expect("its end can be waited for");
        Ended { status, said: self.said() }
    }

    /// Kills it with SIGKILL and waits until it is gone.
    ///
    /// # Panics
    /// When it cannot be killed.
    pub async fn kill(mut self) {
        self.child.kill().await.expect("it can be killed");
    }

    /// What it has said on standard error since it was started.
    fn said(&self) -> String {
        let all = fs::read(&self.said).unwrap_or_default();
        let own = all.get(usize::try_from(self.said_from).unwrap_or(usize::MAX)..).unwrap_or_default();
        String::from_utf8_lossy(own).into_owned()
    }
}

/// A server that listens. Dropping it kills it.
#[derive(Debug)]
pub struct Sosik {
    /// Where its HTTP is.
    pub http: SocketAddr,
    /// Where its TCP is.
    pub tcp: SocketAddr,
    starting: Starting,
}

impl Sosik {
    /// Its process.
    ///
    /// # Panics
    /// When it has ended and was waited for.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.starting.child.id().expect("it is running")
    }

    /// Kills it with SIGKILL and waits until it is gone.
    pub async fn kill(self) {
        self.starting.kill().await;
    }

    /// Asks it to stop (SIGTERM) and waits for its end.
    ///
    /// # Panics
    /// When it does not end within [`PATIENCE`].
    pub async fn stop(mut self) -> Ended {
        signal(self.pid(), "TERM");
        let ended = timeout(PATIENCE, self.starting.ended()).await;
        ended.unwrap_or_else(|_| panic!("sosik does not stop: {}", self.said()))
    }

    /// Whether it is still running.
    pub fn is_running(&mut self) -> bool {
        matches!(self.starting.child.try_wait(), Ok(None))
    }

    /// What it has said on standard error.
    #[must_use]
    pub fn said(&self) -> String {
        self.starting.said()
    }
}

/// How it ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code, or the signal.
    pub status: ExitStatus,
    /// What it said on standard error.
    pub said: String,
}

/// Sends a signal to a process that the test has started.
///
/// # Panics
/// When it cannot be sent.
pub fn signal(pid: u32, name: &str) {
    let ran = std::process::Command::new("kill").args(["-s", name, &pid.to_string()]).status();
    assert!(ran.is_ok_and(|status| status.success()), "SIG{name} cannot be sent to {pid}");
}

/// Runs another command of the binary to its end, such as `backup`, through what [`Serve::through`] says.
///
/// # Errors
/// When it cannot be started or takes longer than [`PATIENCE`].
pub async fn run(through: &[String], args: &[&str]) -> io::Result<std::process::Output> {
    let mut command = command_through(through);
    command.args(args).stdin(Stdio::null()).kill_on_drop(true);
    timeout(PATIENCE, command.output()).await?
}

/// The binary in an empty environment.
fn command_through(through: &[String]) -> Command {
    let words: Vec<_> = through.iter().map(OsString::from).chain([binary().into()]).collect();
    let mut command = Command::new(&words[0]);
    command.env_clear().args(&words[1..]);
    command
}

/// The binary of this build: two directories above the test program.
///
/// A run of the whole workspace builds it. A run of this package alone does not, so an old one is refused rather than
/// judged in place of the tree.
///
/// # Panics
/// When it is missing, or older than a source that it is made of.
#[must_use]
pub fn binary() -> PathBuf {
    let own = env::current_exe().expect("this program has a path");
    let path = own.ancestors().nth(2).expect("it lies in target/PROFILE/deps").join("sosik");
    refuse_old(&path, MADE_OF, "cargo build -p sosik-cli (cargo nextest run --workspace does)");
    path
}

/// Fails when `program` is missing, or older than a source below one of these directories of the repository.
///
/// # Panics
/// When it is; the message says how to build it.
pub fn refuse_old(program: &Path, made_of: &[&str], build: &str) {
    let Ok(built) = program.metadata().and_then(|file| file.modified()) else {
        panic!("{} is missing; build it: {build}", program.display())
    };
    for part in made_of {
        let files = workspace::rust_files(&workspace::root().join(part));
        for file in files.expect("the sources can be listed") {
            let changed = file.metadata().and_then(|file| file.modified()).expect("a source has a time");
            let (program, file) = (program.display(), file.display());
            assert!(changed <= built, "{program} is older than {file}; build it: {build}");
        }
    }
}

/// Says something that a reader of a failed test wants to know, at once.
pub fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// The crates of which the binary is made.
#[rustfmt::skip]
const MADE_OF: &[&str] = &[
    "crates/core/src", "crates/wire/src", "crates/store/src", "crates/transport/src", "crates/server/src", "crates/client/src",
    "crates/cli/src",
];
const PER_ADDRESS: &str = "--connections-per-address-max";
