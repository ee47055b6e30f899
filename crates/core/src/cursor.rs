//! Positions, epochs and cursors: the only file that knows what a cursor is made of.

use std::fmt;

use smallvec::SmallVec;

/// An event's place in its log. Strictly increasing over all channels of the log, never used twice in an epoch.
///
/// It has an order and no arithmetic: holes are normal, and nothing may compute the position before or after one.
///
/// ```compile_fail
/// let next = sosik_core::Position::new(7) + 1;
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(u64);

impl Position {
    /// Before every event of a log.
    pub const START: Self = Self(0);
    /// Above every event of a log.
    pub const END: Self = Self(u64::MAX);

    /// The position with this number, as a store or the wire wrote it.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number to write to a store or to the wire.
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// Identity of a log: 64 random bits, new whenever old positions can no longer be vouched for.
///
/// Example: a log is lost and refilled. Position 5 now names another event; a reader that comes back with a cursor
/// of the old epoch is told a gap instead of being given the wrong events.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Epoch(u64);

impl Epoch {
    /// The epoch with these random bits.
    pub const fn new(bits: u64) -> Self {
        Self(bits)
    }

    /// The bits to write to a store or to the wire.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The six characters that event and gap frames carry: enough to tell epochs apart, 30 bits.
    pub fn short(self) -> [u8; 6] {
        let mut text = [0; 6];
        for (i, digit) in text.iter_mut().enumerate() {
            *digit = DIGITS[(self.0 >> (5 * (5 - i)) & 31) as usize];
        }
        text
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// One of the two logs of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogId {
    /// Events of this log are synced before they are acknowledged.
    Disk,
    /// Events of this log live in memory and are gone after a restart.
    Memory,
}

impl LogId {
    /// Both logs, in the order in which cursors write their parts.
    pub const ALL: [Self; 2] = [Self::Disk, Self::Memory];

    /// The place of this log in [`LogId::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    const fn letter(self) -> char {
        match self {
            Self::Disk => 'd',
            Self::Memory => 'm',
        }
    }
}

/// A reader's place in one log: "everything of my channels up to here, in this epoch".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Part {
    /// The log.
    pub log: LogId,
    /// The log's epoch when the part was made.
    pub epoch: Epoch,
    /// The last position seen.
    pub position: Position,
}

/// "I have seen everything *of my set of channels* up to here": one part per log that the set touches.
///
/// Its text is opaque, at most [`Cursor::TEXT_BYTES_MAX`] bytes of `[0-9a-z-]`, safe in a URL, a header and an SSE
/// `id:`. Texts must never be compared or sorted outside this file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Cursor {
    parts: SmallVec<[Part; 2]>,
}

impl Cursor {
    /// The longest text of a cursor: version, two parts, one separator.
    pub const TEXT_BYTES_MAX: usize = 1 + 2 * (1 + EPOCH_DIGITS + POSITION_DIGITS_MAX) + 1;

    /// A cursor of these parts, at most one per log, in any order.
    pub fn new(parts: impl IntoIterator<Item = Part>) -> Self {
        let mut cursor = Self::default();
        parts.into_iter().for_each(|part| cursor.set(part));
        cursor
    }

    /// The part of `log`, if the cursor has one.
    pub fn part(&self, log: LogId) -> Option<Part> {
        self.parts.iter().find(|part| part.log == log).copied()
    }

    /// All parts, disk before memory.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Replaces or adds the part of one log.
    pub fn set(&mut self, part: Part) {
        match self.parts.iter_mut().find(|own| own.log == part.log) {
            Some(own) => *own = part,
            None => {
                self.parts.push(part);
                self.parts.sort_by_key(|part| part.log);
            }
        }
    }

    /// Drops the part of a log that the set no longer touches.
    pub fn remove(&mut self, log: LogId) {
        self.parts.retain(|part| part.log != log);
    }

    /// Reads the text form. Errors: [`CursorError`]; a cursor of another server parses and is answered by a gap.
    pub fn parse(text: &str) -> Result<Self, CursorError> {
        let body = text.strip_prefix(VERSION).ok_or(CursorError)?;
        let mut cursor = Self::default();
        for piece in body.split('-') {
            let part = parse_part(piece).ok_or(CursorError)?;
            if cursor.parts.last().is_some_and(|last| last.log >= part.log) {
                return Err(CursorError);
            }
            cursor.parts.push(part);
        }
        Ok(cursor)
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = SmallVec::<[u8; Cursor::TEXT_BYTES_MAX]>::new();
        text.push(VERSION as u8);
        for (i, part) in self.parts.iter().enumerate() {
            if i > 0 {
                text.push(b'-');
            }
            text.push(part.log.letter() as u8);
            push_number(&mut text, part.epoch.0, EPOCH_DIGITS);
            push_number(&mut text, part.position.0, 1);
        }
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl std::str::FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        Self::parse(text)
    }
}

