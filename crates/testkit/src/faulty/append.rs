//! Appends through faults: whatever is answered is true.

use std::collections::BTreeSet;

use bytes::Bytes;
use sosik_core::{
    cursor::{Epoch, LogId, Position},
    event::Draft,
    record,
    store::{AppendError, Appended, Batch, Entry, Place, Store, Stored},
};

use super::{AppendFault, HEADS_HELD_MAX, PER, Shared, State};

/// The name, and the publisher, of events that another node has written.
pub const FOREIGN: &str = "foreign";

impl Shared {
    pub(super) async fn append(&self, batch: Batch) -> Result<Appended, AppendError> {
        let life = self.control.borrow().life;
        self.dawdle(|plan| plan.append_polls).await;
        self.arrive(1).await;
        self.maybe_write_foreign(&batch).await;
        let fault = self.state.lock().append_fault(batch.id);
        let answer = self.append_with(fault, &batch).await;
        self.maybe_write_foreign(&batch).await;
        self.dawdle(|plan| plan.append_polls).await;
        if self.control.borrow().life == life { answer } else { Err(AppendError::Unknown) }
    }

    async fn append_with(&self, fault: AppendFault, batch: &Batch) -> Result<Appended, AppendError> {
        match fault {
            AppendFault::Conflict => return Err(AppendError::Conflict),
            AppendFault::Unavailable => return Err(AppendError::Unavailable),
            AppendFault::Full => return Err(AppendError::Full),
            AppendFault::BatchLost => return Err(AppendError::Unknown),
            AppendFault::BatchLate => {
                let mut state = self.state.lock();
                let calls = state.rng.usize(1..=LATE_CALLS_MAX);
                state.maybe.insert(batch.id);
                state.late.push_back((calls, batch.clone()));
                return Err(AppendError::Unknown);
            }
            AppendFault::None | AppendFault::AnswerLost | AppendFault::Duplicate => {}
        }
        let answer = self.store(batch).await;
        match (fault, answer) {
            (AppendFault::AnswerLost, _) => Err(AppendError::Unknown),
            (AppendFault::Duplicate, Ok(appended)) => Err(AppendError::Duplicate(appended)),
            (_, answer) => answer,
        }
    }

    /// Lets the inner store decide, once and for all: an earlier copy that is still under way is decided with it.
    async fn store(&self, batch: &Batch) -> Result<Appended, AppendError> {
        let inner = {
            let mut state = self.state.lock();
            state.late.retain(|(_, late)| late.id != batch.id);
            let own = batch.entries.iter().map(|entry| &entry.channel);
            let damaged: BTreeSet<_> = own.filter(|own| state.damaged.contains(*own)).cloned().collect();
            if !damaged.is_empty() && !state.maybe.contains(&batch.id) {
                return Err(AppendError::Unreadable(damaged));
            }
            state.inner.clone()
        };
        let answer = inner.append(batch.clone()).await;
        let mut state = self.state.lock();
        match &answer {
            Ok(appended) | Err(AppendError::Duplicate(appended)) => {
                state.maybe.insert(batch.id);
                if let Some(last) = appended.placed.last() {
                    state.heads.push_back(last.position);
                }
                if state.heads.len() > HEADS_HELD_MAX {
                    state.heads.pop_front();
                }
            }
            Err(AppendError::Conflict | AppendError::Unreadable(_)) => {
                state.maybe.remove(&batch.id);
            }
            Err(_) => {}
        }
        answer
    }

    /// So many calls have passed: stores what was due before now.
    pub(super) async fn arrive(&self, calls: usize) {
        self.state.lock().late.iter_mut().for_each(|(left, _)| *left = left.saturating_sub(calls));
        while let Some(batch) = self.due() {
            // Its guards may have ceased to hold; then it is as good as lost.
            let _ = self.store(&batch).await;
        }
    }

    fn due(&self) -> Option<Batch> {
        let mut state = self.state.lock();
        let index = state.late.iter().position(|(left, _)| *left == 0)?;
        state.late.remove(index).map(|(_, batch)| batch)
    }

