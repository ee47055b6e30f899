//! Giving the room of events that were taken away back to the disk.
//!
//! The engine below merges tables when new ones come. A log that is trimmed and then rests, or whose new events lie elsewhere,
//! would keep the old ones in its files for as long as that lasts.

use std::{
    sync::{
        atomic::Ordering::Relaxed,
        mpsc::{Receiver, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use fjall::{AbstractTree, Keyspace};

use super::{shelf::Shelf, tables::Tables};

/// Looks from time to time whether much of the files is no longer needed, until its sender goes.
pub(super) fn keep(shelf: &Shelf, ended: &Receiver<()>) {
    let (mut seen, mut old) = (0, false);
    while ended.recv_timeout(EACH) == Err(RecvTimeoutError::Timeout) {
        let removed = shelf.tally.removed.load(Relaxed);
        if removed == seen && !old {
            continue;
        }
        // Held as long as it takes: the engine cannot be opened anew meanwhile, everything else goes on.
        let engine = shelf.engine.read();
        let Some(tables) = &*engine else { continue };
        // What fails here has failed in the engine, and the next commit is told.
        if old {
            // The engine lets go of files when it writes out any table, if no moment needs them: the writer has taken
            // another one since.
            let _ = tables.meta.rotate_memtable();
            old = false;
        } else if is_worth_it(shelf, tables) {
            (seen, old) = (removed, reclaim(tables).is_ok());
        }
    }
}

/// Whether the tables of events take twice what they should, and there is room to write them anew.
fn is_worth_it(shelf: &Shelf, tables: &Tables) -> bool {
    let (events, bytes) = shelf.state.lock().tail.kept;
    let needed = bytes + events * ROW_BYTES;
    let taken: u64 =
        rewritten(tables).map(|table| table.disk_space() + table.tree.active_memtable().size()).iter().sum();
    needed <= REWRITTEN_MAX && taken > 2 * needed + SPARED_BYTES && shelf.space.takes(needed)
}

/// Writes out what lies in memory, then everything anew without what was taken away.
fn reclaim(tables: &Tables) -> Result<(), fjall::Error> {
    for table in rewritten(tables) {
        table.rotate_memtable()?;
        while table.tree.sealed_memtable_count() > 0 {
            tables.alive()?;
            thread::sleep(PAUSE);
        }
        table.major_compact()?;
    }
    Ok(())
}

fn rewritten(tables: &Tables) -> [&Keyspace; 2] {
    [&tables.events, &tables.order]
}

/// How often it looks.
const EACH: Duration = Duration::from_secs(1);
/// The pause between two looks whether a table is written out.
const PAUSE: Duration = Duration::from_millis(5);
/// What the rows of an event take beside its record, about.
const ROW_BYTES: u64 = 150;
/// What is written anew at once, and so what a stop waits for at most: 512 MiB. Of a larger log the engine gives the room back
/// as new events come.
const REWRITTEN_MAX: u64 = 512 * 1024 * 1024;
/// What is left where it is, so that small logs are not written anew all the time: 32 MiB.
const SPARED_BYTES: u64 = 32 * 1024 * 1024;
