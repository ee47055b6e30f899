//! A node: two logs, their namespaces, and the calls that everything else is built on.

use std::sync::{Arc, atomic::AtomicU64};

use hashbrown::HashMap;
use tokio::sync::Semaphore;

use crate::{
    append::Published,
    capacity::Capacity,
    cursor::{Cursor, LogId, Part, Position},
    error::Error,
    event::{Data, Draft},
    grant::{Grant, Verb},
    half::{Half, Members},
    herald::Herald,
    limits::{
        APPEND_QUEUE_MAX, CHANNELS_PER_READER_MAX, EVENT_BYTES_MAX, EVENT_NAME_BYTES_MAX,
        EVENTS_PER_PUBLISH_MAX, META_BYTES_MAX, META_PAIRS_MAX, PAGE_READS_MAX,
    },
    log::Log,
    member::Member,
    name::{ChannelName, Pattern},
    once::Publish,
    reader::{Halves, Reader},
    space::Namespace,
    start::{self, Start},
    store::{Store, StoreError},
};

/// What a node is made of.
#[derive(Debug)]
pub struct NodeOptions {
    /// The namespaces that exist; every other one is refused.
    pub namespaces: Vec<Namespace>,
    /// Most publishes that wait for their append, per log. Default 10,000.
    pub append_queue_max: usize,
    /// How much each log may hold, `disk` first.
    pub capacities: [Capacity; 2],
    /// Random; makes batch ids unique to this process.
    pub seed: u64,
}

impl NodeOptions {
    /// Default limits with these namespaces.
    pub fn new(namespaces: Vec<Namespace>, seed: u64) -> Self {
        let capacities = LogId::ALL.map(Capacity::of);
        Self { namespaces, append_queue_max: APPEND_QUEUE_MAX, capacities, seed }
    }
}

/// Two logs, `disk` and `memory`, and everything asked of them.
#[derive(Debug)]
pub struct Node {
    logs: [Arc<Log>; 2],
    namespaces: HashMap<Box<str>, LogId>,
    page_reads: Semaphore,
}

impl Node {
    /// Opens both stores, `disk` first. The caller runs [`Log::run`] of each log and calls [`Node::tick`].
    pub async fn open(
        options: NodeOptions,
        stores: [Arc<dyn Store>; 2],
        herald: Arc<dyn Herald>,
    ) -> Result<Arc<Self>, StoreError> {
        let names =
            options.namespaces.iter().map(|namespace| (namespace.name.clone(), namespace.log)).collect();
        let namespaces: Arc<[Namespace]> = options.namespaces.into();
        let watches = Arc::new(AtomicU64::new(0));
        let mut logs = Vec::with_capacity(2);
        for (id, store) in LogId::ALL.into_iter().zip(stores) {
            let (namespaces, herald, watches) = (namespaces.clone(), herald.clone(), watches.clone());
            let seed = options.seed.wrapping_add(id.index() as u64);
            let capacity = options.capacities[id.index()];
            let queue_max = options.append_queue_max;
            let log = Log::open(id, store, namespaces, herald, watches, seed, queue_max, capacity).await?;
            logs.push(Arc::new(log));
        }
        let logs = logs.try_into().map_err(|_| StoreError::Failed("a node has two logs".into()))?;
        Ok(Arc::new(Self { logs, namespaces: names, page_reads: Semaphore::new(PAGE_READS_MAX) }))
    }

    /// One of the two logs.
    pub fn log(&self, id: LogId) -> &Arc<Log> {
        &self.logs[id.index()]
    }

    /// Time goes on, `now` in milliseconds since 1970. The server calls it several times a second.
    pub fn tick(&self, now: u64) {
        self.logs.iter().for_each(|log| log.tick(now));
    }

    /// Publishes all of `publish` or nothing, at consecutive places. All channels must live in one log.
    ///
    /// The answer comes when the store has stored them *and* this node's readers can see them, at most one second
    /// later without the second. After [`Error::Unavailable`] they may have been stored.
    pub async fn publish(
        &self,
        grant: &Grant,
        publish: impl Into<Publish>,
        now: u64,
    ) -> Result<Vec<Published>, Error> {
        let Publish { drafts, once } = publish.into();
        if drafts.is_empty() {
            return Err(Error::Request("nothing to publish; send at least one event"));
        }
        if drafts.len() > EVENTS_PER_PUBLISH_MAX {
            return Err(Error::Limit { what: "events in one publish", most: EVENTS_PER_PUBLISH_MAX });
        }
        if let Some(once) = &once {
            once.check(&drafts)?;
        }
        let mut log: Option<&Arc<Log>> = None;
        for draft in &drafts {
            check(draft)?;
            grant.allows_channel(Verb::Publish, &draft.channel, now)?;
            let own = self.log_of(draft.channel.namespace(), Verb::Publish, &draft.channel)?;
            if log.is_some_and(|log| !Arc::ptr_eq(log, own)) {
                return Err(Error::Request(TWO_LOGS));
            }
            log = Some(own);
        }
        let Some(log) = log else { return Ok(Vec::new()) };
        log.publish(Publish { drafts, once }, grant.subject.clone(), now).await
    }

