//! Channel names, namespaces and the patterns that name several channels at once.

use std::{borrow::Borrow, fmt, sync::Arc};

use unicode_normalization::is_nfc;

use crate::limits::CHANNEL_NAME_BYTES_MAX;

/// The name of a channel: `namespace:rest`, 1–255 bytes of UTF-8 in NFC.
///
/// A namespace is `[a-z][a-z0-9_-]{0,31}`, or the same behind a `$` for the server's own channels. The rest is
/// not empty and holds no control character, no white space and none of `*`, `?`, `#`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelName(Arc<str>);

impl ChannelName {
    /// Checks `text` against the grammar. Errors: [`NameError`], which says what is wrong and where.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        check(text)?;
        Ok(Self(text.into()))
    }

    /// The whole name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the first `:`.
    pub fn namespace(&self) -> &str {
        namespace_of(&self.0)
    }
}

/// What a reader may ask for: one channel, or every channel under a prefix that ends in `:`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pattern {
    /// One channel by its name.
    Channel(ChannelName),
    /// All channels whose name begins with the prefix, written `match:*`.
    Prefix(Prefix),
}

impl Pattern {
    /// Reads a channel name, or a prefix when the last character is `*` right after a `:`.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        match text.strip_suffix('*') {
            Some(stem) => Prefix::parse(stem).map(Self::Prefix),
            None => ChannelName::parse(text).map(Self::Channel),
        }
    }

    /// The namespace that every channel of the pattern belongs to.
    pub fn namespace(&self) -> &str {
        match self {
            Self::Channel(name) => name.namespace(),
            Self::Prefix(prefix) => prefix.namespace(),
        }
    }

    /// Whether `name` is one of the channels meant.
    pub fn matches(&self, name: &ChannelName) -> bool {
        match self {
            Self::Channel(own) => own == name,
            Self::Prefix(prefix) => prefix.matches(name),
        }
    }

    /// Whether every channel of `other` is also a channel of this pattern.
    pub fn covers(&self, other: &Pattern) -> bool {
        match (self, other) {
            (own, Self::Channel(name)) => own.matches(name),
            (Self::Prefix(own), Self::Prefix(inner)) => inner.0.starts_with(&*own.0),
            (Self::Channel(_), Self::Prefix(_)) => false,
        }
    }
}

/// A prefix of channel names, kept without its `*`: `match:` or `match:7:`. Never crosses a namespace.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix(Arc<str>);

impl Prefix {
    fn parse(stem: &str) -> Result<Self, NameError> {
        if !stem.ends_with(':') {
            return Err(NameError::Star);
        }
        // The shortest name under the prefix is one byte longer, so the prefix itself obeys the same grammar.
        check(&format!("{stem}x"))?;
        Ok(Self(stem.into()))
    }

    /// The part before the first `:`.
    pub fn namespace(&self) -> &str {
        namespace_of(&self.0)
    }

    /// Whether `name` lies under the prefix.
    pub fn matches(&self, name: &ChannelName) -> bool {
        name.0.starts_with(&*self.0)
    }
}

/// Why a name was refused; the text says what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// Empty, or longer than 255 bytes.
    #[error("a channel name has 1 to {CHANNEL_NAME_BYTES_MAX} bytes, this one has {0}")]
    Length(usize),
    /// No `:` after a well-formed namespace.
    #[error(
        "a channel name begins with a namespace and a colon, such as room:7; a namespace is [a-z][a-z0-9_-]{{0,31}}"
    )]
    Namespace,
    /// Nothing after the namespace.
    #[error("the channel name ends after its namespace; write something after the colon")]
    Empty,
    /// A character that names may not hold.
    #[error("a channel name may not hold {0:?}; controls, white space, '*', '?' and '#' are not allowed")]
    Character(char),
    /// A `*` that is not the last character after a `:`.
    #[error(
        "'*' stands for many channels: only at the end of what is followed and right after a colon, such as match:*; publish and history name one channel"
    )]
    Star,
    /// Not in Unicode normalisation form C.
    #[error("the channel name is not in Unicode normalisation form NFC; normalise it before sending")]
    NotNfc,
}

