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
    pub(crate) async fn start() -> Result<Self, Box<dyn Error>> {
        let mut command = Command::new(binary()?);
        command.args(["serve", "--demo", "--store", "memory"]);
        Self::run(command).await
    }

    /// With its log and its configuration in `directory`.
    pub(crate) async fn on_disk(directory: &Path, config: &str) -> Result<Self, Box<dyn Error>> {
        let path = directory.join("sosik.toml");
        fs::write(&path, config)?;
        let mut command = Command::new(binary()?);
        command.args(["serve", "--config"]).arg(path).arg("--data").arg(directory.join("data"));
        Self::run(command).await
    }

    async fn run(mut command: Command) -> Result<Self, Box<dyn Error>> {
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

    pub(crate) fn cpu(&self) -> io::Result<Cpu> {
        Cpu::of_process(self.pid)
    }

    pub(crate) fn anonymous_bytes(&self) -> io::Result<u64> {
        anonymous_bytes(self.pid)
    }

    pub(crate) async fn publisher(&self) -> io::Result<Publisher> {
        Ok(Publisher { socket: TcpStream::connect(self.http).await? })
    }

    pub(crate) async fn stop(mut self) {
        // Nothing of it is needed any more; the operating system takes the rest.
        let _ = self.child.start_kill();
        let _ = tokio::time::timeout(Duration::from_secs(5), self.child.wait()).await;
    }
}

/// One connection that publishes, an event at a time.
pub(crate) struct Publisher {
    socket: TcpStream,
}

impl Publisher {
    pub(crate) async fn publish(&mut self, data: &str) -> Result<(), Box<dyn Error>> {
        self.publish_to(CHANNEL, data).await
    }

    pub(crate) async fn publish_to(&mut self, channel: &str, data: &str) -> Result<(), Box<dyn Error>> {
        self.post(&format!("{{\"channel\":\"{channel}\",\"data\":{data}}}")).await
    }

    /// Publishes `body` as it is.
    pub(crate) async fn post(&mut self, body: &str) -> Result<(), Box<dyn Error>> {
        let head = format!(
            "POST /v1/publish HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        self.socket.write_all((head + body).as_bytes()).await?;
        let mut answer = Vec::new();
        while !is_whole(&answer) {
            if self.socket.read_buf(&mut answer).await? == 0 {
                return Err("the publisher was cut".into());
            }
        }
        let text = String::from_utf8_lossy(&answer);
        if text.starts_with("HTTP/1.1 200") { Ok(()) } else { Err(format!("refused: {text}").into()) }
    }
}

/// Whether an answer with a `Content-Length` has come to its end.
fn is_whole(answer: &[u8]) -> bool {
    let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length = length.and_then(|text| text.trim().parse::<usize>().ok()).unwrap_or(0);
    answer.len() >= end + 4 + length
}

/// `sosik` beside this program.
fn binary() -> Result<PathBuf, Box<dyn Error>> {
    let path = std::env::current_exe()?.with_file_name("sosik");
    if path.exists() {
        Ok(path)
    } else {
        Err(format!("{} is missing; `make bench` builds it", path.display()).into())
    }
}

/// What everybody reads.
pub(crate) const CHANNEL: &str = "demo:bench";
