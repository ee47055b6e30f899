//! Where a server is.

use http::Uri;

use crate::error::Error;

/// An `http://` address taken apart.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    /// `host:port` to connect to; an IPv6 address is in brackets.
    pub(crate) address: String,
    /// What `Host` says (RFC 9110 section 7.2).
    pub(crate) host: String,
    /// The path before `/v1`, without its last `/`.
    base: String,
}

impl Origin {
    /// Reads an address. Errors: [`Error::Option`], which says what it should look like.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let wrong = |why: &str| {
            Error::Option(format!("the server's address {text:?} {why}; it looks like http://127.0.0.1:7171"))
        };
        let uri: Uri = text.parse().map_err(|_| wrong("is no URL"))?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => return Err(wrong("asks for TLS, which this client does not speak yet")),
            _ => return Err(wrong("does not begin with http://")),
        }
        let authority = uri.authority().ok_or_else(|| wrong("has no host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("holds a user name"));
        }
        if uri.query().is_some() {
            return Err(wrong("holds a query"));
        }
        let port = authority.port_u16().unwrap_or(80);
        Ok(Self {
            address: format!("{}:{port}", authority.host()),
            host: authority.to_string(),
            base: uri.path().trim_end_matches('/').to_owned(),
        })
    }

    /// The request target of one of the server's paths.
    pub(crate) fn target(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    // Mutant: `Host` made from the address to connect to -> `http://localhost` says `localhost:80`, which servers refuse.
    #[test]
    fn an_address_says_where_to_connect_and_what_host_to_name() {
        for (text, address, host, target) in [
            ("http://localhost", "localhost:80", "localhost", "/v1/poll"),
            ("http://127.0.0.1:7171/", "127.0.0.1:7171", "127.0.0.1:7171", "/v1/poll"),
            ("http://[::1]:7171", "[::1]:7171", "[::1]:7171", "/v1/poll"),
            ("http://example.org/news/", "example.org:80", "example.org", "/news/v1/poll"),
        ] {
            let origin = Origin::parse(text).unwrap();
            assert_eq!((&*origin.address, &*origin.host), (address, host));
            assert_eq!(origin.target("/v1/poll"), target);
        }
    }

    #[test]
    fn other_addresses_are_refused_with_the_reason() {
        for (text, why) in [
            ("https://example.org", "TLS"),
            ("example.org:7171", "http://"),
            ("ws://example.org", "http://"),
            ("http://alice@example.org", "user name"),
            ("http://example.org/?a=b", "query"),
            ("http://exa mple", "no URL"),
        ] {
            let error = Origin::parse(text).unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