fn check(text: &str) -> Result<(), NameError> {
    if text.is_empty() || text.len() > CHANNEL_NAME_BYTES_MAX {
        return Err(NameError::Length(text.len()));
    }
    let (namespace, rest) = text.split_once(':').ok_or(NameError::Namespace)?;
    if !is_namespace(namespace.strip_prefix('$').unwrap_or(namespace)) {
        return Err(NameError::Namespace);
    }
    if rest.is_empty() {
        return Err(NameError::Empty);
    }
    if rest.contains('*') {
        return Err(NameError::Star);
    }
    if let Some(bad) = rest.chars().find(|c| c.is_control() || c.is_whitespace() || matches!(c, '?' | '#')) {
        return Err(NameError::Character(bad));
    }
    if !text.is_ascii() && !is_nfc(text) {
        return Err(NameError::NotNfc);
    }
    Ok(())
}

/// Namespaces of the applications that come with the server; an operator cannot open them.
pub const RESERVED: [&str; 4] = ["room", "user", "in", "auth"];

/// Whether `text` is a namespace by itself: `[a-z][a-z0-9_-]{0,31}`.
pub fn is_namespace(text: &str) -> bool {
    let mut bytes = text.bytes();
    text.len() <= NAMESPACE_BYTES_MAX
        && bytes.next().is_some_and(|first| first.is_ascii_lowercase())
        && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-'))
}

fn namespace_of(text: &str) -> &str {
    text.split_once(':').map_or(text, |(namespace, _)| namespace)
}

impl Borrow<str> for ChannelName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}*", self.0)
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Channel(name) => name.fmt(f),
            Self::Prefix(prefix) => prefix.fmt(f),
        }
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

const NAMESPACE_BYTES_MAX: usize = 32;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn good_names_are_kept_as_written() {
        for text in ["room:7", "a:b", "user:김철수", "a-b_c9:x:y:z", "$presence:room:7", "demo:lobby"] {
            assert_eq!(ChannelName::parse(text).unwrap().as_str(), text);
        }
        assert_eq!(ChannelName::parse("$presence:room:7").unwrap().namespace(), "$presence");
    }

    #[test]
    fn bad_names_say_what_is_wrong() {
        let long = format!("a:{}", "x".repeat(254));
        for (text, error) in [
            ("", NameError::Length(0)),
            (&long[..], NameError::Length(256)),
            ("room", NameError::Namespace),
            ("Room:7", NameError::Namespace),
            ("9a:7", NameError::Namespace),
            ("room:", NameError::Empty),
            ("room:a b", NameError::Character(' ')),
            ("room:a\u{3000}b", NameError::Character('\u{3000}')),
            ("room:a\n", NameError::Character('\n')),
            ("room:a?", NameError::Character('?')),
            ("room:a#", NameError::Character('#')),
            ("room:*a", NameError::Star),
            ("room:*", NameError::Star),
            ("room:\u{1112}\u{1161}", NameError::NotNfc),
        ] {
            assert_eq!(ChannelName::parse(text).unwrap_err(), error, "{text:?}");
        }
    }

    // Mutant: `covers` comparing with `==` only -> a grant for room:* no longer covers room:7:*.
    #[test]
    fn prefixes_cover_names_and_longer_prefixes_of_one_namespace() {
        let prefix = Pattern::parse("match:*").unwrap();
        for inner in ["match:1", "match:a:b", "match:a:*", "match:*"] {
            assert!(prefix.covers(&Pattern::parse(inner).unwrap()), "{inner}");
        }
        for outer in ["matches:1", "room:1", "room:*"] {
            assert!(!prefix.covers(&Pattern::parse(outer).unwrap()), "{outer}");
        }
        assert!(!Pattern::parse("match:a:*").unwrap().covers(&prefix));
        for bad in ["*", "match*", "match:a*", "ma*:x", "match:**"] {
            assert!(Pattern::parse(bad).is_err(), "{bad}");
        }
    }
}
