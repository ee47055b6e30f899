//! What a caller may do: an argument of every call.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{
    error::Error,
    name::{ChannelName, Pattern},
};

/// What a caller may do, on which channels, until when. The core checks nothing else.
#[derive(Debug, Clone)]
pub struct Grant {
    /// Who the caller is; empty for anonymous callers. Becomes `from` of what it publishes.
    pub subject: Arc<str>,
    /// Channels and what may be done there; the first rule that covers a channel and names the verb allows it.
    pub rules: Arc<[(Pattern, Verbs)]>,
    /// When the grant ends, milliseconds since 1970; `None` for never.
    pub until: Option<u64>,
    /// The generation of rights it was made in.
    pub generation: Generation,
}

impl Grant {
    /// A grant for an anonymous caller that does not end by itself.
    pub fn anonymous(rules: impl Into<Arc<[(Pattern, Verbs)]>>) -> Self {
        Self { subject: "".into(), rules: rules.into(), until: None, generation: Generation::default() }
    }

    /// Whether the grant still holds at `now`. Errors: [`Error::Expired`], [`Error::Revoked`].
    pub fn check(&self, now: u64) -> Result<(), Error> {
        if self.until.is_some_and(|until| now >= until) {
            return Err(Error::Expired);
        }
        if self.generation.is_over() {
            return Err(Error::Revoked);
        }
        Ok(())
    }

    /// Whether `verb` is allowed on every channel of `pattern`. Errors: as [`Grant::check`], and [`Error::Forbidden`].
    pub fn allows(&self, verb: Verb, pattern: &Pattern, now: u64) -> Result<(), Error> {
        self.check(now)?;
        if self.rules.iter().any(|(own, verbs)| verbs.has(verb) && own.covers(pattern)) {
            return Ok(());
        }
        Err(Error::Forbidden { verb, pattern: pattern.clone() })
    }

    /// [`Grant::allows`] for one channel.
    pub fn allows_channel(&self, verb: Verb, channel: &ChannelName, now: u64) -> Result<(), Error> {
        self.allows(verb, &Pattern::Channel(channel.clone()), now)
    }
}

/// One thing that a grant can allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Follow.
    Read = 1,
    /// Publish.
    Publish = 2,
    /// Page through what is kept.
    History = 4,
    /// See who is there, and be seen.
    Presence = 8,
    /// Act with the server's rights.
    Manage = 16,
}

impl Verb {
    /// All verbs, in the order of the configuration's keys.
    pub const ALL: [Self; 5] = [Self::Read, Self::Publish, Self::History, Self::Presence, Self::Manage];

    /// The name used in configuration, tokens and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Publish => "publish",
            Self::History => "history",
            Self::Presence => "presence",
            Self::Manage => "manage",
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of verbs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Verbs(u8);

impl Verbs {
    /// Whether `verb` is in the set.
    pub const fn has(self, verb: Verb) -> bool {
        self.0 & verb as u8 != 0
    }
}

impl FromIterator<Verb> for Verbs {
    fn from_iter<I: IntoIterator<Item = Verb>>(verbs: I) -> Self {
        Self(verbs.into_iter().fold(0, |set, verb| set | verb as u8))
    }
}

/// A point in the history of rights: raising the shared counter ends every grant made before.
#[derive(Debug, Clone, Default)]
pub struct Generation {
    counter: Arc<AtomicU64>,
    made_at: u64,
}

impl Generation {
    /// The present generation of `counter`.
    pub fn of(counter: &Arc<AtomicU64>) -> Self {
        Self { counter: counter.clone(), made_at: counter.load(Ordering::Acquire) }
    }

    fn is_over(&self) -> bool {
        self.counter.load(Ordering::Acquire) != self.made_at
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    // Mutant: `now > until` instead of `>=` -> the grant lives one millisecond longer.
    #[test]
    fn a_grant_allows_what_it_names_until_it_ends() {
        let rules = [(Pattern::parse("room:*").unwrap(), Verbs::from_iter([Verb::Read, Verb::History]))];
        let counter = Arc::new(AtomicU64::new(0));
        let mut grant = Grant::anonymous(rules);
        (grant.until, grant.generation) = (Some(100), Generation::of(&counter));
        let room = Pattern::parse("room:7").unwrap();
        assert!(grant.allows(Verb::Read, &room, 99).is_ok());
        assert!(matches!(grant.allows(Verb::Publish, &room, 99), Err(Error::Forbidden { .. })));
        assert!(matches!(
            grant.allows(Verb::Read, &Pattern::parse("user:7").unwrap(), 99),
            Err(Error::Forbidden { .. })
        ));
        assert!(matches!(grant.allows(Verb::Read, &room, 100), Err(Error::Expired)));
        counter.fetch_add(1, Ordering::AcqRel);
        assert!(matches!(grant.allows(Verb::Read, &room, 99), Err(Error::Revoked)));
    }
}
