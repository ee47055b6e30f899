//! The engine's journal, looked at from outside.

use std::{
    fs::{self, File},
    io::{self, ErrorKind},
    os::unix::fs::FileExt,
    path::Path,
};

/// Whether the last thing in the newest journal of `directory` is a whole commit whose last value is `value`.
///
/// A journal is a file of zeros that is written from its beginning; each commit in it ends with its last value and a mark
/// of [`END_BYTES`] that does not end in zero.
pub(super) fn ends_with(directory: &Path, value: &[u8]) -> io::Result<bool> {
    let journals = fs::read_dir(directory)?.filter_map(|entry| {
        let path = entry.ok()?.path();
        let number: u64 = path.file_name()?.to_str()?.strip_suffix(".jnl")?.parse().ok()?;
        Some((number, path))
    });
    let (_, newest) = journals.max().ok_or_else(|| io::Error::from(ErrorKind::NotFound))?;
    let file = File::open(newest)?;
    let end = end_of_data(&file)?;
    let Some(from) = end.checked_sub((value.len() + END_BYTES) as u64) else { return Ok(false) };
    let mut last = vec![0; value.len()];
    file.read_exact_at(&mut last, from)?;
    Ok(last == value)
}

/// Behind the last byte that is not zero.
fn end_of_data(file: &File) -> io::Result<u64> {
    let mut block = vec![0; BLOCK_BYTES];
    let mut end = file.metadata()?.len();
    while end > 0 {
        let from = end.saturating_sub(BLOCK_BYTES as u64);
        let block = &mut block[..(end - from) as usize];
        file.read_exact_at(block, from)?;
        if let Some(last) = block.iter().rposition(|&byte| byte != 0) {
            return Ok(from + last as u64 + 1);
        }
        end = from;
    }
    Ok(0)
}

/// A tag, a checksum of 8 bytes, and 4 bytes that are always the same.
const END_BYTES: usize = 13;
/// What is read at once: 1 MiB.
const BLOCK_BYTES: usize = 1024 * 1024;
