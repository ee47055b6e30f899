//! Pages, ranges and records, read from one moment of the tables.

use std::{
    cell::Cell,
    collections::HashMap,
    iter,
    ops::Bound::{Excluded, Included},
};

use bytes::Bytes;
use sosik_core::{
    cursor::Position,
    name::ChannelName,
    store::{ChannelHead, NamespaceHead, Page, PageLimit, Scope, StoreError, Stored},
};

use super::{
    engine_error::unreadable,
    layout::{channel_of, event_key, order_key, position_of, records_of},
    tables::{View, damaged},
    value::{EventValue, OrderValue, Record, Value},
};

impl View<'_> {
    pub(super) fn head(&self, channel: &ChannelName) -> Result<Option<ChannelHead>, StoreError> {
        Ok(self.record(channel)?.map(|record| record.head))
    }

    pub(super) fn namespace(&self, namespace: &str) -> Result<NamespaceHead, StoreError> {
        let what = || format!("the records of namespace {namespace}");
        let mut channels = Vec::new();
        for row in self.rows_with(&self.tables.channels, &records_of(namespace)) {
            let (key, value) = row.into_inner().map_err(|error| unreadable(what(), error))?;
            let channel = channel_of(&key).ok_or_else(|| damaged(what()))?;
            let record = match Record::unseal(&key, &value) {
                Ok(record) => record,
                Err(_) => self.record(&channel)?.unwrap_or_default(),
            };
            channels.push((channel, record.head));
        }
        Ok(NamespaceHead { channels, forgotten_to: self.mark(namespace)? })
    }

    /// `head` is the committed head, read before the moment of this view.
    pub(super) fn page(
        &self,
        channel: &ChannelName,
        (after, up_to): (Position, Position),
        limit: PageLimit,
        head: Position,
    ) -> Result<Page, StoreError> {
        let up_to = up_to.min(head).max(after);
        let record = self.record(channel)?;
        let floor = record.map_or(up_to, |record| record.floor().max(after));
        let mut page = Page { complete_to: up_to, ..marked(record) };
        if floor < up_to {
            let (from, to) = (event_key(channel, floor), event_key(channel, up_to));
            let rows = self.rows(&self.tables.events, Excluded(from), Included(to));
            let last = Cell::new(floor);
            let missing = |at: Position, seq| {
                let is_past = at > last.get() && at <= up_to;
                is_past.then(|| self.missing(channel, at, seq, last.get())).and_then(Result::transpose)
            };
            let events = rows.flat_map(|row| {
                let event = self.event_of_row(channel, row);
                let before =
                    event.as_ref().ok().and_then(|event| missing(event.prev, event.seq.saturating_sub(1)));
                event.iter().for_each(|event| last.set(event.position));
                [before, Some(event)].into_iter().flatten()
            });
            let head = record.unwrap_or_default().head;
            let events = events.chain(iter::once_with(|| missing(head.position, head.seq)).flatten());
            page.complete_to = fill(&mut page, events, limit)?.unwrap_or(up_to);
        }
        Ok(page)
    }

    pub(super) fn before(
        &self,
        channel: &ChannelName,
        before: Position,
        limit: PageLimit,
        head: Position,
    ) -> Result<Page, StoreError> {
        let record = self.record(channel)?;
        let mut page = marked(record);
        let floor = record.map_or(Position::END, |record| record.floor());
        if floor < before && floor < head {
            let to = if before > head { Included(head) } else { Excluded(before) };
            let to = to.map(|position| event_key(channel, position));
            let rows = self.rows(&self.tables.events, Excluded(event_key(channel, floor)), to);
            let end = record.unwrap_or_default().head;
            let is_in = if before > head { end.position <= head } else { end.position < before };
            // What must come next, and its number.
            let expected = Cell::new(if is_in { (end.position, end.seq) } else { (Position::START, 0) });
            let missing = |below: Position| {
                let (at, seq) = expected.get();
                let is_past = at > below && at > floor;
                is_past.then(|| self.missing(channel, at, seq, below)).and_then(Result::transpose)
            };
            let events = rows.rev().flat_map(|row| {
                let event = self.event_of_row(channel, row);
                let after = event.as_ref().ok().and_then(|event| missing(event.position));
                event.iter().for_each(|event| expected.set((event.prev, event.seq.saturating_sub(1))));
                [after, Some(event)].into_iter().flatten()
            });
            let events = events.chain(iter::once_with(|| missing(floor)).flatten());
            page.complete_to = fill(&mut page, events, limit)?.unwrap_or_default();
        }
        Ok(page)
    }

    pub(super) fn range(
        &self,
        scope: &Scope,
        (after, up_to): (Position, Position),
        limit: PageLimit,
        head: Position,
    ) -> Result<Page, StoreError> {
        self.ordered((after, up_to.min(head)), limit, |channel| scope.has(channel))
    }

    /// Events of all channels in `(after, up_to]`, by position, and how far that is complete.
    pub(super) fn all(&self, between: (Position, Position), limit: PageLimit) -> Result<Page, StoreError> {
        self.ordered(between, limit, |_| true)
    }

    fn ordered(
        &self,
        (after, up_to): (Position, Position),
        limit: PageLimit,
        wanted: impl Fn(&ChannelName) -> bool,
    ) -> Result<Page, StoreError> {
        let mut page = Page { complete_to: after, ..Page::default() };
        if after >= up_to {
            return Ok(page);
        }
        match self.fill_in_order(&mut page, (after, up_to), limit, wanted) {
            // What comes before what cannot be read is whole; the next read begins there, and says so.
            Err(_) if page.complete_to > after => Ok(page),
            done => done.map(|()| page),
        }
    }

    /// Bounded by the rows it looks at, whatever it finds: at most [`RANGE_ROWS_MAX`].
    fn fill_in_order(
        &self,
        page: &mut Page,
        (after, up_to): (Position, Position),
        limit: PageLimit,
        wanted: impl Fn(&ChannelName) -> bool,
    ) -> Result<(), StoreError> {
        let (from, to) = (order_key(after).to_vec(), order_key(up_to).to_vec());
        let mut rows = self.rows(&self.tables.order, Excluded(from), Included(to));
        let mut floors: HashMap<ChannelName, Position> = HashMap::new();
        let mut bytes = 0;
        for row in rows.by_ref().take(RANGE_ROWS_MAX) {
            let (position, row) = order_row(row, after, up_to)?;
            let Some(OrderValue { seq, channel }) =
                row.map_or_else(|| self.owner(position, &wanted), |row| Ok(Some(row)))?
            else {
                page.complete_to = position;
                continue;
            };
            if wanted(&channel) && position > self.floor(&mut floors, &channel)? {
                let full = !page.events.is_empty() && page.events.len() >= limit.events;
                if full {
                    return Ok(());
                }
                let event = self.event(&channel, position, Some(seq))?;
                bytes += event.body.len();
                if !page.events.is_empty() && bytes > limit.bytes {
                    return Ok(());
                }
                page.events.push(event);
            }
            page.complete_to = position;
        }
        if rows.next().is_none() {
            page.complete_to = up_to;
        }
        Ok(())
    }

    /// Whose event lies at `position`, where the order is damaged: asks every channel that is wanted. `None` if it is of
    /// none of them that is left.
    fn owner(
        &self,
        position: Position,
        wanted: impl Fn(&ChannelName) -> bool,
    ) -> Result<Option<OrderValue>, StoreError> {
        let what = || format!("the order at position {}", position.number());
        for row in self.all_rows(&self.tables.channels) {
            let key = row.key().map_err(|error| unreadable(what(), error))?;
            let Some(channel) = channel_of(&key).filter(&wanted) else { continue };
            if let Some(seq) = self.seq_in(&channel, position)? {
                return Ok(Some(OrderValue { seq, channel }));
            }
        }
        Ok(None)
    }

    /// The number of the channel's event at `position` by its events and its record alone, if it has one.
    pub(super) fn seq_in(
        &self,
        channel: &ChannelName,
        position: Position,
    ) -> Result<Option<u64>, StoreError> {
        let record = self.record(channel)?.unwrap_or_default();
        if record.head.position < position || record.floor() >= position {
            return Ok(None);
        }
        if record.head.position == position {
            return Ok(Some(record.head.seq));
        }
        let (from, to) = (event_key(channel, position), event_key(channel, Position::END));
        for row in self.rows(&self.tables.events, Included(from), Included(to)) {
            let what = || format!("an event of {channel}");
            let (key, value) = row.into_inner().map_err(|error| unreadable(what(), error))?;
            let at = position_of(&key).ok_or_else(|| damaged(what()))?;
            match EventValue::unseal(&key, &value) {
                Ok(event) if at == position => return Ok(Some(event.seq)),
                Ok(event) => return Ok((event.prev == position).then(|| event.seq.saturating_sub(1))),
                // Its place is right; what follows tells its number.
                Err(_) if at == position => {}
                Err(_) => return Ok(None),
            }
        }
        Ok(None)
    }

    fn floor(
        &self,
        floors: &mut HashMap<ChannelName, Position>,
        channel: &ChannelName,
    ) -> Result<Position, StoreError> {
        if let Some(floor) = floors.get(channel) {
            return Ok(*floor);
        }
        let floor = self.record(channel)?.map_or(Position::END, |record| record.floor());
        floors.insert(channel.clone(), floor);
        Ok(floor)
    }

    /// The event that its channel or its record names at `at` and that is not there, without a body, if the order says that
    /// it was one that is kept. `prev` is the one before it that is there.
    fn missing(
        &self,
        channel: &ChannelName,
        at: Position,
        seq: u64,
        prev: Position,
    ) -> Result<Option<Stored>, StoreError> {
        let key = order_key(at).to_vec();
        // Not asked for by its key alone: only that reads the engine's filters, whose damage says nothing about the row.
        let Some(row) = self.rows(&self.tables.order, Included(key.clone()), Included(key)).next() else {
            return Ok(None);
        };
        let seq = match order_row(row, at, at)? {
            (_, Some(row)) if row.channel != *channel => return Ok(None),
            (_, Some(row)) => row.seq,
            // Damaged: that there is one says enough.
            (_, None) => seq,
        };
        let body = Bytes::new();
        Ok(Some(Stored { position: at, channel: channel.clone(), seq, prev, body, kept: true }))
    }

    fn event_of_row(&self, channel: &ChannelName, row: fjall::Guard) -> Result<Stored, StoreError> {
        let what = || format!("an event of {channel}");
        let (key, value) = row.into_inner().map_err(|error| unreadable(what(), error))?;
        let position = position_of(&key).ok_or_else(|| damaged(what()))?;
        self.stored(channel, position, &value, None)
    }
}

