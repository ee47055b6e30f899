//! What can go wrong for a client: whose fault it was, and whether to come back.

use std::{fmt, time::Duration};

use sosik_wire::{Code, DecodeError, GapFrame, GoodbyeFrame, PayloadError};

use crate::backoff::Return;

/// Why a call failed, or a following ended or was interrupted.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An option makes no sense; the text says which and what it may be. The caller's fault.
    #[error("{0}")]
    Option(String),
    /// Data to publish was refused before it was sent. The caller's fault.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// The server refused. Whose fault it was depends on the code: [`Refusal::status`] of 500 and above is the server's.
    #[error("{0}")]
    Refused(Refusal),
    /// A gap, where the policy for gaps is [`crate::GapPolicy::Stop`]. Nobody's fault: retention took the events.
    #[error("events of {} are gone ({:?}); read the state anew and follow from the gap's cursor", .0.channel, .0.reason)]
    Gap(GapFrame),
    /// No connection, or no first answer within its limit. The network's fault.
    #[error("{to}: {reason}")]
    Unreachable {
        /// Where to.
        to: String,
        /// Why not.
        reason: String,
    },
    /// The connection ended without a goodbye. The network's fault.
    #[error("the connection was lost: {0}")]
    Lost(String),
    /// No byte came for longer than agreed: the heartbeat, and the grace after it. The network's fault.
    #[error("no byte for {} ms", .0.as_millis())]
    Silent(Duration),
    /// A request was sent and its answer did not come, also not to the attempts after it: it may have been carried out, or
    /// not.
    #[error("whether it was stored is not known ({reason}); {}", remedy(key.as_deref()))]
    Unknown {
        /// What happened.
        reason: String,
        /// The key of the publish. With the same key ([`crate::Client::publish_with_key`]) the same publish is stored once,
        /// however late it is sent again within a day.
        key: Option<String>,
    },
    /// It was not sent, or not stored: one before it in the order of its producer has no answer. Publish both again once the
    /// fate of that one is known.
    #[error("not stored, because of one before it: {0}")]
    Behind(String),
    /// The server said goodbye; the frame says whether and when to come back.
    #[error("goodbye {} {}", .0.code, .0.name)]
    Goodbye(GoodbyeFrame),
    /// What came is no frame: the fault of the server, or of something between.
    #[error("the answer cannot be read: {0}")]
    Undecodable(#[from] DecodeError),
    /// What came is not this protocol: the fault of the address, of the server, or of something between.
    #[error("not an answer of a sosik server: {0}")]
    Unexpected(String),
}

/// How a server refused a request or a frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Refusal {
    /// The name of the code; [`sosik_wire::Code::from_name`] reads it. Empty when what refused is not a sosik server.
    pub code: String,
    /// Whose fault it was and what to do next, for people.
    pub message: String,
    /// The HTTP status; for a frame refused on a connection that of its code, 0 for a code of a later version.
    pub status: u16,
    /// Whether the same may succeed later.
    pub retry: bool,
    /// When, if that was said.
    pub retry_after: Option<Duration>,
    /// With the code `producer_gap`: the `seq` to send again from.
    pub expected: Option<u64>,
}

/// Whose fault an error was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The caller's: something must change before the same call can succeed.
    Caller,
    /// The network's, or of something in it: the same call may succeed later.
    Network,
    /// The server's.
    Server,
}

impl Error {
    /// Whose fault it was.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Option(_) | Self::Payload(_) | Self::Gap(_) => Fault::Caller,
            Self::Refused(refusal) if (400..500).contains(&refusal.status) => Fault::Caller,
            Self::Goodbye(goodbye) if !goodbye.retry => Fault::Caller,
            Self::Refused(_) | Self::Goodbye(_) | Self::Undecodable(_) | Self::Unexpected(_) => Fault::Server,
            Self::Unreachable { .. } | Self::Lost(_) | Self::Silent(_) => Fault::Network,
            Self::Unknown { .. } | Self::Behind(_) => Fault::Network,
        }
    }

    /// Whether a reader may come back by itself, and a publish be sent again.
    pub fn retry(&self) -> bool {
        match self {
            Self::Option(_) | Self::Payload(_) | Self::Gap(_) => false,
            Self::Refused(refusal) => refusal.retry,
            Self::Goodbye(goodbye) => goodbye.retry,
            _ => true,
        }
    }

    /// The code of a refusal by the server.
    pub(crate) fn code(&self) -> Option<Code> {
        if let Self::Refused(refusal) = self { Code::from_name(&refusal.code) } else { None }
    }

    /// Whether what was sent may have been carried out all the same.
    pub(crate) fn leaves_unsure(&self) -> bool {
        match self {
            Self::Unknown { .. } | Self::Silent(_) | Self::Goodbye(_) => true,
            Self::Undecodable(_) | Self::Unexpected(_) => true,
            // Something between gave up on a server that may not have.
            Self::Refused(refusal) if refusal.code.is_empty() => {
                refusal.status >= 500 || refusal.status == 408
            }
            Self::Refused(_) => {
                matches!(self.code(), Some(Code::Unavailable | Code::Internal | Code::StorageFailed))
            }
            _ => false,
        }
    }

    /// What is told when an earlier attempt may have been carried out.
    pub(crate) fn into_unknown(self) -> Self {
        match self {
            Self::Unknown { .. } => self,
            other => Self::unknown(other),
        }
    }

    /// Not carried out or without an answer, for this reason.
    pub(crate) fn unknown(reason: impl fmt::Display) -> Self {
        Self::Unknown { reason: reason.to_string(), key: None }
    }

    /// When the server wants to see this client again, if it said so.
    pub(crate) fn advice(&self) -> Option<Return> {
        match self {
            Self::Refused(refusal) => {
                refusal.retry_after.map(|after| Return { after, spread: Duration::ZERO })
            }
            Self::Goodbye(goodbye) => Some(Return {
                after: Duration::from_millis(goodbye.after_ms),
                spread: Duration::from_millis(goodbye.spread_ms),
            }),
            _ => None,
        }
    }
}

fn remedy(key: Option<&str>) -> String {
    match key {
        Some(key) => format!("publish it again with the key {key}: it will be there once"),
        None => "look in the history before you publish it again".to_owned(),
    }
}
