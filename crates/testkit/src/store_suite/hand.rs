//! What the cases write with and judge by.

use sosik_core::{
    cursor::Position,
    event::Draft,
    name::ChannelName,
    record,
    store::{
        AppendError, Appended, Batch, ChannelHead, Entry, Page, PageLimit, Place, Placed, Scope, Store,
        Stored,
    },
};

/// No limit that a case could reach.
pub const ALL: PageLimit = PageLimit { events: usize::MAX, bytes: usize::MAX };

/// The channel of this name.
pub fn channel(name: &str) -> ChannelName {
    ChannelName::parse(name).expect("the suite writes names that are right")
}

/// The events of this namespace.
pub fn space(name: &str) -> Scope {
    Scope::Namespace(name.into())
}

/// An entry with a record that any engine can check.
pub fn entry(channel: &ChannelName, place: Place, data: &str, kept: bool) -> Entry {
    let draft = Draft::json(channel.clone(), format!("{data:?}"));
    Entry { channel: channel.clone(), place, body: record::encode(&draft, "suite", 1, !kept), kept }
}

/// Appends events one batch after the other.
pub(super) struct Hand<'a> {
    store: &'a dyn Store,
    batches: u128,
    /// All that was appended, by position.
    pub(super) stored: Vec<Stored>,
}

impl<'a> Hand<'a> {
    pub(super) fn new(store: &'a dyn Store) -> Self {
        Self { store, batches: 0, stored: Vec::new() }
    }

    pub(super) fn batch(&mut self, entries: Vec<Entry>) -> Batch {
        self.batches += 1;
        Batch::new(self.batches, entries)
    }

    pub(super) async fn append(&mut self, entries: Vec<Entry>) -> Result<Vec<Placed>, AppendError> {
        let batch = self.batch(entries);
        self.send(batch).await
    }

    /// Sends `batch` and remembers what was stored of it, with the `prev` that its guard stands for.
    pub(super) async fn send(&mut self, batch: Batch) -> Result<Vec<Placed>, AppendError> {
        let Appended { placed, .. } = self.store.append(batch.clone()).await?;
        assert_eq!(placed.len(), batch.entries.len(), "one place per entry");
        for (Entry { channel, place, body, kept }, Placed { position, seq }) in
            batch.entries.iter().zip(&placed)
        {
            let prev = match *place {
                Place::After { prev, .. } | Place::First { prev } => prev,
                Place::Behind(of) => placed[of as usize].position,
            };
            let (channel, body) = (channel.clone(), body.clone());
            self.stored.push(Stored { position: *position, channel, seq: *seq, prev, body, kept: *kept });
        }
        Ok(placed)
    }

    /// Appends `count` events to `channel`, one batch each.
    pub(super) async fn put(&mut self, channel: &ChannelName, count: usize) -> Vec<Placed> {
        self.put_as(channel, count, true).await
    }

    pub(super) async fn put_as(&mut self, channel: &ChannelName, count: usize, kept: bool) -> Vec<Placed> {
        let mut placed = Vec::new();
        for _ in 0..count {
            let place = after(self.head(channel).await);
            let entries = vec![entry(channel, place, &format!("{}", self.batches), kept)];
            placed.extend(self.append(entries).await.expect("the guards are right"));
        }
        placed
    }

    pub(super) async fn head(&self, channel: &ChannelName) -> Option<ChannelHead> {
        self.store.channel(channel).await.expect("the store answers")
    }

    pub(super) fn of(&self, channel: &ChannelName) -> Vec<Stored> {
        self.stored.iter().filter(|event| event.channel == *channel).cloned().collect()
    }
}

/// The guard of an event behind `head`.
pub(super) fn after(head: Option<ChannelHead>) -> Place {
    let head = head.unwrap_or_default();
    Place::After { seq: head.seq + 1, prev: head.position }
}

/// Judges an answer of `page` or `range`. `kept` is all that there is, by position; `head` is the head at least.
pub fn check_page(
    kept: &[Stored],
    page: &Page,
    (after, up_to): (Position, Position),
    limit: PageLimit,
    head: Position,
) {
    let asked = |event: &&Stored| event.position > after && event.position <= up_to;
    let proven = kept.iter().filter(asked).filter(|event| event.position <= page.complete_to);
    assert!(page.events.iter().eq(proven), "({after:?}, {up_to:?}] holds other events: {page:?}");
    assert!(page.complete_to <= up_to.max(after), "complete to more than was asked: {page:?}");
    check_limit(page, limit);
    if page.events.is_empty() {
        assert!(kept.iter().find(asked).is_none(), "({after:?}, {up_to:?}] is not empty");
        assert!(page.complete_to >= up_to.min(head), "an empty page that leads nowhere: {page:?}");
    }
}

/// Judges an answer of `before`. `kept` is all that there is, by position.
pub fn check_before(kept: &[Stored], page: &Page, before: Position, limit: PageLimit) {
    let asked: Vec<_> = kept.iter().rev().filter(|event| event.position < before).collect();
    assert!(
        page.events.len() <= asked.len() && page.events.iter().eq(asked[..page.events.len()].iter().copied())
    );
    assert!(asked.is_empty() || !page.events.is_empty(), "nothing before {before:?}: {page:?}");
    let missed = asked.get(page.events.len()).filter(|missed| missed.position >= page.complete_to);
    assert_eq!(missed, None, "not read, but said to be complete: {page:?}");
    check_limit(page, limit);
}

fn check_limit(page: &Page, limit: PageLimit) {
    let bytes = page.events.iter().map(|event| event.body.len()).sum::<usize>();
    let fits = page.events.len() <= limit.events && bytes <= limit.bytes;
    assert!(fits || page.events.len() <= 1, "{limit:?} is passed: {page:?}");
}