/// A row of the order, and what is in it if that is not damaged.
fn order_row(
    row: fjall::Guard,
    after: Position,
    up_to: Position,
) -> Result<(Position, Option<OrderValue>), StoreError> {
    let what = || format!("the order between {} and {}", after.number(), up_to.number());
    let (key, value) = row.into_inner().map_err(|error| unreadable(what(), error))?;
    let position = position_of(&key).ok_or_else(|| damaged(what()))?;
    Ok((position, OrderValue::unseal(&key, &value).ok()))
}

fn marked(record: Option<Record>) -> Page {
    let head = record.unwrap_or_default().head;
    Page { trimmed_to: head.trimmed_to, first_seq: head.first_seq, ..Page::default() }
}

/// Fills `page`, and answers the last position in it if more would have followed.
fn fill(
    page: &mut Page,
    events: impl Iterator<Item = Result<Stored, StoreError>>,
    limit: PageLimit,
) -> Result<Option<Position>, StoreError> {
    let mut bytes = 0;
    for event in events {
        let event = event?;
        bytes += event.body.len();
        if let Some(last) = page.events.last()
            && (page.events.len() >= limit.events || bytes > limit.bytes)
        {
            return Ok(Some(last.position));
        }
        page.events.push(event);
    }
    Ok(None)
}

/// Rows of the order that one range looks at, however few of them are wanted: the rest is another read. A row costs
/// about a microsecond, and the first of each wanted channel a look at its record.
pub(super) const RANGE_ROWS_MAX: usize = 4_096;
