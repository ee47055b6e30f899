//! Values of the tables. Each begins with a version byte and a crc32c over its key, the version and the content: of an
//! event that is channel, position, `seq`, `prev` and body. Every read checks it.

use bytes::Bytes;
use sosik_core::{
    cursor::{Epoch, Position},
    name::ChannelName,
    store::{ChannelHead, Keep, MemosHeld, Placed},
};

use super::{layout::name_of, memos::Window};

/// A value that is not what was written under its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Damaged;

/// Shared shape of all values.
pub(super) trait Value: Sized {
    /// Adds the content.
    fn write(&self, out: &mut Vec<u8>);

    /// Reads the content, whose checksum is right.
    fn read(content: &mut Content<'_>) -> Option<Self>;

    /// Bytes of the content, so that room for all of it is made at once; an estimate does no harm.
    fn bytes(&self) -> usize {
        NUMBERS_MOST * 8
    }

    /// The bytes to store under `key`.
    fn seal(&self, key: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(SEAL_BYTES + self.bytes());
        out.extend_from_slice(&[VERSION, 0, 0, 0, 0]);
        self.write(&mut out);
        let sum = checksum(key, &out[SEAL_BYTES..]);
        out[1..SEAL_BYTES].copy_from_slice(&sum.to_le_bytes());
        out
    }

    /// Reads what was found under `key`.
    fn unseal(key: &[u8], value: &[u8]) -> Result<Self, Damaged> {
        if !is_whole(key, value) {
            return Err(Damaged);
        }
        Self::read(&mut Content(&value[SEAL_BYTES..])).ok_or(Damaged)
    }
}

/// `events`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct EventValue {
    pub(super) seq: u64,
    pub(super) prev: Position,
    /// Bytes of all records of the channel before this one, since its record was made.
    pub(super) before: u64,
    pub(super) body: Bytes,
}

impl EventValue {
    /// The length of the record in a value of which nothing else can be read.
    pub(super) fn bytes_in(value: &[u8]) -> u64 {
        value.len().saturating_sub(SEAL_BYTES + 3 * 8) as u64
    }
}

impl Value for EventValue {
    fn bytes(&self) -> usize {
        3 * 8 + self.body.len()
    }

    fn write(&self, out: &mut Vec<u8>) {
        put(out, self.seq);
        put(out, self.prev.number());
        put(out, self.before);
        out.extend_from_slice(&self.body);
    }

    fn read(content: &mut Content<'_>) -> Option<Self> {
        let (seq, prev, before) = (content.number()?, content.position()?, content.number()?);
        // A copy: a slice would keep a whole block of the engine below alive.
        Some(Self { seq, prev, before, body: Bytes::copy_from_slice(content.rest()) })
    }
}

/// `order`: whose event lies at the position.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct OrderValue {
    pub(super) seq: u64,
    pub(super) channel: ChannelName,
}

impl Value for OrderValue {
    fn bytes(&self) -> usize {
        8 + self.channel.as_str().len()
    }

    fn write(&self, out: &mut Vec<u8>) {
        put(out, self.seq);
        out.extend_from_slice(self.channel.as_str().as_bytes());
    }

    fn read(content: &mut Content<'_>) -> Option<Self> {
        Some(Self { seq: content.number()?, channel: name_of(content.rest())? })
    }
}

/// `channels`: the record of a channel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) head: ChannelHead,
    /// The namespace's mark when this life of the name began: what lies at or below belongs to an earlier one.
    pub(super) born: Position,
    /// Bytes of all records of kept events since this life of the name began, gone or not.
    pub(super) bytes: u64,
}

impl Record {
    /// Everything of the channel at or below is gone, removed or not yet.
    pub(super) fn floor(&self) -> Position {
        self.head.trimmed_to.max(self.born)
    }
}

impl Value for Record {
    fn write(&self, out: &mut Vec<u8>) {
        let ChannelHead { seq, position, trimmed_to, first_seq, bytes } = self.head;
        for number in [seq, position.number(), trimmed_to.number(), first_seq, bytes] {
            put(out, number);
        }
        put(out, self.born.number());
        put(out, self.bytes);
    }

