//! `sosik.toml`: the options by their keys, and `[[namespace]]` tables. Unknown keys are errors.

use std::{fs, io, ops::Range, path::Path};

use serde::Deserialize;
use toml::de::DeTable;

use crate::{error::OptionsError, options::ServeArgs};

/// One `[[namespace]]`: what was written, not yet checked.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamespaceTable {
    /// The part of channel names before the first `:`.
    pub name: String,
    /// Where its events live. Default `disk`; for signals `memory`.
    pub log: Option<LogChoice>,
    /// Default `log`.
    pub kind: Option<KindChoice>,
    /// Who may follow. Default `nobody`, as for the next three.
    pub read: Option<Access>,
    /// Who may publish.
    pub publish: Option<Access>,
    /// Who may page through what is kept.
    pub history: Option<Access>,
    /// Who may see who is there, and be seen.
    pub presence: Option<Access>,
    /// Events kept per channel, 1 to 10,000,000. Default 10,000.
    pub events_max: Option<u64>,
    /// Bytes of records kept per channel, 1 MiB to 1 TiB. Default 64 MiB.
    pub bytes_max: Option<u64>,
    /// Seconds for which an event is kept, 60 to 3,153,600,000 (100 years); 0 for ever. Default 7 days.
    pub age_max_s: Option<u64>,
    /// Seconds without an event or a reader after which a channel is forgotten with its record, 60 to 31,536,000 (a
    /// year). By default none is, and then no operator may do it either.
    pub forget_after_s: Option<u64>,
    /// Idempotency keys remembered, 0 to 100,000,000. Default 1,000,000.
    pub idempotency_keys_max: Option<u64>,
}

/// Where the events of a namespace live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogChoice {
    /// Synced before they are acknowledged.
    Disk,
    /// Gone with the process.
    Memory,
}

/// What the events of a namespace are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KindChoice {
    /// Kept as long as retention says.
    Log,
    /// Kept for seconds, gone without a mark.
    Signal,
}

/// Who may do something in a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// Everybody who reaches the server.
    Anyone,
    /// Nobody.
    Nobody,
    /// Whose token says so. Understood, and refused until there are tokens.
    Token,
}

/// Reads the file at `path`. `None` when it is not there and nobody asked for it by name (`named`).
pub(crate) fn read(path: &Path, named: bool) -> Result<Option<ServeArgs>, OptionsError> {
    match fs::read_to_string(path) {
        Ok(text) => parse(&path.display().to_string(), &text).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound && !named => Ok(None),
        Err(error) => Err(OptionsError::Unreadable { path: path.display().to_string(), error }),
    }
}

/// Reads `text`; `path` is for messages only.
pub(crate) fn parse(path: &str, text: &str) -> Result<ServeArgs, OptionsError> {
    let syntax = |error: toml::de::Error| OptionsError::Syntax { path: path.into(), error };
    let document = DeTable::parse(text).map_err(syntax)?;
    let options: Vec<_> =
        ServeArgs::ALL.iter().map(|option| option.key).filter(|&key| key != "config").collect();
    let known = [&options[..], &["namespace"]].concat();
    let unknown = unknown_key(document.get_ref(), "", &known).or_else(|| {
        let tables = document.get_ref().get("namespace").and_then(|value| value.get_ref().as_array())?;
        let mut tables = tables.iter().filter_map(|value| value.get_ref().as_table());
        tables.find_map(|table| unknown_key(table, "namespace.", NAMESPACE_KEYS))
    });
    if let Some(Unknown { key, at, nearest, known }) = unknown {
        let line = text[..at.start].matches('\n').count() + 1;
        return Err(OptionsError::UnknownKey { path: path.into(), line, key, nearest, known });
    }
    toml::from_str(text).map_err(syntax)
}

struct Unknown {
    key: String,
    at: Range<usize>,
    nearest: Option<String>,
    known: String,
}

/// The first key in the text that is not one of `known`.
fn unknown_key(table: &DeTable<'_>, within: &str, known: &[&str]) -> Option<Unknown> {
    let unknown = table.iter().filter(|(key, _)| !known.contains(&key.get_ref().as_ref()));
    let (key, _) = unknown.min_by_key(|(key, _)| key.span().start)?;
    let written = key.get_ref().as_ref();
    Some(Unknown {
        key: format!("{within}{written}"),
        at: key.span(),
        nearest: nearest(written, known).map(|near| format!("{within}{near}")),
        known: known.join(", "),
    })
}

