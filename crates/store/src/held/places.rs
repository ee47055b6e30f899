//! The guards of an append, the same in every engine.

use hashbrown::HashMap;
use sosik_core::{
    cursor::Position,
    name::ChannelName,
    store::{Entry, Place, Placed},
};

/// What the guards of a batch are held against.
pub(crate) trait Guards {
    /// Why it could not be read.
    type Error;

    /// `seq` and position of the channel's last event; `None` without a record.
    fn last(&mut self, channel: &ChannelName) -> Result<Option<(u64, Position)>, Self::Error>;

    /// The namespace's `forgotten_to`.
    fn mark(&mut self, namespace: &str) -> Result<Position, Self::Error>;

    /// The position to give next, above all that were asked for.
    fn next(&mut self) -> Position;
}

/// The place and `prev` of each entry, if all guards hold.
pub(crate) fn places<G: Guards>(
    entries: &[Entry],
    guards: &mut G,
) -> Result<Option<Vec<(Placed, Position)>>, G::Error> {
    let mut places: Vec<(Placed, Position)> = Vec::with_capacity(entries.len());
    let mut latest: HashMap<&ChannelName, usize> = HashMap::new();
    for (index, Entry { channel, place, .. }) in entries.iter().enumerate() {
        let position = guards.next();
        let earlier = latest.insert(channel, index);
        let fits = match *place {
            Place::Behind(of) => earlier.filter(|&earlier| earlier == of as usize).map(|of| {
                let (before, _) = places[of];
                (before.seq + 1, before.position)
            }),
            _ if earlier.is_some() => None,
            Place::After { seq, prev } => {
                let (last, at) = guards.last(channel)?.unwrap_or((0, Position::START));
                (last.checked_add(1) == Some(seq) && at == prev).then_some((seq, prev))
            }
            Place::First { prev } => {
                let fits = guards.last(channel)?.is_none() && guards.mark(channel.namespace())? == prev;
                fits.then_some((position.number(), prev))
            }
        };
        let Some((seq, prev)) = fits else { return Ok(None) };
        places.push((Placed { position, seq }, prev));
    }
    Ok(Some(places))
}
