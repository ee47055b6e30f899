//! Why a call was refused: whose fault it was, and what to do next.

use crate::{
    cursor::CursorError,
    grant::Verb,
    name::{NameError, Pattern, RESERVED},
    store::StoreError,
};

/// Why the core refused a call. The text says what to do next and may be shown to the caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    // The caller's fault.
    /// A channel name or pattern is malformed.
    #[error("{0}")]
    Name(#[from] NameError),
    /// A cursor is malformed.
    #[error("{0}")]
    Cursor(#[from] CursorError),
    /// The request contradicts itself.
    #[error("{0}")]
    Request(&'static str),
    /// The grant does not cover it.
    #[error("{verb} of {pattern} is not allowed here{}", advice(*verb, pattern))]
    Forbidden {
        /// What was wanted.
        verb: Verb,
        /// Where.
        pattern: Pattern,
    },
    /// The grant has ended by time.
    #[error("the grant has ended; come back with a new token")]
    Expired,
    /// The grant was taken back.
    #[error("rights have changed; come back with a new token")]
    Revoked,
    /// Something is larger than its limit.
    #[error("{what} has {bytes} bytes, the limit is {most}")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// Its size in bytes.
        bytes: usize,
        /// The limit in bytes.
        most: usize,
    },
    /// There are more of something than its limit.
    #[error("more than {most} {what}")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        most: usize,
    },
    /// A channel is followed already, maybe through a prefix.
    #[error("{0} is followed already on this connection")]
    Already(Pattern),
    /// A channel is not followed.
    #[error("{0} is not followed on this connection")]
    NotFollowed(Pattern),
    /// Publishes before this one of its producer are missing.
    #[error(
        "publishes of this producer are missing before this one; send number {expected} next, and then the rest in order"
    )]
    ProducerGap {
        /// The `seq` that comes next.
        expected: u64,
    },
    /// Another event was stored under this number of the producer.
    #[error(
        "this producer has stored another event under this number; give each running publisher an id of its own, and each event a number of its own"
    )]
    ProducerConflict,
    /// Another publisher has taken over with a higher epoch.
    #[error(
        "a publisher with the same producer id and epoch {epoch} has taken over; stop, or begin with a new id at `seq` 1"
    )]
    ProducerFenced {
        /// The producer's present epoch.
        epoch: u64,
    },
    /// The number is so far back that nobody can say what was stored under it.
    #[error(
        "this producer is more than {} publishes further on, so whether this one was stored is not known any more; look into the channel's history, and begin with a new id at `seq` 1",
        crate::limits::PRODUCER_SEQS_HELD
    )]
    ProducerForgotten,
    /// Another publish was stored under this idempotency key.
    #[error("another publish was stored under this idempotency key; make a new key for each publish")]
    KeyConflict,
    /// The idempotency key is older than what is remembered: it may have been used.
    #[error(
        "the idempotency key is older than the keys that are remembered, so whether it was stored is not known any more; look into the channel's history, check the clock that made the key, and make a new one"
    )]
    KeyExpired,

    // Nobody's fault: come back.
    /// Too much waits already.
    #[error("too many publishes are waiting; try again shortly")]
    Overloaded,
    /// The store does not answer, or not in time. A publish may have been stored.
    #[error("the store does not answer; try again")]
    Unavailable,
    /// Another node knows more than this one.
    #[error("this node has not seen what the cursor has; try again or elsewhere")]
    Rebalance,

    // The store's fault.
    /// The store refuses writes until it is opened anew.
    #[error("the store has failed; publishes are refused until the operator restarts it")]
    StorageFailed,
    /// There is no room.
    #[error("the store is full; the operator must make room or lower retention")]
    StorageFull,
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable => Self::Unavailable,
            StoreError::Failed(_) | StoreError::System(_) => Self::StorageFailed,
        }
    }
}

/// The lines that an operator would add, unless nobody may.
fn advice(verb: Verb, pattern: &Pattern) -> String {
    let namespace = pattern.namespace();
    if namespace.starts_with('$') || RESERVED.contains(&namespace) {
        return format!("; {namespace}: belongs to the server's own applications");
    }
    format!(
        "; to open it, the operator has these lines in sosik.toml:\n[[namespace]]\nname = \"{namespace}\"\n{verb} = \"anyone\""
    )
}