    fn read(content: &mut Content<'_>) -> Option<Self> {
        let head = ChannelHead {
            seq: content.number()?,
            position: content.position()?,
            trimmed_to: content.position()?,
            first_seq: content.number()?,
            bytes: content.number()?,
        };
        Some(Self { head, born: content.position()?, bytes: content.number()? })
    }
}

/// `channels`: the mark of a namespace.
impl Value for Position {
    fn write(&self, out: &mut Vec<u8>) {
        put(out, self.number());
    }

    fn read(content: &mut Content<'_>) -> Option<Self> {
        content.position()
    }
}

/// `producers`, `keys`: a memo.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct MemoValue {
    /// The place of its batch's last entry: where it stands in the order, or will when it is worked off.
    pub(super) at: Position,
    /// The log's time when it was written, milliseconds since 1970.
    pub(super) time: u64,
    pub(super) placed: Vec<Placed>,
    pub(super) value: Bytes,
}

impl Value for MemoValue {
    fn write(&self, out: &mut Vec<u8>) {
        for number in [self.at.number(), self.time, self.placed.len() as u64] {
            put(out, number);
        }
        for Placed { position, seq } in &self.placed {
            put(out, position.number());
            put(out, *seq);
        }
        out.extend_from_slice(&self.value);
    }

    fn read(content: &mut Content<'_>) -> Option<Self> {
        let (at, time, count) = (content.position()?, content.number()?, content.number()?);
        let placed =
            (0..count).map(|_| Some(Placed { position: content.position()?, seq: content.number()? }));
        let placed = placed.collect::<Option<_>>()?;
        Some(Self { at, time, placed, value: Bytes::copy_from_slice(content.rest()) })
    }
}

/// `producers`, `keys`: in the order, the time when the memo was written.
impl Value for u64 {
    fn write(&self, out: &mut Vec<u8>) {
        put(out, *self);
    }

    fn read(content: &mut Content<'_>) -> Option<Self> {
        content.number()
    }
}

/// `producers`, `keys`: how much is remembered of a namespace.
impl Value for Window {
    fn write(&self, out: &mut Vec<u8>) {
        let (held, keep) = (self.held, self.keep);
        for number in [held.count, held.since, self.first.number(), keep.most, keep.ms] {
            put(out, number);
        }
    }

    fn read(content: &mut Content<'_>) -> Option<Self> {
        let held = MemosHeld { count: content.number()?, since: content.number()? };
        let first = content.position()?;
        let keep = Keep { most: content.number()?, ms: content.number()? };
        Some(Self { held, keep, first, young_to: 0 })
    }
}

/// `meta`: what never changes within an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) format: u64,
    pub(super) epoch: Epoch,
    pub(super) base: Position,
}

impl Value for Identity {
    fn write(&self, out: &mut Vec<u8>) {
        for number in [self.format, self.epoch.bits(), self.base.number()] {
            put(out, number);
        }
    }

    fn read(content: &mut Content<'_>) -> Option<Self> {
        let (format, epoch) = (content.number()?, Epoch::new(content.number()?));
        Some(Self { format, epoch, base: content.position()? })
    }
}

/// `meta`: where the log ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tail {
    pub(super) head: Position,
    /// Time of the last event, milliseconds since 1970.
    pub(super) last_time: u64,
    /// The greatest mark of any channel trimmed or forgotten.
    pub(super) removed_to: Position,
    /// How many batches were stored: says where among the recent ones the next is written.
    pub(super) batches: u64,
    /// Events kept, and the bytes of their records, of all channels.
    pub(super) kept: (u64, u64),
    /// How many commits there were: no two end alike.
    pub(super) commits: u64,
}

impl Value for Tail {
    fn write(&self, out: &mut Vec<u8>) {
        for number in [self.head.number(), self.last_time, self.removed_to.number(), self.batches] {
            put(out, number);
        }
        put(out, self.kept.0);
        put(out, self.kept.1);
        put(out, self.commits);
    }

