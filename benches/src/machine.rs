//! What the machine is and what it spent, from `/proc`.

use std::{
    fs,
    io::{self, Seek, Write},
    path::Path,
    process::Command,
    time::Duration,
};

use serde_json::{Value, json};

use crate::load::clock;

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

    /// Of this process.
    pub(crate) fn of_load() -> io::Result<Self> {
        Self::of_process(std::process::id())
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

/// What a stretch of time cost, and whom.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spent {
    pub(crate) took: Duration,
    /// CPU of the measured process and of this one.
    pub(crate) process: Duration,
    pub(crate) load: Duration,
    /// Which part of what all processors could have done went to neither of them, 0 to 1.
    pub(crate) others: f64,
}

/// A stretch of time that is being measured.
#[derive(Debug)]
pub(crate) struct Stretch {
    pid: u32,
    began: std::time::Instant,
    process: Cpu,
    load: Cpu,
    machine: Cpu,
}

impl Stretch {
    /// Begins with the process of this number.
    pub(crate) fn begin(pid: u32) -> io::Result<Self> {
        let (process, load, machine) = (Cpu::of_process(pid)?, Cpu::of_load()?, Cpu::of_machine()?);
        Ok(Self { pid, began: clock::now(), process, load, machine })
    }

    /// What it cost until now.
    pub(crate) fn spent(&self) -> io::Result<Spent> {
        let took = self.began.elapsed();
        let process = Cpu::of_process(self.pid)?.since(&self.process);
        let load = Cpu::of_load()?.since(&self.load);
        let busy = Cpu::of_machine()?.since(&self.machine);
        let could = took.as_secs_f64() * processors() as f64;
        let others = busy.saturating_sub(process + load).as_secs_f64() / could.max(1e-9);
        Ok(Spent { took, process, load, others: others.min(1.0) })
    }
}

/// Memory that the process itself has touched, bytes.
pub(crate) fn anonymous_bytes(pid: u32) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    Ok(number(&status, "RssAnon:").unwrap_or(0) * 1024)
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
        let began = clock::now();
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
    Ok(number(&fs::read_to_string("/proc/self/io")?, "write_bytes:").unwrap_or(0))
}

/// Files that a process may have open; the server and this one have the same limit.
pub(crate) fn open_files_max() -> usize {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    number(&limits, "Max open files").unwrap_or(1024) as usize
}

/// What it was measured on, for the record.
pub(crate) fn describe() -> Value {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let model = info.lines().find_map(|line| line.strip_prefix("model name"));
    json!({
        "processor": model.unwrap_or("unknown").trim_matches([':', '\t', ' ']),
        "cores": processors(),
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "memory_mib": number(&read("/proc/meminfo"), "MemTotal:").unwrap_or(0) / 1024,
        "open_files_max": open_files_max(),
        "load_average": read("/proc/loadavg").split(' ').next().unwrap_or(""),
        "commit": commit(),
    })
}

fn commit() -> String {
    let told = Command::new("git").args(["describe", "--always", "--dirty", "--abbrev=12"]).output();
    told.map_or_else(|_| "unknown".to_owned(), |told| String::from_utf8_lossy(&told.stdout).trim().to_owned())
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, |n| n.get())
}

/// The number behind `name` at the beginning of a line.
fn number(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}

const TICK_MS: u64 = 10;
const SYNCS: usize = 200;
