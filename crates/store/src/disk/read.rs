//! Pages, ranges and records, read from one moment of the tables.

use std::{
    collections::HashMap,
    ops::Bound::{Excluded, Included},
};

use sosik_core::{
    cursor::Position,
    name::ChannelName,
    store::{ChannelHead, NamespaceHead, Page, PageLimit, Scope, StoreError, Stored},
};

use super::{
    layout::{channel_of, event_key, order_key, position_of, records_of},
    tables::{View, damaged, unreadable},
    value::{OrderValue, Record, Value},
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
            let events = rows.map(|row| self.event_of_row(channel, row));
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
            let events = rows.rev().map(|row| self.event_of_row(channel, row));
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

    /// Bounded by the rows it looks at, whatever it finds: at most [`RANGE_ROWS_MAX`].
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
        let (from, to) = (order_key(after).to_vec(), order_key(up_to).to_vec());
        let mut rows = self.rows(&self.tables.order, Excluded(from), Included(to));
        let mut floors: HashMap<ChannelName, Position> = HashMap::new();
        let mut bytes = 0;
        for row in rows.by_ref().take(RANGE_ROWS_MAX) {
            let (position, OrderValue { seq, channel }) = order_row(row, after, up_to)?;
            if wanted(&channel) && position > self.floor(&mut floors, &channel)? {
                let full = !page.events.is_empty() && page.events.len() >= limit.events;
                if full {
                    return Ok(page);
                }
                let event = self.event(&channel, position, Some(seq))?;
                bytes += event.body.len();
                if !page.events.is_empty() && bytes > limit.bytes {
                    return Ok(page);
                }
                page.events.push(event);
            }
            page.complete_to = position;
        }
        if rows.next().is_none() {
            page.complete_to = up_to;
        }
        Ok(page)
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

    fn event_of_row(&self, channel: &ChannelName, row: fjall::Guard) -> Result<Stored, StoreError> {
        let what = || format!("an event of {channel}");
        let (key, value) = row.into_inner().map_err(|error| unreadable(what(), error))?;
        let position = position_of(&key).ok_or_else(|| damaged(what()))?;
        self.stored(channel, position, &value, None)
    }
}

fn order_row(
    row: fjall::Guard,
    after: Position,
    up_to: Position,
) -> Result<(Position, OrderValue), StoreError> {
    let what = || format!("the order between {} and {}", after.number(), up_to.number());
    let (key, value) = row.into_inner().map_err(|error| unreadable(what(), error))?;
    let position = position_of(&key).ok_or_else(|| damaged(what()))?;
    let value = OrderValue::unseal(&key, &value);
    let value = value.map_err(|_| damaged(format!("the order at position {}", position.number())))?;
    Ok((position, value))
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