    fn read(content: &mut Content<'_>) -> Option<Self> {
        let (head, last_time) = (content.position()?, content.number()?);
        let (removed_to, batches) = (content.position()?, content.number()?);
        let kept = (content.number()?, content.number()?);
        Some(Self { head, last_time, removed_to, batches, kept, commits: content.number()? })
    }
}

impl Tail {
    /// The end of the next commit, before anything is in it.
    pub(super) fn following(self) -> Self {
        Self { commits: self.commits + 1, ..self }
    }
}

/// `meta`: a batch stored lately. The number counts all batches.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BatchValue {
    pub(super) number: u64,
    pub(super) id: u128,
    pub(super) placed: Vec<Placed>,
}

impl Value for BatchValue {
    fn bytes(&self) -> usize {
        (3 + 2 * self.placed.len()) * 8
    }

    fn write(&self, out: &mut Vec<u8>) {
        put(out, self.number);
        out.extend_from_slice(&self.id.to_le_bytes());
        for Placed { position, seq } in &self.placed {
            put(out, position.number());
            put(out, *seq);
        }
    }

    fn read(content: &mut Content<'_>) -> Option<Self> {
        let number = content.number()?;
        let (id, rest) = content.0.split_first_chunk()?;
        content.0 = rest;
        let id = u128::from_le_bytes(*id);
        let mut placed = Vec::with_capacity(rest.len() / 16);
        while !content.0.is_empty() {
            placed.push(Placed { position: content.position()?, seq: content.number()? });
        }
        Some(Self { number, id, placed })
    }
}

/// All tables: a commit. See [`super::commits`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct CommitValue {
    pub(super) number: u64,
    /// All tables were written out of the journals up to this one.
    pub(super) flushed: u64,
}

impl Value for CommitValue {
    fn write(&self, out: &mut Vec<u8>) {
        put(out, self.number);
        put(out, self.flushed);
    }

    fn read(content: &mut Content<'_>) -> Option<Self> {
        Some(Self { number: content.number()?, flushed: content.number()? })
    }
}

/// What is left of a value.
pub(super) struct Content<'a>(&'a [u8]);

impl<'a> Content<'a> {
    pub(super) fn number(&mut self) -> Option<u64> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*number))
    }

    pub(super) fn position(&mut self) -> Option<Position> {
        self.number().map(Position::new)
    }

    fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }
}

/// Whether a value of any kind is what was written under `key`.
pub(super) fn is_whole(key: &[u8], value: &[u8]) -> bool {
    let Some((&[version, ref sum @ ..], content)) = value.split_first_chunk::<SEAL_BYTES>() else {
        return false;
    };
    version == VERSION && checksum(key, content).to_le_bytes() == *sum
}

pub(super) fn put(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(&number.to_le_bytes());
}

fn checksum(key: &[u8], content: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(crc32c::crc32c(&[VERSION]), key), content)
}

const VERSION: u8 = 1;
const SEAL_BYTES: usize = 5;
/// Numbers in a value that has nothing else.
const NUMBERS_MOST: usize = 7;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::disk::layout::event_key;

    // Mutants: the checksum not compared; the key left out of it -> both fail.
    #[test]
    fn no_flipped_bit_no_cut_and_no_other_key_is_read() {
        let channel = name_of(b"room:a").unwrap();
        let key = event_key(&channel, Position::new(7));
        let event = EventValue { seq: 3, prev: Position::new(5), before: 9, body: "body".into() };
        let sealed = event.seal(&key);
        assert_eq!(EventValue::unseal(&key, &sealed), Ok(event));
        for at in 0..sealed.len() {
            for bit in 0..8 {
                let mut bad = sealed.clone();
                bad[at] ^= 1 << bit;
                assert_eq!(EventValue::unseal(&key, &bad), Err(Damaged), "bit {bit} of {at}");
            }
            assert_eq!(EventValue::unseal(&key, &sealed[..at]), Err(Damaged), "cut at {at}");
        }
        let other = event_key(&channel, Position::new(8));
        assert_eq!(EventValue::unseal(&other, &sealed), Err(Damaged));
    }
}
