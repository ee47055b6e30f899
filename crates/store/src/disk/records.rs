//! The records of channels that were written to lately, so that the writer need not read what it wrote itself.

use hashbrown::HashMap;
use sosik_core::name::ChannelName;

use super::value::Record;

/// What the tables say of some channels, as the last commit left them. Only the writer changes a record, so that they never
/// differ.
#[derive(Default)]
pub(super) struct Records(HashMap<ChannelName, Record>);

impl Records {
    pub(super) fn get(&self, channel: &ChannelName) -> Option<Record> {
        self.0.get(channel).copied()
    }

    /// Takes in what a commit has changed. Where that is too much, all others are forgotten: they are read again.
    pub(super) fn extend(&mut self, changed: Vec<(ChannelName, Option<Record>)>) {
        if self.0.len() + changed.len() > RECORDS_HELD_MAX {
            self.0.clear();
        }
        for (channel, record) in changed {
            match record {
                Some(record) => _ = self.0.insert(channel, record),
                None => _ = self.0.remove(&channel),
            }
        }
    }
}

/// Records held, but for those of one commit. Each costs some hundred bytes, 4 MiB in all.
const RECORDS_HELD_MAX: usize = 32_768;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    // Mutants: what is gone kept; no bound; the bound forgets what has just come -> each fails.
    #[test]
    fn what_is_gone_is_not_held_and_what_is_held_is_bounded() {
        let name = |number: usize| ChannelName::parse(&format!("room:{number}")).unwrap();
        let mut records = Records::default();
        records.extend(vec![(name(1), Some(Record::default())), (name(2), Some(Record::default()))]);
        records.extend(vec![(name(1), None)]);
        assert_eq!((records.get(&name(1)), records.get(&name(2))), (None, Some(Record::default())));
        for number in 0..RECORDS_HELD_MAX + 2 {
            records.extend(vec![(name(number), Some(Record::default()))]);
            assert!(records.0.len() <= RECORDS_HELD_MAX && records.get(&name(number)).is_some());
        }
    }
}
