//! The engine's lists of files, held against their checksums before it reads them: it keeps these and does not compare
//! them, it ends the process over some damage in a list, and takes a table without one away.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Whether the lists of all tables below `directory` are whole; otherwise which one is not.
pub(super) fn check(directory: &Path) -> io::Result<Result<(), PathBuf>> {
    for entry in fs::read_dir(directory.join("keyspaces"))? {
        let table = entry?.path();
        if !table.is_dir() {
            continue;
        }
        let current = table.join("current");
        let Some((number, sum)) = read(&current)? else { return Ok(Err(current)) };
        let list = table.join(format!("v{number}"));
        let is_whole = list.is_file() && xxhash_rust::xxh3::xxh3_128(&fs::read(&list)?) == sum;
        if !is_whole {
            return Ok(Err(list));
        }
    }
    Ok(Ok(()))
}

/// The number of the list that counts, and its checksum: eight and sixteen bytes, and one for its kind.
fn read(current: &Path) -> io::Result<Option<(u64, u128)>> {
    if !current.is_file() {
        return Ok(None);
    }
    let bytes = fs::read(current)?;
    let Some((number, rest)) = bytes.split_first_chunk() else { return Ok(None) };
    let Some((sum, [0])) = rest.split_first_chunk() else { return Ok(None) };
    Ok(Some((u64::from_le_bytes(*number), u128::from_le_bytes(*sum))))
}
