//! Where a client's connections go, and how.

use std::net::SocketAddr;

use uuid::Uuid;

use crate::{
    error::Error,
    http::Origin,
    options::{Format, Options, Timers},
};

/// The options, checked, and the client's own id.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) origin: Origin,
    pub(crate) tcp: Option<SocketAddr>,
    pub(crate) format: Format,
    pub(crate) timers: Timers,
    /// What `hello` says.
    pub(crate) client: String,
}

impl Target {
    pub(crate) fn new(options: Options) -> Result<Self, Error> {
        let Options { http, tcp, format, timers } = options;
        Ok(Self { origin: Origin::parse(&http)?, tcp, format, timers, client: Uuid::new_v4().to_string() })
    }
}
