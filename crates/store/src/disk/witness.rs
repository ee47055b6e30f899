//! What a log has vouched for, outside of its tables: found again at the next start, it says whether anything is missing
//! at the end.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
    sync::mpsc::{Receiver, RecvTimeoutError},
    time::Duration,
};

use sosik_core::cursor::{Epoch, Position};

use super::{
    shelf::Shelf,
    value::{Content, Tail, Value, put},
};

/// Something that was synced, and must be found again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Witness {
    pub(super) epoch: Epoch,
    pub(super) head: Position,
    /// How many batches were stored.
    pub(super) batches: u64,
    /// How many commits there were.
    pub(super) commits: u64,
    /// Time of the last event, milliseconds since 1970.
    pub(super) last_time: u64,
}

impl Witness {
    /// Of a log that was synced up to `tail`.
    pub(super) fn of(epoch: Epoch, tail: Tail) -> Self {
        let Tail { head, last_time, batches, commits, .. } = tail;
        Self { epoch, head, batches, commits, last_time }
    }
}

/// A witness in its file. A later one has a higher turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Slot {
    turn: u64,
    witness: Witness,
}

impl Value for Slot {
    fn write(&self, out: &mut Vec<u8>) {
        let Witness { epoch, head, batches, commits, last_time } = self.witness;
        for number in [self.turn, epoch.bits(), head.number(), batches, commits, last_time] {
            put(out, number);
        }
    }

    fn read(content: &mut Content<'_>) -> Option<Self> {
        let (turn, epoch, head) = (content.number()?, Epoch::new(content.number()?), content.position()?);
        let (batches, commits, last_time) = (content.number()?, content.number()?, content.number()?);
        Some(Self { turn, witness: Witness { epoch, head, batches, commits, last_time } })
    }
}

/// Two slots, written in turn: while one is written, the other one counts.
#[derive(Debug)]
pub(super) struct WitnessFile {
    file: File,
    turn: u64,
}

impl WitnessFile {
    /// Opens the file in `directory`, or makes one. Answers the newest witness that can be read.
    pub(super) fn open(directory: &Path) -> io::Result<(Self, Option<Witness>)> {
        let path = directory.join(WITNESS);
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        let newest = newest(&file);
        let turn = newest.map_or(0, |slot| slot.turn);
        Ok((Self { file, turn }, newest.map(|slot| slot.witness)))
    }

    /// The newest witness in `directory` that can be read. Makes nothing.
    pub(super) fn look(directory: &Path) -> Option<Witness> {
        newest(&File::open(directory.join(WITNESS)).ok()?).map(|slot| slot.witness)
    }

    /// Writes `witness` over the older slot, and syncs it.
    pub(super) fn write(&mut self, witness: Witness) -> io::Result<()> {
        let turn = self.turn + 1;
        let sealed = Slot { turn, witness }.seal(WITNESS.as_bytes());
        self.file.write_all_at(&sealed, offset(turn))?;
        self.file.sync_data()?;
        self.turn = turn;
        Ok(())
    }

    /// Writes `witness` into both slots, so that no older one is left.
    pub(super) fn begin(&mut self, witness: Witness) -> io::Result<()> {
        self.write(witness)?;
        self.write(witness)?;
        self.file.sync_all()
    }
}

fn newest(file: &File) -> Option<Slot> {
    let slots = [0, 1].map(|turn| read(file, turn));
    slots.into_iter().flatten().max_by_key(|slot| slot.turn)
}

fn read(file: &File, turn: u64) -> Option<Slot> {
    let mut sealed = [0; SLOT_BYTES];
    file.read_exact_at(&mut sealed, offset(turn)).ok()?;
    Slot::unseal(WITNESS.as_bytes(), &sealed).ok().filter(|slot| offset(slot.turn) == offset(turn))
}

/// Each slot has a page of its own, so that a torn write reaches one alone.
fn offset(turn: u64) -> u64 {
    turn % 2 * 4096
}

/// Writes what was synced, each second while there is something new, and a last time when nobody can say more.
pub(super) fn keep(shelf: &Shelf, mut file: WitnessFile, ended: &Receiver<()>) {
    let mut last = None;
    loop {
        let over = ended.recv_timeout(EACH) != Err(RecvTimeoutError::Timeout);
        let now = Some(Witness::of(shelf.epoch, shelf.state.lock().tail));
        // What could not be written vouches for less, which is no harm; the next second tries again.
        if let Some(now) = now.filter(|_| now != last)
            && file.write(now).is_ok()
        {
            last = Some(now);
        }
        if over {
            return;
        }
    }
}

/// The name of the file.
pub(super) const WITNESS: &str = "witness";
/// The longest that something synced waits for being vouched for.
pub(super) const EACH: Duration = Duration::from_secs(1);
const SLOT_BYTES: usize = 5 + 6 * 8;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::{env, fs};

    use super::*;

    fn of(head: u64) -> Witness {
        let head = Position::new(head);
        Witness { epoch: Epoch::new(7), head, batches: 1, commits: 2, last_time: 3 }
    }

    // Mutant: the second slot never written -> fails.
    #[test]
    fn whatever_becomes_of_one_slot_the_other_one_counts() {
        let path =
            env::temp_dir().join(format!("sosik-witness-{}-{}", std::process::id(), fastrand::u64(..)));
        fs::create_dir(&path).unwrap();
        let (mut file, none) = WitnessFile::open(&path).unwrap();
        assert_eq!(none, None);
        for head in 1..=6 {
            file.write(of(head)).unwrap();
            assert_eq!(WitnessFile::open(&path).unwrap().1, Some(of(head)));
        }
        let whole = fs::read(path.join(WITNESS)).unwrap();
        let found = |bytes: &[u8]| {
            fs::write(path.join(WITNESS), bytes).unwrap();
            WitnessFile::open(&path).unwrap().1
        };
        // Between the slots nothing is read.
        for at in (0..SLOT_BYTES + 9).chain(4090..whole.len()) {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << (at % 8);
            let expected = if at < SLOT_BYTES { 5 } else { 6 };
            assert_eq!(found(&flipped), Some(of(expected)), "a bit of byte {at}");
            let expected = (at >= SLOT_BYTES).then(|| of(6));
            assert_eq!(found(&whole[..at]), expected, "cut at {at}");
        }
        fs::remove_dir_all(&path).unwrap();
    }
}
