//! Memos in the tables `producers` and `keys`: written, found again, and let go of in the order of writing.
//!
//! A memo is one row under its name, and one in the order, under the place and the name. The row in the order stays where
//! it is when a producer's memo is written anew, which is what each publish of the producer does; only when the order is
//! worked off it moves to where its memo was written last. A key's memo is written once.

mod order;

use std::collections::HashMap;

use bytes::Bytes;
use fjall::OwnedWriteBatch;
use sosik_core::{
    cursor::Position,
    store::{Keep, Memo, MemoKey, MemoKind, MemosHeld, Placed, Remembered, StoreError},
};

use super::{
    engine_error::unreadable,
    layout::{memo_key, memo_order_key, memo_orders_of, window_key, window_of},
    tables::{Tables, View, damaged},
    value::{MemoValue, Tail, Value},
};
use crate::held::memos_let_go_at_once;

/// What is remembered of one kind in one namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) held: MemosHeld,
    pub(super) keep: Keep,
    /// Nothing stands in the order before this place.
    pub(super) first: Position,
    /// Up to this time of the log nothing is old enough to be let go of. Not stored: 0 after a start.
    pub(super) young_to: u64,
}

impl Default for Window {
    fn default() -> Self {
        let keep = Keep { most: u64::MAX, ms: u64::MAX };
        Self { held: MemosHeld::default(), keep, first: Position::START, young_to: 0 }
    }
}

/// By kind and namespace.
pub(super) type Windows = HashMap<(MemoKind, Box<str>), Window>;

/// The windows that an earlier run left. One that is damaged is counted anew, and what was written before now is taken
/// for let go of.
pub(super) fn windows(tables: &Tables, tail: Tail) -> Result<Windows, StoreError> {
    let view = tables.view();
    let mut windows = Windows::new();
    for kind in KINDS {
        for row in view.rows_with(tables.memos(kind), &window_key("")) {
            let what = || "what is remembered of a namespace".to_owned();
            let (key, value) = row.into_inner().map_err(|error| unreadable(what(), error))?;
            let namespace = window_of(&key).ok_or_else(|| damaged(what()))?;
            let window = Window::unseal(&key, &value).unwrap_or_else(|_| {
                let rows = view.rows_with(tables.memos(kind), &memo_orders_of(namespace));
                let held = MemosHeld { count: rows.count() as u64, since: tail.last_time };
                Window { held, ..Window::default() }
            });
            windows.insert((kind, namespace.into()), window);
        }
    }
    Ok(windows)
}

impl View<'_> {
    /// What is remembered under `key`. A damaged row is answered without a value, which nobody takes for one.
    pub(super) fn recall(&self, key: &MemoKey) -> Result<Option<Remembered>, StoreError> {
        Ok(self.memo(key)?.map(|found| match found {
            Ok(MemoValue { value, placed, .. }) => Remembered { value, placed },
            Err(_) => Remembered { value: Bytes::new(), placed: Vec::new() },
        }))
    }

    fn memo(&self, key: &MemoKey) -> Result<Option<Result<MemoValue, StoreError>>, StoreError> {
        let what = || "a memo".to_owned();
        let row = memo_key(&key.namespace, &key.name);
        let found = self.bytes(self.tables.memos(key.kind), &row, what)?;
        Ok(found.map(|value| MemoValue::unseal(&row, &value).map_err(|_| damaged(what()))))
    }
}

/// Memos on their way into one commit.
#[derive(Default)]
pub(super) struct Memos(HashMap<MemoKey, Row>);

struct Row {
    value: Bytes,
    placed: Vec<Placed>,
    keep: Keep,
    at: Position,
    /// Where it was written before this commit; `None` if it was not.
    before: Option<Position>,
}

/// What a memo is written over.
pub(super) enum Before {
    Nothing,
    Memo(Position),
    /// A damaged one stays: nobody can say what it was, and that is what is to be answered.
    Damaged,
}

impl Memos {
    /// Reads what a memo of a batch is written over, before any of that is staged.
    pub(super) fn look(&self, view: &View<'_>, memo: &Memo) -> Result<Before, StoreError> {
        match self.0.get(&memo.key) {
            Some(row) => Ok(row.before.map_or(Before::Nothing, Before::Memo)),
            None => Ok(match view.memo(&memo.key)? {
                None => Before::Nothing,
                Some(Ok(found)) => Before::Memo(found.at),
                Some(Err(_)) => Before::Damaged,
            }),
        }
    }

    /// Stages those of a batch whose entries were given `placed`.
    pub(super) fn write(&mut self, memos: Vec<Memo>, before: Vec<Before>, placed: &[Placed]) {
        let at = placed.last().map_or(Position::START, |last| last.position);
        for (Memo { key, value, entries, keep }, before) in memos.into_iter().zip(before) {
            let before = match before {
                Before::Nothing => None,
                Before::Memo(at) => Some(at),
                Before::Damaged => continue,
            };
            let placed = entries.iter().map(|&entry| placed[entry as usize]).collect();
            self.0.insert(key, Row { value, placed, keep, at, before });
        }
    }

    /// Adds the rows to a commit that ends the log at `tail`, and lets go of some that are due. Answers the windows that
    /// change; `windows` are all of them as they were.
    pub(super) fn finish(
        self,
        view: &View<'_>,
        writes: &mut OwnedWriteBatch,
        tail: Tail,
        windows: &Windows,
    ) -> Windows {
        let most = memos_let_go_at_once(self.0.len());
        let mut changed = Windows::new();
        for (key, row) in &self.0 {
            let window = changed.entry((key.kind, key.namespace.clone()));
            let window = window.or_insert_with_key(|of| windows.get(of).copied().unwrap_or_default());
            row.write(key, window, view.tables, writes, tail.last_time);
        }
        for (of, window) in windows {
            let window = *changed.get(of).unwrap_or(window);
            if let Some(less) = self.let_go(view, writes, of, window, tail.last_time, most) {
                changed.insert(of.clone(), less);
            }
        }
        for ((kind, namespace), window) in &changed {
            let key = window_key(namespace);
            writes.insert(view.tables.memos(*kind), &*key, window.seal(&key));
        }
        changed
    }
}

impl Row {
    fn write(
        &self,
        key: &MemoKey,
        window: &mut Window,
        tables: &Tables,
        writes: &mut OwnedWriteBatch,
        time: u64,
    ) {
        let table = tables.memos(key.kind);
        let row_key = memo_key(&key.namespace, &key.name);
        let (placed, value) = (self.placed.clone(), self.value.clone());
        let row = MemoValue { at: self.at, time, placed, value };
        writes.insert(table, &*row_key, row.seal(&row_key));
        window.keep = self.keep;
        match (self.before, key.kind) {
            (Some(_), MemoKind::Producer) => return,
            (Some(before), MemoKind::Key) => {
                writes.remove(table, memo_order_key(&key.namespace, before, &key.name));
            }
            (None, _) => window.held.count += 1,
        }
        let order_key = memo_order_key(&key.namespace, self.at, &key.name);
        writes.insert(table, &*order_key, time.seal(&order_key));
    }
}

const KINDS: [MemoKind; 2] = [MemoKind::Producer, MemoKind::Key];
