//! Reading all rows again and again, slowly, so that damage is found while a backup may still have what it hit.

use std::{
    sync::{
        atomic::Ordering::Relaxed,
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::Duration,
};

use fjall::UserKey;

use super::{commits::TABLES, shelf::Shelf, verify::Inspector};

/// Passes over the log until `ended`, with `pause` before each.
pub(super) fn run(shelf: &Shelf, pause: Duration, ended: &Receiver<()>) {
    let waits = |pause| ended.recv_timeout(pause) == Err(RecvTimeoutError::Timeout);
    while waits(pause) {
        let mut inspector = Inspector::default();
        for table in 0..TABLES {
            let mut last: Option<UserKey> = None;
            loop {
                let before = inspector.report.bytes;
                let part = shelf.see(|seen| Ok(inspector.part(&seen.view, table, last.as_deref())));
                let tally = &shelf.tally;
                let bytes = inspector.report.bytes - before;
                tally.scrubbed_bytes.fetch_add(bytes, Relaxed);
                tally.scrub_progress.store((table * 1_000_000 / TABLES) as u64, Relaxed);
                tally.damaged.fetch_max(inspector.report.damaged(), Relaxed);
                let rest = Duration::from_millis(bytes * 1_000 / SCRUB_BYTES_PER_S);
                if !waits(rest.max(LEAST_PAUSE)) {
                    return;
                }
                match part {
                    Ok(Some(key)) => last = Some(key),
                    Ok(None) => break,
                    // While there is no engine it waits, and goes on where it was.
                    Err(_) => {}
                }
            }
        }
    }
}

/// How fast the scrub reads: 4 MiB a second, which is hardly seen beside what readers ask for.
pub const SCRUB_BYTES_PER_S: u64 = 4 * 1024 * 1024;
/// Default of [`super::DiskOptions::scrub_pause`]: an hour.
pub const SCRUB_PAUSE: Duration = Duration::from_secs(3_600);
/// The pause between two parts.
const LEAST_PAUSE: Duration = Duration::from_millis(10);
