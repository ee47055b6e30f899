//! What a log in memory remembers beside its events.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use sosik_core::store::{Keep, Memo, MemoKey, MemoKind, MemosHeld, Placed, Remembered};

use crate::held::memos_let_go_at_once;

/// Memos by kind and namespace.
#[derive(Default)]
pub(super) struct Memos(HashMap<(MemoKind, Box<str>), Shelf>);

/// The memos of one kind and namespace.
struct Shelf {
    rows: HashMap<Bytes, Row>,
    /// Names by the order of writing.
    order: BTreeMap<u64, Bytes>,
    /// How many were ever written.
    written: u64,
    /// When the newest of those was written that were let go of.
    since: u64,
    keep: Keep,
}

struct Row {
    remembered: Remembered,
    number: u64,
    time: u64,
}

impl Memos {
    /// Remembers those of a batch whose entries were given the places `placed`, at `time` of the log, and lets go of some
    /// that are due.
    pub(super) fn write(&mut self, memos: Vec<Memo>, placed: &[Placed], time: u64) {
        if memos.is_empty() {
            return;
        }
        let most = memos_let_go_at_once(memos.len());
        for Memo { key: MemoKey { kind, namespace, name }, value, entries, keep } in memos {
            let placed = entries.iter().map(|&entry| placed[entry as usize]).collect();
            let shelf = self.0.entry((kind, namespace)).or_insert_with(|| Shelf::new(keep));
            shelf.keep = keep;
            shelf.write(name, Remembered { value, placed }, time);
        }
        self.0.values_mut().for_each(|shelf| shelf.let_go(time, most));
    }

    pub(super) fn recall(&self, key: &MemoKey) -> Option<Remembered> {
        let shelf = self.0.get(&(key.kind, key.namespace.clone()))?;
        shelf.rows.get(&key.name).map(|row| row.remembered.clone())
    }

    pub(super) fn held(&self, kind: MemoKind, namespace: &str) -> MemosHeld {
        let shelf = self.0.get(&(kind, namespace.into()));
        let held = |shelf: &Shelf| MemosHeld { count: shelf.rows.len() as u64, since: shelf.since };
        shelf.map(held).unwrap_or_default()
    }
}

impl Shelf {
    fn new(keep: Keep) -> Self {
        Self { rows: HashMap::new(), order: BTreeMap::new(), written: 0, since: 0, keep }
    }

    fn write(&mut self, name: Bytes, remembered: Remembered, time: u64) {
        self.written += 1;
        let row = Row { remembered, number: self.written, time };
        if let Some(before) = self.rows.insert(name.clone(), row) {
            self.order.remove(&before.number);
        }
        self.order.insert(self.written, name);
    }

    fn let_go(&mut self, now: u64, most: usize) {
        for _ in 0..most {
            let Some((_, oldest)) = self.order.first_key_value() else { return };
            let Some(time) = self.rows.get(oldest).map(|row| row.time) else { return };
            if self.order.len() as u64 <= self.keep.most && time.saturating_add(self.keep.ms) >= now {
                return;
            }
            self.since = self.since.max(time);
            if let Some((_, oldest)) = self.order.pop_first() {
                self.rows.remove(&oldest);
            }
        }
    }
}
