//! What the machine is and what it spent, from `/proc`.

use std::{
    fs,
    io::{self, Seek, Write},
    path::Path,
    time::Duration,
};

use tokio::time::Instant;

/// CPU time at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cpu(Duration);

impl Cpu {
    /// User and system time of a process with all its threads, in steps of 10 ms.
    pub(crate) fn of_process(pid: u32) -> io::Result<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The name in parentheses may hold anything; fields are counted behind it.
        let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let ticks: u64 =
            rest.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
        Ok(Self(Duration::from_millis(ticks * TICK_MS)))
    }

    /// Busy time of all processors together.
    pub(crate) fn of_machine() -> io::Result<Self> {
        let stat = fs::read_to_string("/proc/stat")?;
        let fields: Vec<u64> = stat
            .lines()
            .next()
            .unwrap_or("")
            .split_whitespace()
            .skip(1)
            .filter_map(|field| field.parse().ok())
            .collect();
        // user nice system idle iowait irq softirq steal
        let busy: u64 =
            fields.iter().enumerate().filter(|(i, _)| !matches!(i, 3 | 4) && *i < 8).map(|(_, n)| n).sum();
        Ok(Self(Duration::from_millis(busy * TICK_MS)))
    }

    pub(crate) fn since(self, earlier: &Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// Which part of the busy time went to neither the server nor the load.
pub(crate) fn others_share(before: &Cpu, server: Duration, load: Duration) -> io::Result<f64> {
    let busy = Cpu::of_machine()?.since(before).as_secs_f64();
    Ok(((busy - server.as_secs_f64() - load.as_secs_f64()) / busy.max(1e-9)).max(0.0))
}

/// Memory that the process itself has touched, bytes.
pub(crate) fn anonymous_bytes(pid: u32) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap_or("");
    Ok(line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) * 1024)
}

/// What the disk below `directory` takes for one small write and its sync, the median of [`SYNCS`], microseconds.
pub(crate) fn sync_us(directory: &Path) -> io::Result<f64> {
    let path = directory.join("sync");
    let mut file = fs::File::create(&path)?;
    file.write_all(&[0; 64 * 1024])?;
    file.sync_all()?;
    file.rewind()?;
    let mut times = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        let began = Instant::now();
        file.write_all(&[1; 300])?;
        file.sync_data()?;
        times.push(began.elapsed());
    }
    times.sort();
    fs::remove_file(&path)?;
    Ok(times[SYNCS / 2].as_secs_f64() * 1e6)
}

/// Bytes that this process has handed to the disk so far.
pub(crate) fn written_bytes() -> io::Result<u64> {
    let told = fs::read_to_string("/proc/self/io")?;
    let line = told.lines().find_map(|line| line.strip_prefix("write_bytes:")).unwrap_or("");
    Ok(line.trim().parse().unwrap_or(0))
}

/// Processor and their number, for the record.
pub(crate) fn describe() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .unwrap_or("unknown")
        .trim_matches([':', '\t', ' ']);
    format!("{} × {model}", std::thread::available_parallelism().map_or(1, |n| n.get()))
}

const TICK_MS: u64 = 10;
const SYNCS: usize = 200;
