//! Tables of contents of the engine's files, held against their checksums before it reads them: it believes the count in
//! one first, and one flipped bit there makes it ask for more memory than there is, which ends the process.

use std::{
    io::{self, Read, Seek, SeekFrom},
    ops::Range,
};

use bytes::Buf;

/// Where the sections of a file lie.
#[derive(Debug)]
pub(super) struct Toc(Vec<u8>);

impl Toc {
    /// That of `file`, of which nothing else is read; `None` if it is not what was written.
    pub(super) fn read(file: &mut (impl Read + Seek)) -> io::Result<Option<Self>> {
        let length = file.seek(SeekFrom::End(0))?;
        let Some(end) = length.checked_sub(TRAILER_BYTES as u64) else { return Ok(None) };
        let mut trailer = [0; TRAILER_BYTES];
        file.seek(SeekFrom::Start(end))?;
        file.read_exact(&mut trailer)?;
        let Some((sum, begin)) = parse(&trailer) else { return Ok(None) };
        let Some(length @ ..=BYTES_MAX) = end.checked_sub(begin) else { return Ok(None) };
        let mut bytes = vec![0; length as usize];
        file.seek(SeekFrom::Start(begin))?;
        file.read_exact(&mut bytes)?;
        Ok((xxhash_rust::xxh3::xxh3_128(&bytes) == sum).then_some(Self(bytes)))
    }

    /// Where in the file the section `name` lies.
    pub(super) fn section(&self, name: &[u8]) -> Option<Range<usize>> {
        let mut left = self.0.strip_prefix(MAGIC)?;
        for _ in 0..left.try_get_u32_le().ok()? {
            let from = usize::try_from(left.try_get_u64_le().ok()?).ok()?;
            let bytes = usize::try_from(left.try_get_u64_le().ok()?).ok()?;
            let found = left.try_get_u16_le().ok()?;
            if left.split_off(..found.into())? == name {
                return Some(from..from.checked_add(bytes)?);
            }
        }
        None
    }
}

/// The checksum and the beginning. The length behind them is not asked: the engine does not read it, and its damage harms
/// nobody.
fn parse(trailer: &[u8; TRAILER_BYTES]) -> Option<(u128, u64)> {
    let mut rest = trailer.strip_prefix(TRAILER_MAGIC)?;
    Some((rest.try_get_u128_le().ok()?, rest.try_get_u64_le().ok()?))
}

const MAGIC: &[u8] = b"TOC!";
/// With the version, 1, and the kind of the checksum, 0.
const TRAILER_MAGIC: &[u8] = b"SFA!\x01\0";
/// The magic, a checksum of 16 bytes, and 8 each for the beginning and the length.
const TRAILER_BYTES: usize = 38;
/// Ten sections of short names, which is what the engine writes, need less than a tenth of it.
const BYTES_MAX: u64 = 4096;

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// A file of two sections, as the engine writes it.
    fn file() -> Vec<u8> {
        let mut file = b"rowsmore rows".to_vec();
        let toc = [
            &b"TOC!\x02\0\0\0"[..],
            &[0; 8],
            &4u64.to_le_bytes(),
            b"\x05\0first",
            &4u64.to_le_bytes(),
            &9u64.to_le_bytes(),
            b"\x06\0second",
        ]
        .concat();
        let trailer = [
            &b"SFA!\x01\0"[..],
            &xxhash_rust::xxh3::xxh3_128(&toc).to_le_bytes(),
            &13u64.to_le_bytes(),
            &(toc.len() as u64).to_le_bytes(),
        ];
        file.extend(toc);
        file.extend(trailer.concat());
        file
    }

    fn read(file: &[u8]) -> Option<Toc> {
        Toc::read(&mut Cursor::new(file)).unwrap()
    }

    #[test]
    fn sections_are_found_by_their_names() {
        let file = file();
        let toc = read(&file).unwrap();
        assert_eq!(&file[toc.section(b"first").unwrap()], b"rows");
        assert_eq!(&file[toc.section(b"second").unwrap()], b"more rows");
        assert_eq!(toc.section(b"third"), None);
    }

    // Mutants: the checksum not compared; the trailer's version and kind not asked -> a flip is read.
    #[test]
    fn no_flipped_bit_and_no_cut_is_read() {
        let whole = file();
        for at in 13..whole.len() - 8 {
            for bit in 0..8 {
                let mut flipped = whole.clone();
                flipped[at] ^= 1 << bit;
                assert!(read(&flipped).is_none(), "bit {bit} of byte {at}");
            }
        }
        for length in 0..whole.len() {
            assert!(read(&whole[..length]).is_none(), "cut at {length}");
        }
    }

    // Mutant: no most that it can be -> a file that is all of it is read.
    #[test]
    fn a_beginning_out_of_reach_reads_nothing() {
        for begin in [0, u64::MAX, u64::MAX / 2, 1 << 20] {
            let mut file = vec![7; 1 << 20];
            let sum = xxhash_rust::xxh3::xxh3_128(&file).to_le_bytes();
            file.extend([&b"SFA!\x01\0"[..], &sum, &u64::to_le_bytes(begin), &[0; 8]].concat());
            assert!(read(&file).is_none(), "{begin}");
        }
    }
}
