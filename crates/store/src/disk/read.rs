//! Pages, ranges and records, read from one moment of the tables.

use std::{
    collections::{HashMap, hash_map::Entry},
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
            let record =
                Record::unseal(&key, &value).map_err(|_| damaged(format!("the record of {channel}")))?;
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
        let up_to = up_to.min(head).max(after);
        let mut page = Page::default();
        let events = self.ordered(after, up_to, |channel| scope.has(channel));
        page.complete_to = fill(&mut page, events, limit)?.unwrap_or(up_to);
        Ok(page)
    }

    /// Events of all channels in `(after, up_to]`, by position, and how far that is complete.
    pub(super) fn all(
        &self,
        (after, up_to): (Position, Position),
        limit: PageLimit,
    ) -> Result<Page, StoreError> {
        let mut page = Page::default();
        page.complete_to = fill(&mut page, self.ordered(after, up_to, |_| true), limit)?.unwrap_or(up_to);
        Ok(page)
    }

    fn ordered(
        &self,
        after: Position,
        up_to: Position,
        wanted: impl Fn(&ChannelName) -> bool,
    ) -> impl Iterator<Item = Result<Stored, StoreError>> {
        let bounds = (after < up_to).then(|| (order_key(after).to_vec(), order_key(up_to).to_vec()));
        let rows = bounds.map(|(from, to)| self.rows(&self.tables.order, Excluded(from), Included(to)));
        let mut floors: HashMap<ChannelName, Position> = HashMap::new();
        rows.into_iter().flatten().filter_map(move |row| {
            let one = || {
                let what = || format!("the order between {} and {}", after.number(), up_to.number());
                let (key, value) = row.into_inner().map_err(|error| unreadable(what(), error))?;
                let position = position_of(&key).ok_or_else(|| damaged(what()))?;
                let OrderValue { seq, channel } = OrderValue::unseal(&key, &value)
                    .map_err(|_| damaged(format!("the order at position {}", position.number())))?;
                if !wanted(&channel) {
                    return Ok(None);
                }
                let floor = match floors.entry(channel.clone()) {
                    Entry::Occupied(known) => *known.get(),
                    Entry::Vacant(slot) => {
                        let record = self.record(&channel)?;
                        *slot.insert(record.map_or(Position::END, |record| record.floor()))
                    }
                };
                if position <= floor { Ok(None) } else { self.event(&channel, position, Some(seq)).map(Some) }
            };
            one().transpose()
        })
    }

    fn event_of_row(&self, channel: &ChannelName, row: fjall::Guard) -> Result<Stored, StoreError> {
        let what = || format!("an event of {channel}");
        let (key, value) = row.into_inner().map_err(|error| unreadable(what(), error))?;
        let position = position_of(&key).ok_or_else(|| damaged(what()))?;
        self.stored(channel, position, &value, None)
    }
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
