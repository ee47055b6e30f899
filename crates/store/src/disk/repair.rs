//! Making a log whole from what can be read of it.

use std::{
    fs::{self, DirBuilder, File},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use sosik_core::cursor::Epoch;

use super::{
    OpenError,
    directory::{Directory, FORMAT, is_log, refused},
    layout::{IDENTITY, REMOVAL, TAIL, event_key, position_of},
    open::{begin, broken, engine, find},
    rebuild::mend,
    report::{Repaired, Report},
    tables::{Tables, View},
    value::{Identity, OrderValue, Tail, Value, is_whole},
    verify::all,
    witness::WitnessFile,
};

/// Why a log was not repaired. The text says what to do next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RepairError {
    /// It cannot be opened, or what is kept of it cannot be written; also when what is there is too damaged to be read at
    /// all.
    #[error("{0}")]
    Open(#[from] OpenError),
    /// Nothing of it is damaged. A repair would tell every reader a gap for nothing.
    #[error("nothing in {path} is damaged, so nothing was changed: start the server on it; {found}")]
    Whole {
        /// The directory.
        path: PathBuf,
        /// What was read.
        found: Report,
    },
}

/// Rebuilds the log in `path`, which must not be open, from what can be read of it. It begins the epoch `fresh`, which
/// must be random. What was there is kept beside it, in [`Repaired::old`], and takes as much room as it did.
///
/// Errors: [`RepairError`]. A log that is whole is left as it is.
pub fn repair(path: &Path, fresh: Epoch) -> Result<Repaired, RepairError> {
    if !is_log(path)? {
        return Err(OpenError::Io { path: path.into(), source: io::ErrorKind::NotFound.into() }.into());
    }
    let directory = Directory::open(path)?;
    let (own, new) = (directory.tables(), path.join(NEW));
    let old = free(path);
    let tables = engine(&directory)?;
    let found = all(&tables, &directory);
    if found.is_whole() {
        return Err(RepairError::Whole { path: path.into(), found });
    }
    let at = |source: io::Error| refused(path, source);
    if new.try_exists().map_err(at)? {
        fs::remove_dir_all(&new).map_err(at)?;
    }
    DirBuilder::new().mode(0o700).create(&new).map_err(at)?;
    let broken = |error| broken(path, error);
    let unwritten = |error: &dyn std::fmt::Display| OpenError::Io {
        path: path.into(),
        source: io::Error::other(format!("what is kept of it cannot be written: {error}")),
    };
    let target = Tables::open(&new).map_err(|error| unwritten(&error))?;
    let copy = Copy { from: tables.view(), to: &target, batch: target.batch(), count: 0, lost: 0 };
    let events_lost = copy.run().map_err(|error| unwritten(&error))?;
    let tail = ends_at(&tables);
    target.commits.go_on(tail.commits);
    let mut writes = target.batch();
    let identity = Identity { format: FORMAT, epoch: fresh, base: tail.head };
    writes.insert(&target.meta, IDENTITY, identity.seal(IDENTITY));
    target.commit(writes, tail.following()).map_err(|error| unwritten(&error))?;
    let (tail, records_rebuilt) = mend(&target, &find(&target).map_err(broken)?).map_err(broken)?;
    let (mut file, _) = WitnessFile::open(path).map_err(at)?;
    begin(&target, Identity { base: tail.head, ..identity }, tail, &mut file).map_err(broken)?;
    drop((tables, target));
    fs::rename(&own, &old).and_then(|()| fs::rename(&new, &own)).map_err(at)?;
    File::open(path).and_then(|directory| directory.sync_all()).map_err(at)?;
    Ok(Repaired { found, epoch: fresh, head: tail.head, events_lost, records_rebuilt, old })
}

/// A name that nothing has yet.
fn free(path: &Path) -> PathBuf {
    let names = (1..).map(|number| path.join(format!("{OLD}-{number}")));
    names.into_iter().find(|name| !name.exists()).unwrap_or_else(|| path.join(OLD))
}

/// Where the log ended, as far as that can be read.
fn ends_at(tables: &Tables) -> Tail {
    let view = tables.view();
    let tail: Tail = view.value(&tables.meta, TAIL, String::new).ok().flatten().unwrap_or_default();
    let last = view.all_rows(&tables.order).next_back();
    let last = last.and_then(|row| position_of(&row.key().ok()?)).unwrap_or_default();
    let commits = tail.commits.max(tables.commits.found());
    Tail { head: tail.head.max(last), commits, batches: 0, ..tail }
}

struct Copy<'a> {
    from: View<'a>,
    to: &'a Tables,
    batch: fjall::OwnedWriteBatch,
    count: usize,
    lost: u64,
}

impl Copy<'_> {
    /// Copies every row that is whole, but those that are made anew: the order, and what the log says about itself. Answers
    /// how many events are lost.
    fn run(mut self) -> Result<u64, fjall::Error> {
        let (from, to) = (self.from.tables.all(), self.to.all());
        for ((name, source), (_, target)) in from.into_iter().zip(to) {
            if name == "order" {
                continue;
            }
            for row in self.from.rows_after(source, None) {
                // What follows in the table is looked for by other tables, where they can name it.
                let Ok((key, value)) = row.into_inner() else { break };
                let is_kept = match name {
                    "meta" => key.first() == Some(&REMOVAL) && value.is_empty(),
                    _ => is_whole(&key, &value),
                };
                if is_kept {
                    self.put(target, &key, &value)?;
                }
            }
        }
        self.write()?;
        self.events()?;
        Ok(self.lost)
    }

    /// Looks for the events that the order names and that were not found, and counts those that are lost.
    fn events(&mut self) -> Result<(), fjall::Error> {
        let view = self.to.view();
        for row in self.from.rows_after(&self.from.tables.order, None) {
            let Ok((key, value)) = row.into_inner() else { break };
            let (Some(position), Ok(OrderValue { channel, .. })) =
                (position_of(&key), OrderValue::unseal(&key, &value))
            else {
                continue;
            };
            let key = event_key(&channel, position);
            if matches!(view.bytes(&self.to.events, &key, String::new), Ok(Some(_))) {
                continue;
            }
            let found = self.from.bytes(&self.from.tables.events, &key, String::new).ok().flatten();
            let record = self.from.record(&channel);
            let is_gone = record.is_ok_and(|record| record.is_none_or(|record| position <= record.floor()));
            match found.filter(|value| is_whole(&key, value)) {
                Some(value) => self.put(&self.to.events, &key, &value)?,
                None if !is_gone => self.lost += 1,
                None => {}
            }
        }
        self.write()
    }

    fn put(&mut self, table: &fjall::Keyspace, key: &[u8], value: &[u8]) -> Result<(), fjall::Error> {
        self.batch.insert(table, key, value);
        self.count += 1;
        if self.count < ROWS_AT_ONCE { Ok(()) } else { self.write() }
    }

    fn write(&mut self) -> Result<(), fjall::Error> {
        self.count = 0;
        std::mem::replace(&mut self.batch, self.to.batch()).commit()
    }
}

/// The tables that are being made.
const NEW: &str = "tables.new";
/// What the names of tables that were replaced begin with.
const OLD: &str = "tables.damaged";
/// Rows of one write. Not synced: the beginning of the epoch is, after all of them were written out.
const ROWS_AT_ONCE: usize = 1_000;
