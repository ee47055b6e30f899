//! What a feed is asked for.

use serde_json::json;

/// A set of channels and where to begin.
#[derive(Debug, Clone)]
pub struct Ask {
    /// Channels and prefixes.
    pub channels: Vec<String>,
    /// Where to begin.
    pub begin: Begin,
    /// How long a long-poll may be held, seconds. Its first request asks for an answer at once, as clients do to see
    /// whether the way works, unless `held_at_once`.
    pub wait: u64,
    /// Whether a long-poll's first request is held too.
    pub held_at_once: bool,
    /// Whether the HTTP carriers ask by `POST`.
    pub by_post: bool,
    /// More headers for the HTTP carriers.
    pub headers: Vec<(String, String)>,
    /// Whether the reader has the smallest receive buffer, so that it is felt when it stops reading.
    pub narrow: bool,
}

/// Where a feed begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begin {
    /// Behind a cursor, as it was handed out.
    After(String),
    /// With everything.
    Start,
    /// With what comes next.
    Now,
    /// With the last events.
    Last(u64),
}

impl Ask {
    /// Asks for `channels` in the form of a URL.
    pub fn new(channels: &[&str], begin: Begin) -> Self {
        Self {
            channels: channels.iter().map(|&channel| channel.to_owned()).collect(),
            begin,
            wait: 20,
            held_at_once: false,
            by_post: false,
            headers: Vec::new(),
            narrow: false,
        }
    }

    /// The same set from another place.
    pub fn from(&self, begin: Begin) -> Self {
        Self { begin, ..self.clone() }
    }

    /// The text of `after`, if there is one.
    pub fn after(&self) -> Option<&str> {
        match &self.begin {
            Begin::After(cursor) => Some(cursor),
            Begin::Start => Some("start"),
            Begin::Now => Some("now"),
            Begin::Last(_) => None,
        }
    }

    fn last(&self) -> Option<u64> {
        if let Begin::Last(count) = self.begin { Some(count) } else { None }
    }

    /// The query of the URL form.
    pub fn query(&self) -> String {
        let mut pairs: Vec<_> =
            self.channels.iter().map(|name| format!("channel={}", escaped(name))).collect();
        pairs.extend(self.after().map(|after| format!("after={}", escaped(after))));
        pairs.extend(self.last().map(|last| format!("last={last}")));
        pairs.join("&")
    }

    /// The JSON fields of the `POST` form and of a subscribe.
    pub fn fields(&self) -> serde_json::Value {
        let mut fields = json!({ "channels": self.channels });
        fields.as_object_mut().unwrap().extend(
            self.after()
                .map(|after| ("after".to_owned(), json!(after)))
                .into_iter()
                .chain(self.last().map(|last| ("last".to_owned(), json!(last)))),
        );
        fields
    }
}

/// Percent-encoding of everything that is not unreserved (RFC 3986 section 2.3).
fn escaped(text: &str) -> String {
    let keep = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
    text.bytes().map(|b| if keep(&b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}
