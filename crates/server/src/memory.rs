//! How much memory the process has, and how much it may have before new readers are sent away.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

/// The process's own memory, looked at each second.
#[derive(Debug)]
pub(crate) struct Memory {
    /// Bytes above which it is short; `None` for never.
    pub(crate) bytes_max: Option<u64>,
    bytes: AtomicU64,
    is_short: AtomicBool,
}

impl Memory {
    /// `said` is the option: 0 for no ceiling, and without it 80 % of what the machine, or the control group of this process,
    /// has.
    pub(crate) fn new(said: Option<u64>) -> Self {
        let bytes_max = match said {
            Some(0) => None,
            Some(bytes) => Some(bytes),
            None => machine_bytes().map(|bytes| bytes / 5 * 4),
        };
        Self { bytes_max, bytes: AtomicU64::new(0), is_short: AtomicBool::new(false) }
    }

    /// As of the last look; 0 where the system does not say.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    /// Looks, and answers whether there is too little: from the ceiling on, until it is a twentieth below.
    pub(crate) fn look(&self) -> bool {
        self.note(own_bytes().unwrap_or(0))
    }

    fn note(&self, bytes: u64) -> bool {
        self.bytes.store(bytes, Relaxed);
        let was_short = self.is_short.load(Relaxed);
        let is_short = self.bytes_max.is_some_and(|max| bytes > if was_short { max / 20 * 19 } else { max });
        self.is_short.store(is_short, Relaxed);
        is_short
    }
}

/// Memory of the process that is no file's: what the system cannot take back.
fn own_bytes() -> Option<u64> {
    kib(&fs::read_to_string("/proc/self/status").ok()?, "RssAnon:")
}

/// What the machine has, or less where a control group says so (version 2, as of systemd and containers).
fn machine_bytes() -> Option<u64> {
    let machine = kib(&fs::read_to_string("/proc/meminfo").ok()?, "MemTotal:")?;
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let own = groups.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
    let limits = Path::new(GROUPS).join(own);
    let limits = limits
        .ancestors()
        .take_while(|group| group.starts_with(GROUPS))
        .filter_map(|group| fs::read_to_string(group.join("memory.max")).ok()?.trim().parse().ok());
    limits.chain([machine]).min()
}

fn kib(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

const GROUPS: &str = "/sys/fs/cgroup";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    // Mutant: the way back not looked at -> readers are taken and sent away in turns at the ceiling.
    #[test]
    fn it_is_short_from_the_ceiling_until_well_below() {
        let memory = Memory::new(Some(1_000));
        let short = [999, 1_000, 1_001, 980, 951, 950, 980, 1_001].map(|bytes| memory.note(bytes));
        assert_eq!(short, [false, false, true, true, true, false, false, true]);
        assert_eq!(memory.bytes(), 1_001);
        assert!(!Memory::new(Some(0)).note(u64::MAX));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_system_says_how_much_there_is() {
        let (own, machine) = (own_bytes().unwrap(), machine_bytes().unwrap());
        assert!(own > 1 << 16 && own < machine, "{own} of {machine}");
    }
}
