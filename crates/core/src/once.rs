//! Publishing once: what a publisher says so that a publish that it sends again is stored no second time.

mod body;
mod judge;
mod ring;

pub(crate) use self::judge::{Asked, Judged, Verdict};
use crate::{error::Error, event::Draft, limits::ONCE_ID_BYTES_MAX};

/// One atomic publish: everything of it is stored or nothing, at consecutive places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    /// The events, at least one and at most [`crate::limits::EVENTS_PER_PUBLISH_MAX`], all of one log.
    pub drafts: Vec<Draft>,
    /// How a second attempt is known; `None` if it is not to be: then it is stored again.
    pub once: Option<Once>,
}

impl From<Vec<Draft>> for Publish {
    fn from(drafts: Vec<Draft>) -> Self {
        Self { drafts, once: None }
    }
}

/// How a second attempt of a publish is known. Scoped to the publisher's subject and to the channel of the first draft.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Once {
    /// By a number in a sequence: in order, without a hole. One draft per publish.
    Producer(Producer),
    /// By a name of its own, in any order. Several drafts are one batch with one key.
    Key(Key),
}

/// A place in a producer's sequence of publishes into one channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Producer {
    /// Random per running publisher, 1 to 64 bytes. Never kept in a place that two of them may read.
    pub id: Box<str>,
    /// Of two with one id, the higher wins and fences the lower. Each epoch begins at `seq` 1.
    pub epoch: u64,
    /// From 1, one more for each publish into the channel.
    pub seq: u64,
}

/// A name that a publisher has given to one publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Unique for each publish, 1 to 64 bytes.
    pub text: Box<str>,
    /// When the publisher made it, milliseconds since 1970, if the text says so (a UUIDv7). By this a key that may have
    /// been forgotten is refused. Without it such a key is taken for a new one.
    pub made_at: Option<u64>,
}

impl Once {
    /// What is wrong with it for a publish of `drafts`.
    pub(crate) fn check(&self, drafts: &[Draft]) -> Result<(), Error> {
        let (what, id) = match self {
            Self::Producer(producer) => ("the producer's id", &producer.id),
            Self::Key(key) => ("the idempotency key", &key.text),
        };
        if id.len() > ONCE_ID_BYTES_MAX {
            return Err(Error::TooLarge { what, bytes: id.len(), most: ONCE_ID_BYTES_MAX });
        }
        match self {
            Self::Key(key) if key.text.is_empty() => Err(Error::Request(NO_KEY)),
            Self::Producer(producer) if producer.id.is_empty() => Err(Error::Request(NO_ID)),
            Self::Producer(producer) if producer.seq == 0 => Err(Error::Request(NO_SEQ)),
            Self::Producer(_) if drafts.len() != 1 => Err(Error::Request(MANY)),
            _ => Ok(()),
        }
    }
}

const NO_KEY: &str = "the idempotency key is empty; make one for each publish, a UUIDv7 is best";
const NO_ID: &str = "the producer's id is empty; make a random one when the publisher starts";
const NO_SEQ: &str = "a producer's `seq` begins at 1";
const MANY: &str = "a producer numbers single events; send several as one batch under an idempotency key";
