//! The threads of one open log: each has a name and a role, and none ends unnoticed.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        mpsc::{self, Receiver, SyncSender},
    },
    thread::{self, JoinHandle},
};

use super::shelf::Shelf;

/// What a thread is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Write,
    Read,
    Witness,
    Reclaim,
    Scrub,
}

impl Role {
    /// As the system knows it.
    fn name(self) -> &'static str {
        match self {
            Self::Write => "sosik-write",
            Self::Read => "sosik-read",
            Self::Witness => "sosik-witness",
            Self::Reclaim => "sosik-reclaim",
            Self::Scrub => "sosik-scrub",
        }
    }

    /// Whether nothing may be acknowledged without it: what nobody vouches for could be lost at the end of the log without
    /// being missed. Without the others the log is looked after less, which is no reason to refuse what can be stored.
    fn is_vital(self) -> bool {
        matches!(self, Self::Write | Self::Witness)
    }
}

/// A thread of a log. A panic that ends it is said by the log's figures, and to whoever writes if its role is vital.
#[derive(Debug)]
pub(super) struct Thread(JoinHandle<()>);

impl Thread {
    pub(super) fn spawn(
        shelf: &Arc<Shelf>,
        role: Role,
        work: impl FnOnce(&Shelf) + Send + 'static,
    ) -> io::Result<Self> {
        let shelf = shelf.clone();
        let supervised = move || {
            if catch_unwind(AssertUnwindSafe(|| work(&shelf))).is_err() {
                let _ = shelf.ended.set(role.name());
                if role.is_vital() {
                    let _ = shelf.failed.set(format!("its thread {} has panicked", role.name()));
                }
            }
        };
        thread::Builder::new().name(role.name().into()).spawn(supervised).map(Self)
    }

    /// As [`Thread::spawn`], of what goes on beside the others until the sender goes.
    pub(super) fn beside(
        shelf: &Arc<Shelf>,
        role: Role,
        work: impl FnOnce(&Shelf, &Receiver<()>) + Send + 'static,
    ) -> io::Result<(SyncSender<()>, Self)> {
        let (ends, ended) = mpsc::sync_channel(0);
        Self::spawn(shelf, role, move |shelf| work(shelf, &ended)).map(|thread| (ends, thread))
    }

    /// Waits until it has ended. That it did so by a panic has been said by then.
    pub(super) fn join(self) {
        let _ = self.0.join();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::{env, fs};

    use bytes::Bytes;
    use sosik_core::{
        cursor::{Epoch, Position},
        name::ChannelName,
        store::{AppendError, Batch, Entry, Place, Store, StoreError},
    };

    use super::*;
    use crate::disk::{Disk, DiskOptions};

    fn first() -> Batch {
        let channel = ChannelName::parse("room:a").unwrap();
        let place = Place::After { seq: 1, prev: Position::START };
        Batch::new(1, vec![Entry { channel, place, body: Bytes::from_static(b"1"), kept: true }])
    }

    // Mutants, each planted and seen to fail: a panic not caught; the witness not vital; the scrub vital; what has ended not
    // among the figures.
    #[test]
    fn a_thread_that_panics_is_told_and_nothing_is_acknowledged_without_the_witness() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for role in [Role::Write, Role::Read, Role::Witness, Role::Reclaim, Role::Scrub] {
            let name = format!("sosik-threads-{}-{}", std::process::id(), fastrand::u64(..));
            let path = env::temp_dir().join(name);
            let disk = Disk::open(&path, DiskOptions::new(Epoch::new(1))).unwrap();
            let shelf = &disk.handle.shelf;
            Thread::spawn(shelf, role, |_| {}).unwrap().join();
            let figures = disk.figures();
            assert_eq!((figures.ended, figures.failed), (None, false));
            Thread::spawn(shelf, role, |_| panic!("planted")).unwrap().join();
            let (figures, vital) = (disk.figures(), matches!(role, Role::Write | Role::Witness));
            assert_eq!((figures.ended, figures.failed), (Some(role.name()), vital));
            let answer = runtime.block_on(disk.append(first()));
            if vital {
                assert_eq!(answer, Err(AppendError::Failed), "{role:?}");
                let said =
                    runtime.block_on(disk.trim(&first().entries[0].channel, Position::END)).unwrap_err();
                assert!(matches!(&said, StoreError::Failed(why) if why.contains(role.name())), "{said}");
            } else {
                assert_eq!(answer.unwrap().placed[0].seq, 1, "{role:?}");
            }
            drop(disk);
            fs::remove_dir_all(&path).unwrap();
        }
    }
}
