//! Which batches were stored lately, and where.

use std::collections::VecDeque;

use hashbrown::HashMap;
use sosik_core::store::Placed;

use super::BATCHES_HELD_MAX;

/// Where the newest batches were stored.
#[derive(Default)]
pub(crate) struct Batches {
    held: HashMap<u128, Box<[Placed]>>,
    ids: VecDeque<u128>,
}

impl Batches {
    pub(crate) fn placed(&self, id: u128) -> Option<&[Placed]> {
        self.held.get(&id).map(|placed| &**placed)
    }

    pub(crate) fn push(&mut self, id: u128, placed: &[Placed]) {
        self.held.insert(id, placed.into());
        self.ids.push_back(id);
        if self.ids.len() > BATCHES_HELD_MAX
            && let Some(oldest) = self.ids.pop_front()
        {
            self.held.remove(&oldest);
        }
    }
}
