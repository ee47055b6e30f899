//! The engine's lists of files, held against their checksums before it reads them: it keeps these and does not compare
//! them, it ends the process over some damage in a list and in what is listed, and takes a table without one away.

use std::{
    fs::{self, File},
    io::{self, Cursor},
    path::{Path, PathBuf},
};

use bytes::Buf;

use super::toc::Toc;

/// Whether the lists of all tables below `directory` are whole, and the tables of contents of all files in them; otherwise
/// which file is not, or is missing.
pub(super) fn check(directory: &Path) -> io::Result<Result<(), PathBuf>> {
    for entry in fs::read_dir(directory.join("keyspaces"))? {
        let table = entry?.path();
        if !table.is_dir() {
            continue;
        }
        let current = table.join("current");
        let Some((number, sum)) = read(&current)? else { return Ok(Err(current)) };
        let list = table.join(format!("v{number}"));
        let Some(listed) = listed(&list, sum)? else { return Ok(Err(list)) };
        // A kill leaves files that are half-written and not listed. The engine takes them away unread.
        for number in listed {
            let file = table.join(format!("tables/{number}"));
            let is_whole = file.is_file() && Toc::read(&mut File::open(&file)?)?.is_some();
            if !is_whole {
                return Ok(Err(file));
            }
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

/// The numbers of the files in a list, if it is the one with this checksum.
fn listed(list: &Path, sum: u128) -> io::Result<Option<Vec<u64>>> {
    if !list.is_file() {
        return Ok(None);
    }
    let bytes = fs::read(list)?;
    if xxhash_rust::xxh3::xxh3_128(&bytes) != sum {
        return Ok(None);
    }
    let contents = Toc::read(&mut Cursor::new(&bytes))?;
    let tables = contents.and_then(|toc| bytes.get(toc.section(b"tables")?));
    Ok(tables.and_then(numbers))
}

/// The number of levels; of each, that of its runs; of each, that of its files; of each, its number and what is not read.
fn numbers(mut tables: &[u8]) -> Option<Vec<u64>> {
    let mut numbers = Vec::new();
    for _level in 0..tables.try_get_u8().ok()? {
        for _run in 0..tables.try_get_u8().ok()? {
            for _file in 0..tables.try_get_u32_le().ok()? {
                numbers.push(tables.try_get_u64_le().ok()?);
                tables.split_off(..NOT_READ_BYTES)?;
            }
        }
    }
    tables.is_empty().then_some(numbers)
}

/// The kind of a file's checksum, the checksum, and a number of the engine's own.
const NOT_READ_BYTES: usize = 1 + 16 + 8;
