//! What is measured, in a process of its own: the `sosik` binary of the same build, or the floor.

use std::{
    fs,
    io::{self, BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, MutexGuard},
    thread,
    time::Duration,
};

use crate::{
    Failed,
    floor::{self, Floor},
    load::{Asker, Publisher},
    machine::anonymous_bytes,
};

/// A running process on ports of its own choice; it ends with its owner.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    pub(crate) http: SocketAddr,
    pub(crate) tcp: SocketAddr,
    is_floor: bool,
}

impl Process {
    /// A server with everything in memory, and the demo namespace.
    pub(crate) fn in_memory() -> Result<Self, Failed> {
        let mut command = Command::new(sosik()?);
        command.args(["serve", "--demo", "--store", "memory"]);
        Self::serve(command)
    }

    /// A server with its log and its configuration in `directory`.
    pub(crate) fn on_disk(directory: &Path, config: &str) -> Result<Self, Failed> {
        let path = directory.join("sosik.toml");
        fs::write(&path, config)?;
        let mut command = Command::new(sosik()?);
        command.args(["serve", "--config"]).arg(path).arg("--data").arg(directory.join("data"));
        Self::serve(command)
    }

    /// A floor, which does with its sample what its name says.
    pub(crate) fn floor(floor: Floor) -> Result<Self, Failed> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(floor.word());
        Self::spawn(command, true)
    }

    fn serve(mut command: Command) -> Result<Self, Failed> {
        // The load comes from a few addresses of loopback.
        command.args([
            "--listen",
            "127.0.0.1:0",
            "--tcp-listen",
            "127.0.0.1:0",
            "--connections-per-address-max",
            "0",
        ]);
        Self::spawn(command, false)
    }

    fn spawn(mut command: Command, is_floor: bool) -> Result<Self, Failed> {
        command
            .current_dir(std::env::temp_dir())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.spawn()?;
        let stdout = child.stdout.take().ok_or("the process has no output")?;
        let nowhere = SocketAddr::from(([0; 4], 0));
        // From here on it ends with its owner, also if it says nothing of use.
        let mut process = Self { child, http: nowhere, tcp: nowhere, is_floor };
        running()?.push(process.pid());
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let address = |key: &str| {
            let found = line.split_whitespace().find_map(|word| word.strip_prefix(key));
            found.and_then(|text| text.parse().ok()).ok_or_else(|| format!("no {key} in {line:?}"))
        };
        (process.http, process.tcp) = (address("http=")?, address("tcp=")?);
        Ok(process)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn anonymous_bytes(&self) -> io::Result<u64> {
        anonymous_bytes(self.pid())
    }

    pub(crate) fn asker(&self) -> Result<Asker, Failed> {
        Asker::open(self.http)
    }

    /// Who publishes to it. The floor learns by it what to send.
    pub(crate) fn publisher(&self, sample: &[u8]) -> Result<Publisher, Failed> {
        if !self.is_floor {
            return Publisher::to_server(self.http);
        }
        let mut publisher = Publisher::to_floor(self.tcp)?;
        floor::hand_over(publisher.socket(), sample)?;
        Ok(publisher)
    }

    /// That it lives: figures of a process that has died mean nothing.
    pub(crate) fn check(&mut self) -> Result<(), Failed> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => Err(format!("the measured process has ended: {status}").into()),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let pid = self.pid();
        let _ = running().map(|mut running| running.retain(|running| *running != pid));
        // Nothing of it is needed any more; the operating system takes the rest.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Ends this program and what it has started when `most` is over, whatever it waits for.
pub(crate) fn end_after(most: Duration) -> io::Result<()> {
    let end = move || {
        thread::sleep(most);
        eprintln!("the run takes longer than {} minutes and is ended", most.as_secs() / 60);
        let pids = running().map(|running| running.clone()).unwrap_or_default();
        let _ = Command::new("kill").arg("-9").args(pids.iter().map(u32::to_string)).status();
        std::process::exit(1);
    };
    thread::Builder::new().name("end".into()).spawn(end).map(drop)
}

/// The processes that were started and not ended.
fn running() -> Result<MutexGuard<'static, Vec<u32>>, Failed> {
    static RUNNING: Mutex<Vec<u32>> = Mutex::new(Vec::new());
    RUNNING.lock().map_err(|_| "a thread of the load has failed".into())
}

/// A directory on the disk under measurement; it goes with its owner.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// Below `SOSIK_BENCH_DIR`, by default the system's temporary directory. It must not lie in memory.
    pub(crate) fn new() -> io::Result<Self> {
        let below = std::env::var_os("SOSIK_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
        let path = below.join(format!("sosik-bench-{}", std::process::id()));
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// `sosik` beside this program.
fn sosik() -> Result<PathBuf, Failed> {
    let path = std::env::current_exe()?.with_file_name("sosik");
    if path.exists() {
        Ok(path)
    } else {
        Err(format!("{} is missing; `make bench` builds it", path.display()).into())
    }
}

/// A configuration with the namespace of the demo, for a log on disk.
pub(crate) const DEMO: &str =
    "[[namespace]]\nname = \"demo\"\nread = \"anyone\"\npublish = \"anyone\"\nhistory = \"anyone\"\n";
