//! A follower that mirrors the records, as a core would, and judges every answer on the way.

use std::{
    collections::BTreeMap,
    fmt,
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
    time::Duration,
};

use sosik_core::{
    cursor::Position,
    name::ChannelName,
    store::{Change, ChannelHead, Follow, Followed, Store, Stored},
};

/// What was heard of a store, and the records that follow from it.
pub struct Listener {
    follow: Box<dyn Follow>,
    /// Everything up to here was told.
    pub head: Position,
    /// Where it began.
    pub after: Position,
    /// All changes, in order.
    pub changes: Vec<Change>,
    /// The records: as they were when it began, moved on by the changes alone, without the bytes kept: how many were
    /// removed is not told.
    pub records: BTreeMap<ChannelName, ChannelHead>,
    last_event: Position,
}

impl Listener {
    /// Follows `store` from `after`, when the records were `records`.
    pub fn new(store: &dyn Store, after: Position, records: BTreeMap<ChannelName, ChannelHead>) -> Self {
        let follow = store.follow(after);
        let records = records.into_iter().map(|(channel, head)| (channel, as_told(head))).collect();
        Self { follow, head: after, after, changes: Vec::new(), records, last_event: after }
    }

    /// The events heard.
    pub fn events(&self) -> impl Iterator<Item = &Stored> {
        self.changes
            .iter()
            .filter_map(|change| if let Change::Event(event) = change { Some(event) } else { None })
    }

    /// Whether it was told that the event at `position` of `channel` is gone.
    pub fn knows_gone(&self, channel: &ChannelName, position: Position) -> bool {
        self.changes.iter().any(|change| match change {
            Change::Trimmed { channel: own, to, .. } => own == channel && position <= *to,
            Change::Forgotten { channel: own, mark } => own == channel && position <= *mark,
            Change::Event(_) => false,
        })
    }

    /// Hears until the head has reached `position`.
    pub async fn until(&mut self, position: Position) {
        while self.head < position {
            self.hear().await;
        }
    }

    /// Hears until it was told so many changes.
    pub async fn until_change(&mut self, count: usize) {
        while self.changes.len() < count {
            self.hear().await;
        }
    }

    /// Waits for one answer.
    pub async fn hear(&mut self) {
        let told = tokio::time::timeout(PATIENCE, self.follow.next()).await;
        let told =
            told.unwrap_or_else(|_| panic!("nothing was told in {PATIENCE:?}, the head is {:?}", self.head));
        self.apply(told);
    }

    /// Polls once, and drops the wait if there is no answer yet.
    pub async fn glance(&mut self) -> bool {
        let told = poll_once(self.follow.next()).await;
        let heard = told.is_some();
        told.into_iter().for_each(|told| self.apply(told));
        heard
    }

    fn apply(&mut self, told: Followed) {
        let (changes, head) = match told {
            Followed::News { changes, head } => (changes, head),
            Followed::Stalled => return,
            other => panic!("{other:?} on a store that lives"),
        };
        assert!(head >= self.head, "the head fell from {:?} to {head:?}", self.head);
        for change in &changes {
            match change {
                Change::Event(event) => {
                    assert!(event.position > self.last_event, "{event:?} after {:?}", self.last_event);
                    assert!(event.position > self.head, "{event:?} is not news at {:?}", self.head);
                    assert!(event.position <= head, "{event:?} is above the head {head:?} told with it");
                    self.last_event = event.position;
                    self.count(event);
                }
                Change::Trimmed { channel, to, first_seq } => {
                    let own = self.records.entry(channel.clone()).or_default();
                    own.trimmed_to = own.trimmed_to.max(*to);
                    own.position = own.position.max(*to);
                    own.first_seq = own.first_seq.max(*first_seq);
                    own.seq = own.seq.max(*first_seq - 1);
                }
                Change::Forgotten { channel, mark } => {
                    // A record above the mark belongs to a later life of the name.
                    self.records.retain(|own, record| own != channel || record.position > *mark);
                }
            }
        }
        self.changes.extend(changes);
        self.head = head;
    }

    fn count(&mut self, event: &Stored) {
        let own = self.records.entry(event.channel.clone()).or_default();
        if event.position <= own.position {
            return;
        }
        if own.seq > 0 {
            assert_eq!((event.seq, event.prev), (own.seq + 1, own.position), "not the next one: {event:?}");
        }
        if own.seq == 0 || (own.first_seq > own.seq && !event.kept) {
            own.first_seq = if event.kept { event.seq } else { event.seq + 1 };
        }
        (own.seq, own.position) = (event.seq, event.position);
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "listener from {:?} at {:?}", self.after, self.head)
    }
}

/// What of a record a follower can know.
pub(super) fn as_told(head: ChannelHead) -> ChannelHead {
    ChannelHead { bytes: 0, ..head }
}

/// Polls `future` once and drops it.
async fn poll_once<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// How long a store may take to tell what it owes, before the suite gives up. Never part of a promise.
const PATIENCE: Duration = Duration::from_secs(20);
