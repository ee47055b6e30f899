//! Opening a log: what is there, whether it is all that was vouched for, and a new epoch if it is not.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use sosik_core::{
    cursor::{Epoch, Position},
    store::StoreError,
};

use super::{
    check,
    commits::COMMITS_HELD_MAX,
    directory::{Directory, FORMAT, OpenError, refused},
    engine_error::{Said, system, unreadable},
    layout::{BATCH, IDENTITY, TAIL},
    manifest,
    memos::{self, Windows},
    rebuild,
    removal::Removals,
    report::Renewed,
    tables::{Tables, damaged},
    value::{BatchValue, Identity, Tail, Value},
    witness::{Witness, WitnessFile},
};

/// A log that may be written.
pub(super) struct Ready {
    pub(super) directory: Directory,
    pub(super) tables: Tables,
    pub(super) found: Found,
    pub(super) file: WitnessFile,
    pub(super) renewed: Option<Renewed>,
}

/// What is read at the start.
pub(super) struct Found {
    pub(super) identity: Identity,
    pub(super) tail: Tail,
    /// By number.
    pub(super) batches: Vec<BatchValue>,
    pub(super) removals: Removals,
    pub(super) windows: Windows,
}

/// Opens the log in `path`, or makes one. A log that is not what was vouched for begins the epoch `fresh`.
pub(super) fn open(path: &Path, fresh: Epoch) -> Result<Ready, OpenError> {
    open_holding(path, fresh, COMMITS_HELD_MAX)
}

/// As [`open`], of a log that holds the numbers of so many commits.
pub(super) fn open_holding(path: &Path, fresh: Epoch, commits: u64) -> Result<Ready, OpenError> {
    let directory = Directory::open(path)?;
    let tables = engine_holding(&directory, commits)?;
    let (mut file, witness) = WitnessFile::open(path).map_err(|source| refused(path, source))?;
    let broken = |error| broken(path, error);
    if directory.is_new {
        let begun = Identity { format: FORMAT, epoch: fresh, base: Position::START };
        begin(&tables, begun, Tail::default(), &mut file).map_err(broken)?;
        directory.finish()?;
        let found = find(&tables).map_err(broken)?;
        return Ok(Ready { directory, tables, found, file, renewed: None });
    }
    let mut found = find(&tables).map_err(broken)?;
    if found.identity.format != FORMAT {
        return Err(OpenError::Format { path: path.into(), found: found.identity.format.to_string() });
    }
    let hole = tables.commits.hole();
    let hole = hole.map_or_else(|| check::end(&tables, &found), |hole| Ok(Some(hole))).map_err(broken)?;
    let why = hole.clone().or_else(|| check::less(&found, witness));
    let mut renewed = None;
    if let Some(why) = why {
        if hole.is_some() {
            (found.tail, _) = rebuild::mend(&tables, &found).map_err(broken)?;
        }
        let base = found.tail.head;
        begin(&tables, Identity { format: FORMAT, epoch: fresh, base }, found.tail, &mut file)
            .map_err(broken)?;
        found = find(&tables).map_err(broken)?;
        renewed = Some(Renewed { epoch: fresh, base, why });
    }
    Ok(Ready { directory, tables, found, file, renewed })
}

/// Opens the engine below. A panic in it is damage that it did not expect.
pub(super) fn engine(directory: &Directory) -> Result<Tables, OpenError> {
    engine_holding(directory, COMMITS_HELD_MAX)
}

fn engine_holding(directory: &Directory, commits: u64) -> Result<Tables, OpenError> {
    let path = directory.tables();
    if !directory.is_new && !path.is_dir() {
        return Err(OpenError::Unreadable { path, why: "they are missing".into() });
    }
    if !directory.is_new {
        let lists = manifest::check(&path).map_err(|source| refused(&path, source))?;
        lists.map_err(|list| OpenError::Unreadable {
            path: path.clone(),
            why: format!("{} is missing or not what was written", list.display()),
        })?;
    }
    let opened = catch_unwind(AssertUnwindSafe(|| Tables::open_holding(&path, commits)));
    match opened {
        Ok(Ok(tables)) => Ok(tables),
        Ok(Err(error)) => Err(match system(&error) {
            Some(said) => refused(&path, io::Error::new(said.kind(), said.to_string())),
            None => OpenError::Unreadable { path, why: Said(&error).to_string() },
        }),
        Err(_) => Err(OpenError::Unreadable { path, why: "reading it panicked".into() }),
    }
}

/// Whose fault it is that the log in `path` could not be read, or its new epoch not be written.
pub(super) fn broken(path: &Path, error: StoreError) -> OpenError {
    match error {
        StoreError::Failed(why) => OpenError::Damaged { path: path.into(), why },
        error => OpenError::Io { path: path.into(), source: io::Error::other(error.to_string()) },
    }
}

/// Begins an epoch: everything that is there is written out, and vouched for.
pub(super) fn begin(
    tables: &Tables,
    identity: Identity,
    tail: Tail,
    file: &mut WitnessFile,
) -> Result<(), StoreError> {
    let failed = |what: String| StoreError::System(format!("a new epoch cannot be written: {what}"));
    let mut tail = tail;
    if tail.commits > 0 {
        // With this commit every table has a row that is as young as it: only so can be seen that all are written out.
        tail = tail.following();
        tables.commit(tables.batch(), tail).map_err(|error| failed(error.to_string()))?;
        tables.commits.settle(tables, tail.commits).map_err(|error| failed(error.to_string()))?;
    }
    let tail = tail.following();
    let mut writes = tables.batch();
    writes.insert(&tables.meta, IDENTITY, identity.seal(IDENTITY));
    tables.commit(writes, tail).map_err(|error| failed(error.to_string()))?;
    file.begin(Witness::of(identity.epoch, tail)).map_err(|error| failed(error.to_string()))
}

/// Reads what the log says about itself.
pub(super) fn find(tables: &Tables) -> Result<Found, StoreError> {
    let view = tables.view();
    let missing = |what: &str| StoreError::Failed(format!("{what} is missing"));
    let identity = view.value(&tables.meta, IDENTITY, || "the identity".into())?;
    let tail: Option<Tail> = view.value(&tables.meta, TAIL, || "the tail".into())?;
    let mut batches = Vec::new();
    for row in view.rows_with(&tables.meta, &[BATCH]) {
        let (key, value) = row.into_inner().map_err(|error| unreadable("a recent batch".into(), error))?;
        let batch = BatchValue::unseal(&key, &value).map_err(|_| damaged("a recent batch".into()))?;
        batches.push(batch);
    }
    batches.sort_by_key(|batch| batch.number);
    let tail = tail.ok_or_else(|| missing("the tail"))?;
    Ok(Found {
        identity: identity.ok_or_else(|| missing("the identity"))?,
        windows: memos::windows(tables, tail)?,
        tail,
        batches,
        removals: Removals::read(tables)?,
    })
}