    /// One event in one of the channels of `batch`, with guards that hold.
    async fn maybe_write_foreign(&self, batch: &Batch) {
        let (inner, id, number) = {
            let mut state = self.state.lock();
            if state.rng.u16(..PER) >= state.plan.foreign {
                return;
            }
            (state.inner.clone(), state.rng.u128(..), state.rng.usize(..))
        };
        let Some(beside) = batch.entries.get(number % batch.entries.len().max(1)) else { return };
        let Some(entry) = foreign_entry(&*inner, batch, beside, id).await else { return };
        // Yet another node may be faster.
        if self.store(&Batch::new(id, vec![entry])).await.is_ok() {
            self.state.lock().count("foreign");
        }
    }
}

async fn foreign_entry(inner: &dyn Store, batch: &Batch, beside: &Entry, id: u128) -> Option<Entry> {
    let channel = beside.channel.clone();
    let place = match inner.channel(&channel).await.ok()? {
        Some(head) => Place::After { seq: head.seq + 1, prev: head.position },
        None => {
            let mark = inner.namespace(channel.namespace()).await.ok()?.forgotten_to;
            let first = batch.entries.iter().find(|entry| entry.channel == channel).map(|entry| entry.place);
            match first {
                Some(Place::After { .. }) if mark == Position::START => Place::After { seq: 1, prev: mark },
                _ => Place::First { prev: mark },
            }
        }
    };
    let mut draft = Draft::json(channel.clone(), format!("{{\"foreign\":\"{id:032x}\"}}"));
    draft.name = FOREIGN.into();
    let body = record::encode(&draft, FOREIGN, time_of(beside), !beside.kept);
    Some(Entry { channel, place, body, kept: beside.kept })
}

/// The time in the record of `entry`, so that time does not fall; 0 if it holds no record.
fn time_of(entry: &Entry) -> u64 {
    let (channel, body): (_, Bytes) = (entry.channel.clone(), entry.body.clone());
    let (position, prev) = (Position::START, Position::START);
    let stored = Stored { position, channel, seq: 0, prev, body, kept: entry.kept };
    record::decode(LogId::Disk, Epoch::new(0), &stored).map_or(0, |event| event.time)
}

impl State {
    /// What happens to an append of batch `id`.
    fn append_fault(&mut self, id: u128) -> AppendFault {
        let fault = self.script.pop_front().unwrap_or_else(|| self.append_fault_by_chance());
        let denies = matches!(fault, AppendFault::Conflict | AppendFault::Full);
        if denies && self.maybe.contains(&id) {
            return AppendFault::None;
        }
        if let Some(name) = name(fault) {
            self.count(name);
        }
        fault
    }

    fn append_fault_by_chance(&mut self) -> AppendFault {
        let plan = &self.plan;
        let chances = [
            (plan.conflict, AppendFault::Conflict),
            (plan.batch_lost, AppendFault::BatchLost),
            (plan.answer_lost, AppendFault::AnswerLost),
            (plan.batch_late, AppendFault::BatchLate),
            (plan.duplicate, AppendFault::Duplicate),
            (plan.unavailable, AppendFault::Unavailable),
            (plan.full, AppendFault::Full),
        ];
        let mut left = self.rng.u16(..PER);
        for (chance, fault) in chances {
            match left.checked_sub(chance) {
                Some(rest) => left = rest,
                None => return fault,
            }
        }
        AppendFault::None
    }
}

fn name(fault: AppendFault) -> Option<&'static str> {
    match fault {
        AppendFault::None => None,
        AppendFault::Conflict => Some("conflict"),
        AppendFault::BatchLost => Some("batch_lost"),
        AppendFault::AnswerLost => Some("answer_lost"),
        AppendFault::BatchLate => Some("batch_late"),
        AppendFault::Duplicate => Some("duplicate"),
        AppendFault::Unavailable => Some("unavailable"),
        AppendFault::Full => Some("full"),
    }
}

/// A late batch arrives before the so many-th call from its append, at the latest.
const LATE_CALLS_MAX: usize = 5;
