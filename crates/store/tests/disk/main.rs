//! The disk engine under the suite of all engines, and what it promises beyond it.
#![allow(clippy::unwrap_used)]

mod backup;
mod blocks;
mod catching_up;
mod crash;
mod cuts;
mod damage;
mod directory;
mod flips;
mod formats;
mod full;
mod kit;
mod limits;
mod memos;
mod notices;
mod oracle;
mod reopen;
mod repair;
mod room;
mod sync;
mod tamper;
mod toc;
mod told;
mod verify;

use std::{cell::RefCell, sync::Arc};

use sosik_core::store::Store;

use self::kit::Scratch;

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

// Mutant: an event not written to the order -> many cases fail.
mod suite {
    sosik_testkit::store_suite!(super::fresh, seeds = 20);
}