/// The known key that `written` is most like, when it is alike at all.
fn nearest<'a>(written: &str, known: &[&'a str]) -> Option<&'a str> {
    let written = written.to_lowercase();
    let alike = known.iter().map(|&key| (strsim::normalized_damerau_levenshtein(&written, key), key));
    let near = alike.filter(|&(likeness, _)| likeness >= LIKENESS_MIN);
    near.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, key)| key)
}

/// The keys of [`NamespaceTable`]; a test holds the two together.
#[rustfmt::skip]
const NAMESPACE_KEYS: &[&str] = &[
    "name", "log", "kind", "read", "publish", "history", "presence", "events_max", "bytes_max", "age_max_s",
    "forget_after_s", "idempotency_keys_max",
];

/// Below this a suggestion would be a guess: half of the letters in place.
const LIKENESS_MIN: f64 = 0.5;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    // Mutant: a key left out of NAMESPACE_KEYS -> it is refused here as unknown.
    #[test]
    fn every_known_key_is_read() {
        let text = r#"
            listen = "127.0.0.1:1"
            tcp_listen = "off"
            data = "d"
            store = "memory"
            disk_reserve_bytes = 7
            store_bytes_max = 8388608
            full = "trim"
            memory_bytes_max = 8388608
            public_url = ["https://a.example"]
            allow_origin = []
            demo = true
            lab = true
            connections_max = 5
            connections_per_address_max = 7
            process_bytes_max = 0
            [[namespace]]
            name = "news"
            log = "disk"
            kind = "log"
            read = "anyone"
            publish = "token"
            history = "nobody"
            presence = "anyone"
            events_max = 7
            bytes_max = 1048576
            age_max_s = 60
            forget_after_s = 60
            idempotency_keys_max = 7
        "#;
        let args = parse("f", text).unwrap();
        assert_eq!(
            (args.listen.as_deref(), args.demo, args.connections_max),
            (Some("127.0.0.1:1"), Some(true), Some(5))
        );
        assert_eq!((args.namespace[0].publish, args.namespace[0].events_max), (Some(Access::Token), Some(7)));
        for option in ServeArgs::ALL.iter().filter(|option| option.key != "config") {
            assert!(text.contains(&format!("{} = ", option.key)), "{} is not tried here", option.key);
        }
    }

    // Mutants: every key near enough -> `zzzzzz` finds a neighbour; the least like one taken -> `data` for `lisen`.
    #[test]
    fn an_unknown_key_is_named_with_its_line_and_its_nearest_neighbour() {
        for (text, line, key, near) in [
            ("lisen = 1", 1, "lisen", Some("listen")),
            ("demo = true\ntcp-listen = 1", 2, "tcp-listen", Some("tcp_listen")),
            ("\n[[namespace]]\nname = \"a\"\npublsih = 1", 4, "namespace.publsih", Some("namespace.publish")),
            ("config = \"other.toml\"", 1, "config", None),
            ("zzzzzz = 1", 1, "zzzzzz", None),
        ] {
            let error = parse("f", text).unwrap_err();
            let OptionsError::UnknownKey { line: at, key: named, nearest, .. } = &error else {
                panic!("{error}")
            };
            assert_eq!((*at, named.as_str(), nearest.as_deref()), (line, key, near), "{error}");
        }
    }

    #[test]
    fn a_value_of_the_wrong_form_is_shown_where_it_stands() {
        for (text, says) in [
            ("listen = 7171", "string"),
            ("demo = \"yes\"", "boolean"),
            ("connections_max = -1", "integer"),
            ("[[namespace]]\nlog = \"disk\"", "missing field `name`"),
            ("[[namespace]]\nname = \"a\"\nlog = \"tape\"", "expected `disk` or `memory`"),
            ("[[namespace]]\nname = \"a\"\nread = \"all\"", "`anyone`"),
            ("listen = ", "value"),
        ] {
            let error = parse("my.toml", text).unwrap_err().to_string();
            assert!(error.contains("my.toml") && error.contains(says) && error.contains("line "), "{error}");
        }
    }
}
