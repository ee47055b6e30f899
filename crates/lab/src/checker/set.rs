//! What a set of channels, with its prefixes, means.

/// Whether a channel is meant by an entry of a set or by the channel of a gap: a name, a prefix `match:*`
/// (rule 11), or `*` for everything.
pub(super) fn matches(pattern: &str, channel: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => channel.starts_with(prefix),
        None => pattern == channel,
    }
}

/// Whether a pattern means more than one channel.
pub(super) fn is_prefix(pattern: &str) -> bool {
    pattern.ends_with('*')
}

/// Whether a set follows a channel, or anything under the prefix of a gap.
pub(super) fn follows(set: &[String], channel: &str) -> bool {
    let under = |entry: &String| is_prefix(channel) && matches(channel, entry);
    set.iter().any(|entry| matches(entry, channel) || under(entry))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_means_its_channels_and_itself() {
        assert!(matches("match:*", "match:7") && matches("*", "match:7"));
        assert!(!matches("match:*", "matches:7") && !matches("match:7", "match:77"));
        let set = ["match:*".to_owned(), "room:7".to_owned()];
        assert!(follows(&set, "match:*") && follows(&set, "room:*") && follows(&set, "*"));
        assert!(!follows(&set, "room:8") && !follows(&set, "game:*"));
    }
}
