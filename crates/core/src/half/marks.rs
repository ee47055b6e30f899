//! What a reader is told of that is gone (rule 4).

use std::{collections::HashSet, sync::Arc};

use super::Half;
use crate::{
    cursor::Position,
    event::{Event, Gap, GapReason},
    member::{Kind, Member},
    name::{ChannelName, Pattern},
    page::What,
};

/// Up to here something is gone: of one channel, with the first number after it, or of any channel without a record.
#[derive(Debug, Clone)]
pub(crate) struct Mark {
    at: Position,
    of: Option<(ChannelName, u64)>,
    reason: GapReason,
    /// Whether it is certain that no event of the channel's own stood there: it is its namespace's mark.
    of_others: bool,
}

impl Mark {
    pub(crate) fn trimmed(channel: &ChannelName, at: Position, first_seq: u64) -> Self {
        Self { at, of: Some((channel.clone(), first_seq)), reason: GapReason::Trimmed, of_others: false }
    }

    /// What is gone if the event with this number is the first of its channel that a reader finds.
    pub(crate) fn before(
        member: &Member,
        channel: &ChannelName,
        seq: u64,
        position: Position,
        prev: Position,
    ) -> Self {
        let first = member.space.options.forgettable && seq == position.number();
        let reason = if first { GapReason::Forgotten } else { GapReason::Trimmed };
        // The numbers of a channel that had every position since its first equal them too.
        let of_others = first && prev.number().checked_add(1) != Some(seq);
        Self { at: prev, of: Some((channel.clone(), seq)), reason, of_others }
    }
}

impl Half {
    /// Rule 4, after the range has been read: gaps of channels with events, and marks of channels without.
    pub(super) fn gaps(&self, events: &[Arc<Event>], up_to: Position, items: &mut Vec<(Position, What)>) {
        if let ([Member { kind: Kind::Channel(_), .. }], Some(first)) =
            (&self.members[..], events.iter().find(|event| !event.signal))
        {
            // One channel: what follows its first event is linked to it.
            if first.prev > self.place {
                self.gap_before(first, items);
            }
            return;
        }
        let mut seen: HashSet<&ChannelName> = HashSet::new();
        for event in events.iter().filter(|event| !event.signal) {
            if event.prev > self.place && (events.len() == 1 || seen.insert(&event.channel)) {
                self.gap_before(event, items);
            } else if events.len() > 1 {
                seen.insert(&event.channel);
            }
        }
        for member in self.members.iter().filter(|member| !member.is_signal()) {
            let with_events = |name: &ChannelName| match events {
                [event] => event.channel == *name,
                _ => seen.contains(name),
            };
            self.marks(member, up_to, with_events, items);
        }
    }

    fn gap_before(&self, event: &Event, items: &mut Vec<(Position, What)>) {
        let member = self.members.iter().find(|member| member.pattern.matches(&event.channel));
        let Some(member) = member else { return };
        let mark = Mark::before(member, &event.channel, event.seq, event.position, event.prev);
        if self.tells(member, &mark, event.prev) {
            items.push(self.gap_at(member, mark, true));
        }
    }

    /// Marks of a member's channels without events in the page.
    fn marks(
        &self,
        member: &Member,
        up_to: Position,
        with_events: impl Fn(&ChannelName) -> bool,
        items: &mut Vec<(Position, What)>,
    ) {
        let mut marks: Vec<Mark> = Vec::new();
        let mut has_record = false;
        let in_page = |at: Position| at > self.place && at <= up_to;
        match &member.kind {
            Kind::Channel(channel) if with_events(&channel.name) => return,
            Kind::Channel(channel) => {
                if let Some(head) = channel.head() {
                    has_record = true;
                    if in_page(head.trimmed_to) {
                        marks.push(Mark::trimmed(&channel.name, head.trimmed_to, head.first_seq));
                    }
                }
            }
            Kind::Prefix { prefix, .. } => {
                let index = member.space.index();
                let trimmed = index.iter().flat_map(|index| index.trimmed(prefix, self.place, up_to));
                let without = trimmed.filter(|(_, channel)| !with_events(&channel.name));
                marks.extend(without.filter_map(|(mark, channel)| {
                    Some(Mark::trimmed(&channel.name, mark, channel.head()?.first_seq))
                }));
            }
        }
        if !has_record {
            let at = member.space.forgotten_to();
            if in_page(at) {
                marks.push(Mark { at, of: None, reason: GapReason::Forgotten, of_others: true });
            }
        }
        if let Some(fetched) = &self.fetched {
            let own = |name: &ChannelName| member.pattern.matches(name) && !with_events(name);
            marks.extend(
                fetched
                    .marks
                    .iter()
                    .filter(|mark| mark.of.as_ref().is_some_and(|(name, _)| own(name)))
                    .cloned(),
            );
        }
        marks.retain(|mark| self.tells(member, mark, up_to));
        marks.sort_by_key(|mark| mark.at);
        if let Kind::Channel(_) = member.kind {
            // Several sources may know the same channel's mark; the highest is the latest.
            marks.drain(..marks.len().saturating_sub(1));
        }
        let alone = marks.len() == 1;
        if let Some(lowest) = marks.into_iter().next() {
            items.push(self.gap_at(member, lowest, alone));
        }
    }

    /// Whether `member` has `mark` to tell in a page up to `up_to`. Of several that a channel belongs to, the first one
    /// tells.
    fn tells(&self, member: &Member, mark: &Mark, up_to: Position) -> bool {
        if mark.at <= self.place || mark.at > up_to {
            return false;
        }
        let (floor, forgets) = member.forgotten_floor;
        if mark.of_others && mark.at <= floor && member.space.forgets() == forgets {
            return false;
        }
        match &mark.of {
            None => mark.at > member.floor,
            Some((name, _)) => {
                let first = self.members.iter().find(|own| own.pattern.matches(name));
                mark.at > self.start_of(name) && first.is_some_and(|first| std::ptr::eq(first, member))
            }
        }
    }

    /// Where reading of `channel` starts: at the lowest place of those members that it belongs to.
    fn start_of(&self, channel: &ChannelName) -> Position {
        let own = self.members.iter().filter(|member| member.pattern.matches(channel));
        own.map(|member| member.start_of(channel, self.place)).min().unwrap_or(self.place)
    }

    /// One mark is told as what it is; many under one prefix as one gap for all of it, at the lowest.
    fn gap_at(&self, member: &Member, mark: Mark, alone: bool) -> (Position, What) {
        let Mark { at, of, reason, .. } = mark;
        let what = match of {
            Some((name, next_seq)) if alone => {
                let lost = member.lost_before(next_seq, self.start_of(&name));
                self.gap(Pattern::Channel(name), reason, at, Some(next_seq), lost)
            }
            _ => self.gap(member.pattern.clone(), reason, at, None, None),
        };
        (at, what)
    }

    pub(super) fn gap(
        &self,
        of: Pattern,
        reason: GapReason,
        at: Position,
        next_seq: Option<u64>,
        lost: Option<u64>,
    ) -> What {
        What::Gap(Gap { of, reason, part: self.part(at), next_seq, lost })
    }
}

impl Member {
    /// How many events a reader from `start` misses when the first one left has number `seq`: known from the start of
    /// a channel whose numbers begin with 1.
    fn lost_before(&self, seq: u64, start: Position) -> Option<u64> {
        (start == Position::START && !self.space.options.forgettable).then(|| seq.saturating_sub(1))
    }
}
