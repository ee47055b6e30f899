//! The order in which memos were written, and working it off from its front.

use std::{
    collections::BTreeMap,
    iter::Peekable,
    ops::Bound::{Excluded, Included},
};

use bytes::Bytes;
use fjall::{Guard, Keyspace, OwnedWriteBatch};
use sosik_core::{
    cursor::Position,
    store::{MemoKey, MemoKind, StoreError},
};

use super::{Memos, Window};
use crate::disk::{
    layout::{memo_key, memo_order_key, memo_order_of},
    tables::View,
    value::Value,
};

/// Where a row stands: the place at which its memo was written, and the memo's name.
type Stand = (Position, Bytes);

/// The order of one kind and namespace, from its front. What is found to belong further back goes there at once, so that
/// the next one is always the one that was written longest ago.
struct Line<I: Iterator<Item = (Stand, Option<u64>)>> {
    stored: Peekable<I>,
    moved: BTreeMap<Stand, u64>,
}

/// The first of the line.
struct Front {
    at: Position,
    name: Bytes,
    /// `None` if it cannot be read.
    time: Option<u64>,
    is_stored: bool,
}

impl<I: Iterator<Item = (Stand, Option<u64>)>> Line<I> {
    fn front(&mut self) -> Option<Front> {
        let moved = self.moved.first_key_value();
        match self.stored.peek() {
            Some(((at, name), time)) if moved.is_none_or(|((last, _), _)| at <= last) => {
                Some(Front { at: *at, name: name.clone(), time: *time, is_stored: true })
            }
            _ => moved.map(|((at, name), time)| Front {
                at: *at,
                name: name.clone(),
                time: Some(*time),
                is_stored: false,
            }),
        }
    }

    fn pass(&mut self, front: &Front) {
        if front.is_stored {
            self.stored.next();
        } else {
            self.moved.pop_first();
        }
    }
}

impl Memos {
    /// Works off at most `most` of those that were written longest ago. `None` if there is nothing to do. What cannot be
    /// read stays, and is tried again.
    pub(super) fn let_go(
        &self,
        view: &View<'_>,
        writes: &mut OwnedWriteBatch,
        (kind, namespace): &(MemoKind, Box<str>),
        mut window: Window,
        now: u64,
        most: usize,
    ) -> Option<Window> {
        if window.held.count <= window.keep.most && now <= window.young_to {
            return None;
        }
        let table = view.tables.memos(*kind);
        let mut line = Line { stored: stored(view, table, namespace, window.first), moved: BTreeMap::new() };
        // What is written from now on is young until then.
        window.young_to = now.saturating_add(window.keep.ms);
        for worked_off in 0.. {
            let Some(front) = line.front() else { break };
            let old_at = front.time.map_or(0, |time| time.saturating_add(window.keep.ms));
            if window.held.count <= window.keep.most && now <= old_at {
                window.young_to = old_at;
                break;
            }
            let name = front.name.clone();
            let key = MemoKey { kind: *kind, namespace: namespace.clone(), name };
            let Some(moved) = self.moved(view, &key, &front, now).ok().filter(|_| worked_off < most) else {
                window.young_to = 0;
                break;
            };
            line.pass(&front);
            if front.is_stored && !matches!(moved, Moved::ByItsWrite) {
                window.first = front.at;
                writes.remove(table, memo_order_key(namespace, front.at, &key.name));
            }
            match moved {
                Moved::ByItsWrite | Moved::Gone => {}
                Moved::To(at, time) => drop(line.moved.insert((at, key.name), time)),
                Moved::No => {
                    writes.remove(table, memo_key(namespace, &key.name));
                    window.held.count = window.held.count.saturating_sub(1);
                    // One whose time cannot be read may be as young as any.
                    window.held.since = window.held.since.max(front.time.unwrap_or(now));
                }
            }
        }
        for ((at, name), time) in line.moved {
            let order_key = memo_order_key(namespace, at, &name);
            writes.insert(table, &*order_key, time.seal(&order_key));
        }
        Some(window)
    }

    /// Whether a memo stands in the order where it was written last.
    fn moved(&self, view: &View<'_>, key: &MemoKey, front: &Front, now: u64) -> Result<Moved, StoreError> {
        Ok(match (key.kind, self.0.get(key)) {
            _ if !front.is_stored => Moved::No,
            (MemoKind::Key, Some(_)) => Moved::ByItsWrite,
            (MemoKind::Key, None) => Moved::No,
            (MemoKind::Producer, Some(row)) => row.before.map_or(Moved::Gone, |_| Moved::To(row.at, now)),
            (MemoKind::Producer, None) => match view.memo(key)? {
                Some(Ok(found)) if found.at > front.at => Moved::To(found.at, found.time),
                Some(_) => Moved::No,
                None => Moved::Gone,
            },
        })
    }
}

enum Moved {
    No,
    /// It belongs there, with that time.
    To(Position, u64),
    /// The commit has seen to it.
    ByItsWrite,
    /// There is no such memo.
    Gone,
}

/// The rows of the order from `first` on, up to one that cannot be read.
fn stored(
    view: &View<'_>,
    table: &Keyspace,
    namespace: &str,
    first: Position,
) -> Peekable<impl Iterator<Item = (Stand, Option<u64>)> + use<>> {
    let from = memo_order_key(namespace, first, &[]);
    let to = memo_order_key(namespace, Position::END, &[]);
    let one = |row: Guard| {
        let (key, time) = row.into_inner().ok()?;
        let (at, name) = memo_order_of(&key)?;
        Some(((at, Bytes::copy_from_slice(name)), u64::unseal(&key, &time).ok()))
    };
    view.rows(table, Included(from), Excluded(to)).map_while(one).peekable()
}
