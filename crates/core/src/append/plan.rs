//! What of a group of publishes is stored, and where.

use hashbrown::HashMap;
use parking_lot::Mutex;

use super::{ahead::Ahead, queue::Waiting};
use crate::{
    error::Error,
    life::Life,
    name::ChannelName,
    once::{Judged, Verdict},
    record,
    store::{Batch, Entry, Place},
};

/// What one append is going to do.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) judged: Judged,
    pub(super) batch: Batch,
    /// The batch's first entry of each publish of the group, and the end.
    pub(super) firsts: Vec<u32>,
}

impl Plan {
    /// Decides what of `group` is to be stored, and numbers that behind what is known of its channels.
    pub(super) async fn new(
        life: &Life,
        group: &[Waiting],
        ahead: &Ahead,
        ids: &Mutex<u128>,
    ) -> Result<Self, Error> {
        // Before the memos are read: what another node stores meanwhile makes the guards fail. Behind it they would hold,
        // and its memo be overlooked.
        let mut known = HashMap::new();
        for waiting in group.iter().filter(|waiting| waiting.asked.is_some()) {
            for channel in &waiting.channels {
                known.insert(&channel.name, ahead.place(life, channel)?);
            }
        }
        let asked = group.iter().map(|waiting| (waiting.asked.as_deref(), waiting.now));
        let judged = Judged::new(life, asked).await?;
        let (entries, firsts) = number(life, group, &judged, ahead, known)?;
        let memos = judged.memos(life, &firsts);
        let mut ids = ids.lock();
        *ids += 1;
        Ok(Self { judged, batch: Batch { id: *ids, entries, memos }, firsts })
    }
}

/// `places` has the place for the next event of channels of which that is decided.
fn number<'a>(
    life: &Life,
    group: &'a [Waiting],
    judged: &Judged,
    ahead: &Ahead,
    mut places: HashMap<&'a ChannelName, Place>,
) -> Result<(Vec<Entry>, Vec<u32>), Error> {
    let mut firsts = Vec::with_capacity(group.len() + 1);
    let mut entries: Vec<Entry> = Vec::new();
    for (index, waiting) in group.iter().enumerate() {
        firsts.push(entries.len() as u32);
        if !matches!(judged.verdict(index), Verdict::Store) {
            continue;
        }
        let time = life.time(waiting.now);
        for (channel, draft) in waiting.channels.iter().zip(&waiting.drafts) {
            let next = Place::Behind(entries.len() as u32);
            let place = match places.insert(&channel.name, next) {
                Some(place) => place,
                None => ahead.place(life, channel)?,
            };
            let signal = channel.signal;
            entries.push(Entry {
                channel: channel.name.clone(),
                place,
                body: record::encode(draft, &waiting.from, time, signal),
                kept: !signal,
            });
        }
    }
    firsts.push(entries.len() as u32);
    Ok((entries, firsts))
}
