//! The stored form of an event: the same bytes in every engine.
//!
//! `version u8 | flags u8 | varint time | str name | str from | str content type | varint n | n × (str key, str value) |
//! data | crc32c u32 LE` where `str` is a varint length and UTF-8, and the checksum covers the channel's name and
//! everything before it. What the store assigns (position, seq, prev) is the store's to keep and to protect.

use bytes::{BufMut, Bytes};

use crate::{
    cursor::{Epoch, LogId},
    event::{Data, Draft, Encodings, Event},
    limits::{META_BYTES_MAX, META_PAIRS_MAX},
    name::ChannelName,
    store::Stored,
};

/// Writes the record of `draft`. `time` is milliseconds since 1970, `from` the publisher's subject or empty.
pub fn encode(draft: &Draft, from: &str, time: u64, signal: bool) -> Bytes {
    let data = draft.data.bytes();
    let meta: usize = draft.meta.iter().map(|(key, value)| key.len() + value.len() + 4).sum();
    let texts = draft.name.len() + from.len() + draft.content_type.len() + meta;
    let mut out = Vec::with_capacity(data.len() + texts + FIXED_BYTES_MAX);
    out.put_u8(VERSION);
    let kind = if matches!(draft.data, Data::Binary(_)) { FLAG_BINARY } else { FLAG_JSON };
    out.put_u8(kind | if signal { FLAG_SIGNAL } else { 0 });
    put_varint(&mut out, time);
    put_str(&mut out, &draft.name);
    put_str(&mut out, from);
    put_str(&mut out, &draft.content_type);
    put_varint(&mut out, draft.meta.len() as u64);
    for (key, value) in &draft.meta {
        put_str(&mut out, key);
        put_str(&mut out, value);
    }
    out.put_slice(data);
    let sum = checksum(&draft.channel, &out);
    out.put_u32_le(sum);
    out.into()
}

/// Reads what a store gave back. The event's data shares the record's memory.
pub fn decode(log: LogId, epoch: Epoch, stored: &Stored) -> Result<Event, RecordError> {
    let body = &stored.body;
    let end = body.len().checked_sub(4).ok_or(RecordError::Short)?;
    let sum = u32::from_le_bytes(body[end..].try_into().map_err(|_| RecordError::Short)?);
    if checksum(&stored.channel, &body[..end]) != sum {
        return Err(RecordError::Checksum);
    }
    let mut rest = Fields(&body[..end]);
    if rest.byte()? != VERSION {
        return Err(RecordError::Version);
    }
    let flags = rest.byte()?;
    let time = rest.varint()?;
    let (name, from, content_type) = (rest.text()?, rest.text()?, rest.text()?);
    let pairs =
        usize::try_from(rest.varint()?).ok().filter(|&n| n <= META_PAIRS_MAX).ok_or(RecordError::Short)?;
    let meta = (0..pairs).map(|_| Ok((rest.text()?, rest.text()?))).collect::<Result<_, RecordError>>()?;
    let data = body.slice(end - rest.0.len()..end);
    Ok(Event {
        log,
        epoch,
        position: stored.position,
        channel: stored.channel.clone(),
        seq: stored.seq,
        prev: stored.prev,
        time,
        name,
        from,
        content_type,
        meta,
        data: if flags & FLAG_BINARY == 0 { Data::Json(data) } else { Data::Binary(data) },
        signal: flags & FLAG_SIGNAL != 0,
        encodings: Encodings::default(),
    })
}

/// Why a record could not be read: the store's fault, never the reader's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// It ends before its fields do.
    #[error("the record is cut off")]
    Short,
    /// Its checksum does not match: damaged, or stored under another channel.
    #[error("the record's checksum does not match")]
    Checksum,
    /// It was written by a version of Sosik that this one does not know.
    #[error("the record has an unknown version")]
    Version,
}

fn checksum(channel: &ChannelName, body: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(channel.as_str().as_bytes()), body)
}

pub(crate) fn put_varint(out: &mut impl BufMut, mut number: u64) {
    while number >= 0x80 {
        out.put_u8(number as u8 | 0x80);
        number >>= 7;
    }
    out.put_u8(number as u8);
}

pub(crate) fn put_str(out: &mut impl BufMut, text: &str) {
    put_varint(out, text.len() as u64);
    out.put_slice(text.as_bytes());
}

/// What is left of a record.
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl Fields<'_> {
    pub(crate) fn byte(&mut self) -> Result<u8, RecordError> {
        let (&first, rest) = self.0.split_first().ok_or(RecordError::Short)?;
        self.0 = rest;
        Ok(first)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, RecordError> {
        let (number, rest) = self.0.split_first_chunk().ok_or(RecordError::Short)?;
        self.0 = rest;
        Ok(u32::from_le_bytes(*number))
    }

    pub(crate) fn varint(&mut self) -> Result<u64, RecordError> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(RecordError::Short)
    }

    fn text(&mut self) -> Result<Box<str>, RecordError> {
        let length = usize::try_from(self.varint()?).map_err(|_| RecordError::Short)?;
        let (text, rest) = self.0.split_at_checked(length).ok_or(RecordError::Short)?;
        self.0 = rest;
        Ok(std::str::from_utf8(text).map_err(|_| RecordError::Checksum)?.into())
    }
}

const _: () = assert!(META_BYTES_MAX <= 255 && META_PAIRS_MAX <= 255);
/// Version, flags, time, lengths and checksum.
const FIXED_BYTES_MAX: usize = 24;
const VERSION: u8 = 1;
const FLAG_JSON: u8 = 0;
const FLAG_BINARY: u8 = 1;
const FLAG_SIGNAL: u8 = 2;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::cursor::Position;

    fn stored(body: Bytes) -> Stored {
        Stored {
            position: Position::new(9),
            channel: ChannelName::parse("room:7").unwrap(),
            seq: 3,
            prev: Position::new(5),
            body,
            kept: true,
        }
    }

    fn draft(data: Data) -> Draft {
        let mut draft = Draft::json(ChannelName::parse("room:7").unwrap(), "");
        (draft.name, draft.content_type) = ("say".into(), "application/json".into());
        draft.meta = vec![("k".into(), "v".into())];
        draft.data = data;
        draft
    }

    #[test]
    fn a_record_gives_back_its_draft() {
        for data in
            [Data::Json("{\"a\":1}".into()), Data::Binary(vec![0, 255, 10].into()), Data::Json("".into())]
        {
            let body = encode(&draft(data.clone()), "alice", 1_760_000_000_123, true);
            let event = decode(LogId::Disk, Epoch::new(1), &stored(body)).unwrap();
            assert_eq!((&*event.name, &*event.from, event.time), ("say", "alice", 1_760_000_000_123));
            assert_eq!((event.data, event.signal, event.meta.len()), (data, true, 1));
        }
    }

    // Mutant: leaving the channel's name out of the checksum -> a record moved to another channel is served.
    #[test]
    fn damage_is_found_not_served() {
        let body = encode(&draft(Data::Json("{\"a\":1}".into())), "alice", 1, false);
        for i in 0..body.len() {
            let mut bad = body.to_vec();
            bad[i] ^= 0x10;
            assert!(decode(LogId::Disk, Epoch::new(1), &stored(bad.into())).is_err(), "byte {i}");
            assert!(decode(LogId::Disk, Epoch::new(1), &stored(body.slice(..i))).is_err(), "cut at {i}");
        }
        let mut moved = stored(body);
        moved.channel = ChannelName::parse("room:8").unwrap();
        assert_eq!(decode(LogId::Disk, Epoch::new(1), &moved).unwrap_err(), RecordError::Checksum);
    }
}
