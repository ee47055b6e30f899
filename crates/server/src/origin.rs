//! Origins: scheme, host and port of a page or of a server's address (RFC 6454).

use std::{borrow::Cow, fmt, str::FromStr};

use http::uri::Authority;

/// Scheme, host and port, compared as browsers compare them: without letter case, the default port said or unsaid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    https: bool,
    /// Lower case; IPv6 in brackets.
    host: Box<str>,
    port: u16,
}

impl Origin {
    /// `http://host:port`.
    pub(crate) fn http(host: &str, port: u16) -> Self {
        Self { https: false, host: host.to_ascii_lowercase().into(), port }
    }

    /// Whether a `Host` header with this name and port (`None` when unsaid) names this origin.
    pub(crate) fn is_at(&self, host: &str, port: Option<u16>) -> bool {
        self.host.eq_ignore_ascii_case(host) && port.unwrap_or_else(|| default_port(self.https)) == self.port
    }
}

impl FromStr for Origin {
    type Err = NotAnOrigin;

    /// Reads `http://host` or `https://host:port`, as browsers write it: no path, not even `/`, no query, no user.
    fn from_str(text: &str) -> Result<Self, NotAnOrigin> {
        let (scheme, rest) = text.split_once("://").ok_or(NotAnOrigin)?;
        let https = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return Err(NotAnOrigin),
        };
        let (host, port) = host_and_port(rest).ok_or(NotAnOrigin)?;
        Ok(Self { https, host: host.into_owned().into(), port: port.unwrap_or_else(|| default_port(https)) })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http{}://{}", if self.https { "s" } else { "" }, self.host)?;
        if self.port == default_port(self.https) { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

/// The text is no origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "write scheme, host and, where it is not the default, port, such as https://chat.example or http://10.0.0.5:7171"
)]
pub struct NotAnOrigin;

/// The two halves of `host:port`, the host in lower case; `None` when it is not that and nothing else.
pub(crate) fn host_and_port(text: &str) -> Option<(Cow<'_, str>, Option<u16>)> {
    if let Some((host, port)) = plain_host_and_port(text) {
        return Some((Cow::Borrowed(host), port));
    }
    let authority = Authority::from_str(text).ok()?;
    let (host, port) = (authority.host(), authority.port());
    let port_text = text.strip_prefix(host)?;
    let well_formed = match port {
        Some(port) => port_text.strip_prefix(':') == Some(port.as_str()),
        None => port_text.is_empty(),
    };
    (well_formed && !host.is_empty()).then(|| (Cow::Owned(host.to_ascii_lowercase()), authority.port_u16()))
}

/// The same of what nearly every request says: letters in lower case, digits, dots and hyphens, with a port or without.
fn plain_host_and_port(text: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match text.split_once(':') {
        Some((host, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => {
            (host, Some(port.parse().ok()?))
        }
        Some(_) => return None,
        None => (text, None),
    };
    let is_plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-');
    (!host.is_empty() && host.bytes().all(is_plain)).then_some((host, port))
}

const fn default_port(https: bool) -> u16 {
    if https { 443 } else { 80 }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    // Mutant: the port compared as written -> https://a:443 is another origin than https://a.
    #[test]
    fn origins_compare_as_browsers_do() {
        let origin = |text: &str| text.parse::<Origin>().unwrap();
        assert_eq!(origin("https://Chat.Example:443"), origin("https://chat.example"));
        assert_ne!(origin("http://chat.example"), origin("https://chat.example"));
        assert_ne!(origin("http://chat.example:81"), origin("http://chat.example"));
        assert_eq!(origin("http://[::1]:7171").to_string(), "http://[::1]:7171");
        assert!(origin("https://a.example").is_at("A.example", None));
        assert!(!origin("https://a.example").is_at("a.example", Some(80)));
    }

    // Mutants: the plain form takes an empty host, letters in upper case, a port that is too large -> each fails.
    #[test]
    fn the_plain_form_of_a_host_is_read_as_the_general_one() {
        for text in [
            "",
            ":",
            ":80",
            "a:",
            "a",
            "a:0",
            "a:080",
            "a:65535",
            "a:65536",
            "a:-1",
            "a:+1",
            "a:8 0",
            "a:80:80",
            "A",
            "a_b",
            "a/b",
            "a@b",
            "a b",
            "1.2.3.4:7171",
            "-",
            ".",
            "a..b",
            "[::1]:80",
            "::1",
            "a%41",
            "chat.example",
        ] {
            let general = Authority::from_str(text).ok().and_then(|authority| {
                let host = authority.host();
                let port = text.strip_prefix(host)?;
                let fits = authority
                    .port()
                    .map_or(port.is_empty(), |own| port.strip_prefix(':') == Some(own.as_str()));
                (fits && !host.is_empty()).then(|| (host.to_ascii_lowercase(), authority.port_u16()))
            });
            let read = host_and_port(text).map(|(host, port)| (host.into_owned(), port));
            assert_eq!(read, general, "{text:?}");
        }
    }

    // Mutant: the text behind the host not looked at -> `http://good.example:80@evil.example` or a path passes.
    #[test]
    fn what_is_no_origin_is_refused() {
        for bad in [
            "",
            "*",
            "null",
            "chat.example",
            "ftp://a",
            "http://",
            "http://a/",
            "http://a/b",
            "http://a?b",
            "http://u@a",
            "http://a:99999",
            "http://a:",
            "http://a b",
            "http://a:80@b",
        ] {
            assert_eq!(bad.parse::<Origin>(), Err(NotAnOrigin), "{bad:?}");
        }
    }
}
