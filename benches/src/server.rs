//! The server under measurement: the `sosik` binary of the same build, in a process of its own.

use std::{
    error::Error,
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    process::{Child, Command},
};

use crate::machine::{Cpu, anonymous_bytes};

/// A running server on ports of its own choice.
pub(crate) struct Server {
    child: Child,
    pid: u32,
    pub(crate) http: SocketAddr,
    pub(crate) tcp: SocketAddr,
}

impl Server {
    /// Everything in memory, and the demo namespace.
    pub(crate) async fn start() -> Result<Self, Failed> {
        let mut command = Command::new(binary()?);
        command.args(["serve", "--demo", "--store", "memory"]);
        Self::run(command).await
    }

    /// With its log and its configuration in `directory`.
    pub(crate) async fn on_disk(directory: &Path, config: &str) -> Result<Self, Failed> {
        let path = directory.join("sosik.toml");
        fs::write(&path, config)?;
        let mut command = Command::new(binary()?);
        command.args(["serve", "--config"]).arg(path).arg("--data").arg(directory.join("data"));
        Self::run(command).await
    }

    async fn run(mut command: Command) -> Result<Self, Failed> {
        command
            .args(["--listen", "127.0.0.1:0", "--tcp-listen", "127.0.0.1:0"])
            .current_dir(std::env::temp_dir())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        let mut child = command.spawn()?;
        let pid = child.id().ok_or("the server ended at once")?;
        let stdout = child.stdout.take().ok_or("the server has no output")?;
        let mut lines = BufReader::new(stdout).lines();
        let line = lines.next_line().await?.ok_or("the server ended before it was ready")?;
        let address = |key: &str| {
            let found = line.split_whitespace().find_map(|word| word.strip_prefix(key));
            found.and_then(|text| text.parse().ok()).ok_or_else(|| format!("no {key} in {line:?}"))
        };
        Ok(Self { pid, http: address("http=")?, tcp: address("tcp=")?, child })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    pub(crate) fn cpu(&self) -> io::Result<Cpu> {
        Cpu::of_process(self.pid)
    }

    pub(crate) fn anonymous_bytes(&self) -> io::Result<u64> {
        anonymous_bytes(self.pid)
    }

    pub(crate) async fn asker(&self) -> io::Result<Asker> {
        let socket = TcpStream::connect(self.http).await?;
        socket.set_nodelay(true)?;
        Ok(Asker { socket, answer: Vec::new() })
    }

    pub(crate) async fn stop(mut self) {
        // Nothing of it is needed any more; the operating system takes the rest.
        let _ = self.child.start_kill();
        let _ = tokio::time::timeout(Duration::from_secs(5), self.child.wait()).await;
    }
}

/// A directory on the disk under measurement; it goes with its owner.
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

/// One connection that asks and waits for the answer, kept alive.
pub(crate) struct Asker {
    socket: TcpStream,
    answer: Vec<u8>,
}

impl Asker {
    pub(crate) async fn publish(&mut self, data: &str) -> Result<(), Failed> {
        self.publish_to(CHANNEL, data).await
    }

    pub(crate) async fn publish_to(&mut self, channel: &str, data: &str) -> Result<(), Failed> {
        self.post(&event(channel, data)).await
    }

    /// Publishes `body` as it is.
    pub(crate) async fn post(&mut self, body: &str) -> Result<(), Failed> {
        self.ask(&request_of(body)).await
    }

    /// Sends a whole request; its answer must be 200 and have a length.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> Result<(), Failed> {
        self.socket.write_all(request).await?;
        self.answer.clear();
        while !is_whole(&self.answer) {
            if self.socket.read_buf(&mut self.answer).await? == 0 {
                return Err("the connection was cut".into());
            }
        }
        if self.answer.starts_with(b"HTTP/1.1 200") {
            return Ok(());
        }
        Err(format!("refused: {}", String::from_utf8_lossy(&self.answer)).into())
    }
}

/// The body of a publish.
pub(crate) fn event(channel: &str, data: &str) -> String {
    format!("{{\"channel\":\"{channel}\",\"data\":{data}}}")
}

/// The request with this body.
pub(crate) fn request_of(body: &str) -> Vec<u8> {
    let head = format!(
        "POST /v1/publish HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    (head + body).into_bytes()
}

/// What a task of the load may end with.
pub(crate) type Failed = Box<dyn Error + Send + Sync>;

/// Whether an answer with a `Content-Length` has come to its end.
fn is_whole(answer: &[u8]) -> bool {
    let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&answer[..end]);
    let length = head
        .lines()
        .find_map(|line| line.split_once(": ").filter(|(key, _)| key.eq_ignore_ascii_case("content-length")));
    let length = length.and_then(|(_, text)| text.trim().parse::<usize>().ok()).unwrap_or(0);
    answer.len() >= end + 4 + length
}

/// `sosik` beside this program.
fn binary() -> Result<PathBuf, Failed> {
    let path = std::env::current_exe()?.with_file_name("sosik");
    if path.exists() {
        Ok(path)
    } else {
        Err(format!("{} is missing; `make bench` builds it", path.display()).into())
    }
}

/// What everybody reads.
pub(crate) const CHANNEL: &str = "demo:bench";
/// A configuration with the namespace of the demo, for a log on disk.
pub(crate) const DEMO: &str =
    "[[namespace]]\nname = \"demo\"\nread = \"anyone\"\npublish = \"anyone\"\nhistory = \"anyone\"\n";
