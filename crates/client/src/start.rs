//! Where to begin, and what a connection asks for.

use std::sync::Arc;

use sosik_wire::ReadBody;

/// Where a following begins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Start {
    /// With the next event.
    #[default]
    Now,
    /// With everything that is kept; what is not is told as a gap.
    Start,
    /// After this cursor, as it was handed out.
    After(String),
    /// With this many events from before, at most 1,000.
    Last(u64),
}

impl Start {
    /// The `after` of a request.
    pub(crate) fn after(&self) -> Option<String> {
        match self {
            Self::Now | Self::Last(_) => None,
            Self::Start => Some("start".to_owned()),
            Self::After(cursor) => Some(cursor.clone()),
        }
    }

    /// The `last` of a request.
    pub(crate) fn last(&self) -> Option<u64> {
        if let Self::Last(count) = self { Some(*count) } else { None }
    }
}

/// What a connection asks for: a set of channels and where to begin.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) channels: Arc<[String]>,
    pub(crate) from: Start,
}

impl Ask {
    /// As the body of a request; `wait` in seconds, for a long-poll.
    pub(crate) fn body(&self, wait: Option<u64>) -> ReadBody {
        let (after, last) = (self.from.after(), self.from.last());
        ReadBody { channels: self.channels.to_vec(), after, last, wait }
    }
}
