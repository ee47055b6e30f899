//! Where a client's connections go, and how.

use std::net::SocketAddr;

use uuid::Uuid;

use crate::{
    error::Error,
    http::Origin,
    options::{Format, Options, Timers},
    retry::OnRetry,
};

/// The options, checked, and the client's own id.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) origin: Origin,
    pub(crate) tcp: Option<SocketAddr>,
    pub(crate) format: Format,
    pub(crate) timers: Timers,
    pub(crate) on_retry: Option<OnRetry>,
    /// What `hello` says.
    pub(crate) client: String,
}

impl Target {
    pub(crate) fn new(options: Options) -> Result<Self, Error> {
        let Options { http, tcp, format, timers, on_retry } = options;
        let client = Uuid::new_v4().to_string();
        Ok(Self { origin: Origin::parse(&http)?, tcp, format, timers, on_retry, client })
    }
}
