//! Says in the log, once when it happens, what an operator must know about the stores and the memory, and what to do.

use std::time::Duration;

use sosik_core::{LogFigures, LogId, figures::StoreFigures};
use sosik_wire::Code;
use tokio::time::{MissedTickBehavior, interval};

use crate::{
    control::words::{bytes, counted},
    measured::Measured,
};

/// Looks again and again; never ends.
pub(crate) async fn run(measured: Measured) {
    if let Some(renewed) = measured.stores.renewed() {
        tracing::error!("{renewed}");
    }
    let mut each = interval(EACH);
    each.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut before = Seen::default();
    loop {
        each.tick().await;
        measured.hub.run_short(measured.memory.look());
        let now = Seen::of(&measured);
        for Said { level, text } in now.news(&before) {
            match level {
                Level::Fault => tracing::error!("{text}"),
                Level::Warning => tracing::warn!("{text}"),
                Level::Good => tracing::info!("{text}"),
            }
        }
        before = now;
    }
}

/// What is looked at, of the durable log.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    failed: bool,
    ended: Option<&'static str>,
    full: bool,
    nearly_full: bool,
    free_bytes: Option<u64>,
    /// What is to be left free.
    reserve_bytes: u64,
    appends_full: u64,
    reopened: u64,
    damaged: u64,
    short: bool,
}

impl Seen {
    fn of(measured: &Measured) -> Self {
        let StoreFigures { failed, ended, free_bytes, appends_full, reopened, damaged, .. } =
            measured.store(LogId::Disk);
        let log: LogFigures = measured.hub.node.log(LogId::Disk).figures();
        let full = measured.refuses() == Some(Code::StorageFull);
        Self {
            failed,
            ended,
            full,
            nearly_full: log.is_nearly_full(),
            free_bytes,
            reserve_bytes: measured.reserve_bytes,
            appends_full,
            reopened,
            damaged,
            short: measured.hub.is_short(),
        }
    }

