//! The disk engine under the suite of all engines, and what it promises beyond it.
#![allow(clippy::unwrap_used)]

use std::{cell::RefCell, path::PathBuf, sync::Arc};

use sosik_core::{cursor::Epoch, store::Store};
use sosik_store::Disk;

mod kit {
    use super::*;

    /// A directory that goes with its owner.
    #[derive(Debug)]
    pub(crate) struct Scratch(pub(crate) PathBuf);

    impl Scratch {
        pub(crate) fn new() -> Self {
            let name = format!("sosik-disk-{}-{:016x}", std::process::id(), fastrand::u64(..));
            Self(std::env::temp_dir().join(name))
        }

        pub(crate) fn open(&self) -> Disk {
            Disk::open(&self.0, Epoch::new(fastrand::u64(..))).unwrap()
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}

use kit::Scratch;

thread_local! {
    /// Directories of the stores of one test; they go with its thread.
    static HELD: RefCell<Vec<Scratch>> = const { RefCell::new(Vec::new()) };
}

fn fresh(_seed: u64) -> Arc<dyn Store> {
    let scratch = Scratch::new();
    let store = scratch.open();
    HELD.with_borrow_mut(|held| held.push(scratch));
    Arc::new(store)
}

mod suite {
    sosik_testkit::store_suite!(super::fresh, seeds = 20);
}
