//! What is remembered of a producer in one channel: its epoch, and where its last publishes are.
//!
//! `version u8 | varint epoch | varint last | varint n | n × (body u32 LE, varint seq, varint position) | m × body u32 LE`,
//! oldest first, each `seq` and position as the distance from the one before. The m at the end are those of the batch
//! that the memo was stored with: their places are remembered by the store.

use std::collections::VecDeque;

use bytes::{BufMut, Bytes, BytesMut};

use crate::{
    cursor::Position,
    limits::PRODUCER_SEQS_HELD,
    record::{Fields, put_varint},
    store::{Placed, Remembered},
};

/// The last publishes of a producer, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ring {
    pub(super) epoch: u64,
    /// The producer's number of the newest; 0 before the first.
    pub(super) last: u64,
    newest: VecDeque<Slot>,
}

/// One publish of a producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot {
    /// The lower half of what [`super::body::hash`] says of it.
    pub(super) body: u32,
    pub(super) place: Place,
}

/// Where a publish is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Stored(Placed),
    /// It is about to be, as this publish of the present group.
    Group(usize),
}

impl Ring {
    pub(super) fn new(epoch: u64) -> Self {
        Self { epoch, last: 0, newest: VecDeque::new() }
    }

    /// The publish of this number, if it is among the newest.
    pub(super) fn slot(&self, seq: u64) -> Option<&Slot> {
        let back = usize::try_from(self.last.checked_sub(seq)?).ok()?;
        self.newest.len().checked_sub(back + 1).and_then(|at| self.newest.get(at))
    }

    /// The publish behind the newest.
    pub(super) fn push(&mut self, slot: Slot) {
        self.last += 1;
        self.newest.push_back(slot);
        if self.newest.len() > PRODUCER_SEQS_HELD {
            self.newest.pop_front();
        }
    }

    /// The publishes of the present group in it, oldest first.
    pub(super) fn of_group(&self) -> impl Iterator<Item = usize> {
        self.newest.iter().filter_map(|slot| match slot.place {
            Place::Group(index) => Some(index),
            Place::Stored(_) => None,
        })
    }

    /// Those of the present group are the newest: their places come back by the store.
    pub(super) fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(16 + self.newest.len() * 8);
        out.put_u8(VERSION);
        put_varint(&mut out, self.epoch);
        put_varint(&mut out, self.last);
        let stored = self.newest.iter().filter(|slot| matches!(slot.place, Place::Stored(_))).count();
        put_varint(&mut out, stored as u64);
        let (mut seq, mut position) = (0, 0);
        for slot in &self.newest {
            out.put_u32_le(slot.body);
            if let Place::Stored(placed) = slot.place {
                put_varint(&mut out, placed.seq.wrapping_sub(seq));
                put_varint(&mut out, placed.position.number().wrapping_sub(position));
                (seq, position) = (placed.seq, placed.position.number());
            }
        }
        out.freeze()
    }

    /// `None` if it is not what was written.
    pub(super) fn decode(memo: &Remembered) -> Option<Self> {
        let mut rest = Fields(&memo.value);
        if rest.byte().ok()? != VERSION {
            return None;
        }
        let (epoch, last) = (rest.varint().ok()?, rest.varint().ok()?);
        let stored = usize::try_from(rest.varint().ok()?).ok().filter(|&n| n <= PRODUCER_SEQS_HELD)?;
        let mut newest = VecDeque::with_capacity(stored + memo.placed.len() + 1);
        let (mut seq, mut position) = (0_u64, 0_u64);
        for _ in 0..stored {
            let body = rest.u32().ok()?;
            seq = seq.wrapping_add(rest.varint().ok()?);
            position = position.wrapping_add(rest.varint().ok()?);
            let place = Place::Stored(Placed { position: Position::new(position), seq });
            newest.push_back(Slot { body, place });
        }
        for placed in &memo.placed {
            newest.push_back(Slot { body: rest.u32().ok()?, place: Place::Stored(*placed) });
        }
        let whole = rest.0.is_empty() && newest.len() as u64 <= last;
        whole.then_some(Self { epoch, last, newest })
    }
}

const VERSION: u8 = 1;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn placed(number: u64) -> Placed {
        Placed { position: Position::new(number * 1_000), seq: number }
    }

    /// As a store keeps it: with the places of the group.
    fn stored(ring: &Ring, base: u64) -> Remembered {
        let placed = ring.of_group().map(|index| placed(base + index as u64)).collect();
        Remembered { value: ring.encode(), placed }
    }

    // Mutant: distances that cannot be negative -> a channel that was begun anew does not come back.
    #[test]
    fn a_ring_comes_back_with_the_places_that_the_store_gave() {
        let mut ring = Ring::new(3);
        for place in [placed(900), placed(901), placed(2)] {
            ring.push(Slot { body: u32::MAX, place: Place::Stored(place) });
        }
        ring.push(Slot { body: 1, place: Place::Group(0) });
        ring.push(Slot { body: 2, place: Place::Group(4) });
        let again = Ring::decode(&stored(&ring, 10)).unwrap();
        assert_eq!((again.epoch, again.last), (3, 5));
        let places = [placed(900), placed(901), placed(2), placed(10), placed(14)];
        for (seq, place) in (1..).zip(places) {
            assert_eq!(again.slot(seq).unwrap().place, Place::Stored(place));
        }
        assert_eq!((again.slot(0), again.slot(6)), (None, None));
        assert_eq!(Ring::decode(&stored(&again, 0)).unwrap(), again);
    }

    // Mutant: the bound of the ring left out -> 65 are held.
    #[test]
    fn the_last_64_are_held_in_a_compact_form() {
        let mut ring = Ring::new(0);
        for number in 1..=1_000 {
            ring.push(Slot { body: number as u32, place: Place::Stored(placed(number)) });
        }
        assert_eq!(ring.slot(936), None);
        assert_eq!(ring.slot(937).unwrap().body, 937);
        assert!(ring.encode().len() < 64 * 8 + 16, "{} bytes", ring.encode().len());
    }

    // Mutant: a rest that is left over is not looked at -> a value with a byte too many is read.
    #[test]
    fn what_is_not_a_whole_ring_is_not_read() {
        let mut ring = Ring::new(7);
        (0..5).for_each(|index| ring.push(Slot { body: 9, place: Place::Group(index) }));
        let whole = stored(&ring, 1);
        for cut in 0..whole.value.len() {
            assert_eq!(Ring::decode(&Remembered { value: whole.value.slice(..cut), ..whole.clone() }), None);
        }
        let longer = Bytes::from([&whole.value[..], &[0]].concat());
        assert_eq!(Ring::decode(&Remembered { value: longer, ..whole.clone() }), None);
        assert_eq!(Ring::decode(&Remembered { placed: whole.placed[1..].to_vec(), ..whole }), None);
    }
}