    /// What has changed since `before`.
    fn news(&self, before: &Self) -> Vec<Said> {
        let free = self.free_bytes.map_or_else(String::new, |free| format!(" ({} free)", bytes(free)));
        let full = match self.free_bytes {
            // However much there is: whoever looks at the disk alone sees room.
            Some(free) if free < self.reserve_bytes => {
                format!("{} {SHORT} ({} free)", bytes(self.reserve_bytes), bytes(free))
            }
            _ => format!("{FULL}{free}"),
        };
        let faults = [
            (
                self.ended.is_some() && before.ended.is_none(),
                Level::Fault,
                format!("{} {ENDED}", self.ended.unwrap_or_default()),
            ),
            (self.failed && !before.failed, Level::Fault, FAILED.to_owned()),
            (
                // Also when room was made between two looks.
                (self.full || self.appends_full > before.appends_full) && !before.full,
                Level::Fault,
                full,
            ),
            (before.full && !self.full && !self.failed, Level::Good, STORED_AGAIN.to_owned()),
            (self.nearly_full && !before.nearly_full && !self.full, Level::Warning, NEARLY_FULL.to_owned()),
            (self.short && !before.short, Level::Warning, NO_MEMORY.to_owned()),
            (before.short && !self.short, Level::Good, LONG_AGAIN.to_owned()),
            (self.reopened > before.reopened, Level::Warning, REOPENED.to_owned()),
            (
                self.damaged > before.damaged,
                Level::Fault,
                format!("damage in {} {DAMAGED}", counted(self.damaged - before.damaged, "place")),
            ),
        ];
        faults.into_iter().filter(|(is, ..)| *is).map(|(_, level, text)| Said { level, text }).collect()
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Said {
    level: Level,
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Fault,
    Warning,
    Good,
}

/// How often it looks.
const EACH: Duration = Duration::from_secs(1);

const ENDED: &str = "has ended by a fault of the server: what this thread of the durable log did is not done any more. Keep \
    what it said on standard error, report it, and start the server anew; what was acknowledged is kept";
const FAILED: &str = "a write or a sync of the durable log failed, or a thread that it cannot be without: publishes into it are refused with storage_failed, \
    reading goes on. Look at the disk (dmesg, SMART), then start the server anew; what was acknowledged is kept";
const FULL: &str = "the durable log is full: publishes into it are refused with storage_full, reading goes on. Make room \
    on its disk, keep less (sosik trim, bytes_max of the namespaces), or raise store_bytes_max; it goes on by itself then";
const SHORT: &str = "are to be left free on the disk of the durable log (disk_reserve_bytes), and less is: publishes into it are \
    refused with storage_full, reading goes on. Make room on that disk, and it goes on by itself; or start the server with a \
    smaller disk_reserve_bytes";
const STORED_AGAIN: &str = "there is room again: publishes into the durable log are taken";
const NEARLY_FULL: &str = "the durable log has reached 80 % of its capacity: keep less (sosik trim, bytes_max of the namespaces), or raise store_bytes_max";
const NO_MEMORY: &str = "the process has as much memory as it may (process_bytes_max): new readers are refused with overloaded, publishes and \
    those who read go on. Let fewer connect (connections_max), keep less in memory (memory_bytes_max), or raise it";
const LONG_AGAIN: &str = "there is memory again: new readers are taken";
const REOPENED: &str = "the disk was full in the middle of a write; the durable log was opened anew and has lost nothing \
    that was acknowledged";
const DAMAGED: &str = "of the durable log: readers are told gaps there. The disk may be failing: make a backup \
    now, and see what `sosik verify` says";

#[cfg(test)]
mod tests {
    use super::*;

    fn levels(before: &Seen, now: &Seen) -> Vec<Level> {
        now.news(before).into_iter().map(|said| said.level).collect()
    }

    // Mutants: the state before not looked at -> said again; the counter not looked at -> a short fullness is silent; the
    // reserve not looked at -> its name is missing.
    #[test]
    fn what_happens_is_said_once_when_it_happens_and_when_it_is_over() {
        let well = Seen::default();
        assert_eq!(well.news(&well), []);
        let failed = Seen { failed: true, ..well };
        assert_eq!(levels(&well, &failed), [Level::Fault]);
        assert_eq!(levels(&failed, &failed), []);
        let ended = Seen { ended: Some("sosik-scrub"), ..well };
        assert!(ended.news(&well)[0].text.starts_with("sosik-scrub has ended"));
        assert_eq!((levels(&well, &ended), levels(&ended, &ended)), (vec![Level::Fault], vec![]));
        let full = Seen { full: true, appends_full: 3, nearly_full: true, free_bytes: Some(7), ..well };
        assert_eq!(levels(&well, &full), [Level::Fault]);
        assert!(full.news(&well)[0].text.contains("(7 B free)"));
        assert!(full.news(&well)[0].text.contains("store_bytes_max"));
        let short = Seen { reserve_bytes: 8, ..full };
        assert!(short.news(&well)[0].text.starts_with("8 B are to be left free"), "{:?}", short.news(&well));
        assert!(short.news(&well)[0].text.contains("smaller disk_reserve_bytes (7 B free)"));
        assert_eq!(levels(&full, &Seen { appends_full: 9, ..full }), []);
        assert_eq!(levels(&full, &Seen { full: false, ..full }), [Level::Good]);
        assert_eq!(levels(&well, &Seen { appends_full: 1, ..well }), [Level::Fault]);
        assert_eq!(levels(&well, &Seen { nearly_full: true, ..well }), [Level::Warning]);
        let short = Seen { short: true, ..well };
        assert_eq!((levels(&well, &short), levels(&short, &short)), (vec![Level::Warning], vec![]));
        assert_eq!(levels(&short, &well), [Level::Good]);
        let damaged = Seen { damaged: 5, ..well };
        assert_eq!(levels(&well, &damaged), [Level::Fault]);
        assert!(Seen { damaged: 7, ..well }.news(&damaged)[0].text.starts_with("damage in 2 places of"));
    }
}