/// The text is not a cursor of this protocol version. The caller's fault: send back a cursor as it was handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "malformed cursor; send one exactly as it was handed out (`start` and `now` are for following and polling)"
)]
pub struct CursorError;

fn parse_part(piece: &str) -> Option<Part> {
    let mut chars = piece.chars();
    let letter = chars.next()?;
    let log = LogId::ALL.into_iter().find(|log| log.letter() == letter)?;
    let digits = chars.as_str();
    let (epoch, position) = (digits.get(..EPOCH_DIGITS)?, digits.get(EPOCH_DIGITS..)?);
    if position.is_empty() || (position.len() > 1 && position.starts_with('0')) {
        return None;
    }
    Some(Part { log, epoch: Epoch(parse_number(epoch)?), position: Position(parse_number(position)?) })
}

/// Base 32, most significant digit first, padded with zeros to `width`.
fn push_number(text: &mut SmallVec<[u8; Cursor::TEXT_BYTES_MAX]>, number: u64, width: usize) {
    let needed = (u64::BITS - number.leading_zeros()).div_ceil(5) as usize;
    for i in (0..needed.max(width)).rev() {
        text.push(DIGITS[(number >> (5 * i) & 31) as usize]);
    }
}

fn parse_number(digits: &str) -> Option<u64> {
    let mut number = 0_u64;
    for byte in digits.bytes() {
        let digit = DIGITS.iter().position(|&own| own == byte)? as u64;
        number = number.checked_mul(32)?.checked_add(digit)?;
    }
    Some(number)
}

const VERSION: char = '1';
const EPOCH_DIGITS: usize = 13;
const POSITION_DIGITS_MAX: usize = 13;
const DIGITS: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn part(log: LogId, epoch: u64, position: u64) -> Part {
        Part { log, epoch: Epoch(epoch), position: Position(position) }
    }

    // Mutant: EPOCH_DIGITS written unpadded -> small epochs no longer come back.
    #[test]
    fn every_cursor_comes_back_from_its_text() {
        let numbers = [0, 1, 31, 32, 1 << 40, u64::MAX - 1, u64::MAX];
        for epoch in numbers {
            for position in numbers {
                for parts in [
                    vec![part(LogId::Disk, epoch, position)],
                    vec![part(LogId::Memory, epoch, position)],
                    vec![part(LogId::Memory, position, epoch), part(LogId::Disk, epoch, position)],
                ] {
                    let cursor = Cursor::new(parts);
                    let text = cursor.to_string();
                    assert!(text.len() <= Cursor::TEXT_BYTES_MAX && text.len() <= 64, "{text}");
                    assert_eq!(Cursor::parse(&text).unwrap(), cursor, "{text}");
                }
            }
        }
    }

    #[test]
    fn other_texts_are_refused() {
        let good = Cursor::new([part(LogId::Disk, 7, 40), part(LogId::Memory, 8, 41)]).to_string();
        let (disk, memory) = good[1..].split_once('-').unwrap();
        for bad in [
            "",
            "1",
            "1d",
            "now",
            "2d00000000000071",
            "1x00000000000071",
            "1d0000000000007",
            "1d000000000000701",
            "1d0000000000007w",
            "1d0000000000007\u{e9}",
            "1dvvvvvvvvvvvvv1",
            "1d000000000000vg00000000000000",
        ] {
            assert_eq!(Cursor::parse(bad), Err(CursorError), "{bad}");
        }
        for bad in
            [format!("1{memory}-{disk}"), format!("1{disk}-{disk}"), format!("{good}-"), format!("{good} ")]
        {
            assert_eq!(Cursor::parse(&bad), Err(CursorError), "{bad}");
        }
    }

    #[test]
    fn the_short_epoch_is_the_end_of_the_cursor_digits() {
        let epoch = Epoch(0x0123_4567_89ab_cdef);
        let text = Cursor::new([Part { log: LogId::Disk, epoch, position: Position(1) }]).to_string();
        assert_eq!(text.as_bytes()[2 + EPOCH_DIGITS - 6..2 + EPOCH_DIGITS], epoch.short());
    }
}