    /// Opens a reader of `set`. Channels that a prefix of the set covers are followed once, through the prefix.
    pub async fn read(
        self: &Arc<Self>,
        grant: impl Into<Arc<Grant>>,
        set: &[Pattern],
        start: Start,
        now: u64,
    ) -> Result<Reader, Error> {
        let grant = grant.into();
        self.may_read(&grant, set, now)?;
        let mut halves = Halves::new();
        for log in &self.logs {
            if let Some(half) = self.half(log, set, &start).await? {
                halves.push(half);
            }
        }
        Ok(Reader::new(self.clone(), grant, halves))
    }

    /// Whether it is known without more that nothing follows `cursor`: then a reader of `set` would find nothing, and hand
    /// the same cursor back. `false` also when it takes a reader to know. Errors: as those of [`Node::read`].
    pub fn is_quiet(&self, grant: &Grant, set: &[Pattern], cursor: &Cursor, now: u64) -> Result<bool, Error> {
        self.may_read(grant, set, now)?;
        let mut touched = [false; LogId::ALL.len()];
        for pattern in set {
            let life = self.log_of_pattern(pattern, Verb::Read)?.life();
            touched[life.log.index()] = true;
            let quiet = |part| matches!(pattern, Pattern::Channel(name) if life.is_quiet(name, part));
            if !cursor.part(life.log).is_some_and(quiet) {
                return Ok(false);
            }
        }
        Ok(cursor.parts().len() == touched.into_iter().filter(|touched| *touched).count())
    }

    fn may_read(&self, grant: &Grant, set: &[Pattern], now: u64) -> Result<(), Error> {
        if set.is_empty() {
            return Err(Error::Request("no channel named; name at least one"));
        }
        if set.len() > CHANNELS_PER_READER_MAX {
            return Err(Error::Limit { what: "channels on one connection", most: CHANNELS_PER_READER_MAX });
        }
        for pattern in set {
            grant.allows(Verb::Read, pattern, now)?;
            self.log_of_pattern(pattern, Verb::Read)?;
        }
        Ok(())
    }

    async fn half(&self, log: &Log, set: &[Pattern], start: &Start) -> Result<Option<Half>, Error> {
        let life = log.life();
        let mut members = Members::new();
        for (i, pattern) in set.iter().enumerate() {
            let Some(space) = life.space(pattern.namespace()) else { continue };
            let covered =
                set.iter().enumerate().any(|(j, other)| other.covers(pattern) && (other != pattern || j < i));
            if !covered {
                members.push(Member::follow(&life, space, pattern.clone()).await?);
            }
        }
        if members.is_empty() {
            return Ok(None);
        }
        let part = |position| Part { log: life.log, epoch: life.epoch, position };
        let told = match start {
            Start::After(cursor) => cursor.part(life.log).unwrap_or_else(|| part(start::now(&members))),
            Start::Now => part(start::now(&members)),
            Start::Last(count) => part(start::last(&life, &self.page_reads, &mut members, *count).await?),
            Start::Beginning if members.iter().all(Member::is_signal) => part(start::now(&members)),
            Start::Beginning => {
                start::skip_signals(&mut members);
                part(Position::START)
            }
        };
        Ok(Some(Half::new(life, members, told)))
    }

    /// Never closed: whoever waits for a permit gets one.
    pub(crate) fn page_reads(&self) -> &Semaphore {
        &self.page_reads
    }

    pub(crate) fn log_of(
        &self,
        namespace: &str,
        verb: Verb,
        channel: &ChannelName,
    ) -> Result<&Arc<Log>, Error> {
        let log = self.namespaces.get(namespace).map(|id| self.log(*id));
        log.ok_or_else(|| Error::Forbidden { verb, pattern: Pattern::Channel(channel.clone()) })
    }

    fn log_of_pattern(&self, pattern: &Pattern, verb: Verb) -> Result<&Arc<Log>, Error> {
        let log = self.namespaces.get(pattern.namespace()).map(|id| self.log(*id));
        log.ok_or_else(|| Error::Forbidden { verb, pattern: pattern.clone() })
    }
}

fn check(draft: &Draft) -> Result<(), Error> {
    let longest_meta = draft.meta.iter().flat_map(|(key, value)| [key.len(), value.len()]).max().unwrap_or(0);
    for (what, bytes, most) in [
        ("the event's data", draft.data.bytes().len(), EVENT_BYTES_MAX),
        ("the event's name", draft.name.len(), EVENT_NAME_BYTES_MAX),
        ("the content type", draft.content_type.len(), META_BYTES_MAX),
        ("a key or value of meta", longest_meta, META_BYTES_MAX),
    ] {
        if bytes > most {
            return Err(Error::TooLarge { what, bytes, most });
        }
    }
    if draft.meta.len() > META_PAIRS_MAX {
        return Err(Error::Limit { what: "pairs of meta", most: META_PAIRS_MAX });
    }
    if matches!(&draft.data, Data::Json(text) if text.is_empty()) {
        return Err(Error::Request("the event has no data; send at least null"));
    }
    Ok(())
}

const TWO_LOGS: &str = "the channels of one publish must live in one log, but some are log = \"disk\" and some log = \"memory\"; publish them apart";
