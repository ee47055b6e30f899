//! Answers that several are given: who asks the same at the same moment gets the same bytes, made by the first of them.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use parking_lot::Mutex;
use sosik_core::{Error, Moment, Question};
use sosik_wire::Hints;

use crate::held::{Made, Step};

/// The answers of the moment.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    table: Mutex<Table>,
    /// See [`crate::takeover::Head::waiting`].
    pub(crate) last_head: Mutex<Bytes>,
}

#[derive(Debug, Default)]
struct Table {
    groups: HashMap<Key, Arc<Group>>,
    /// Of the bodies.
    bytes: usize,
}

type Key = (Question, Option<u64>, Option<u64>);

#[derive(Debug)]
struct Group {
    /// What the answer is made at, or something earlier.
    moment: Moment,
    /// `None` when it is nobody else's. Whoever comes while it is being made waits for it: that takes no longer than
    /// making another.
    made: OnceLock<Option<Made>>,
}

impl Groups {
    /// The answer to `question` at `moment`, by `make` unless it is there. The caller's grant has been checked.
    pub(crate) fn answer(
        &self,
        question: Question,
        hints: Hints,
        moment: Moment,
        now: u64,
        mut make: impl FnMut() -> Result<Step, Error>,
    ) -> Result<Step, Error> {
        let group = self.table.lock().group((question, hints.next_ms, hints.rearm_ms), moment);
        let mut own = None;
        let made = group.made.get_or_init(|| {
            let step = make();
            let made = match &step {
                Ok(Step::Answer(made)) if !made.gaps => Some(made.clone()),
                _ => None,
            };
            own = Some(step);
            made
        });
        match (own, made) {
            (Some(step), Some(made)) => {
                self.table.lock().grow(made.body.len());
                step
            }
            (Some(step), None) => step,
            (None, Some(made)) if now < made.until => Ok(Step::Answer(made.clone())),
            (None, _) => make(),
        }
    }

    /// Forgets what is over.
    pub(crate) fn tidy(&self) {
        let mut table = self.table.lock();
        if !table.groups.is_empty() {
            table.tidy();
        }
    }
}

impl Table {
    fn group(&mut self, key: Key, moment: Moment) -> Arc<Group> {
        if let Some(group) = self.groups.get(&key).filter(|group| group.moment.lasts()) {
            return group.clone();
        }
        self.tidy();
        if self.groups.len() >= GROUPS_MAX {
            self.clear();
        }
        let group = Arc::new(Group { moment, made: OnceLock::new() });
        self.groups.insert(key, group.clone());
        group
    }

    /// An answer of so many bytes was made.
    fn grow(&mut self, bytes: usize) {
        self.bytes += bytes;
        if self.bytes > GROUPS_BYTES_MAX {
            self.clear();
        }
    }

    fn tidy(&mut self) {
        self.groups.retain(|_, group| group.moment.lasts());
        let made = self.groups.values().filter_map(|group| group.made.get()?.as_ref());
        self.bytes = made.map(|made| made.body.len()).sum();
    }

    fn clear(&mut self) {
        self.groups.clear();
        self.bytes = 0;
    }
}

/// Answers kept at a time; with more, those that are there are dropped.
const GROUPS_MAX: usize = 64;
/// Bytes of them.
const GROUPS_BYTES_MAX: usize = 4 * 1024 * 1024;
