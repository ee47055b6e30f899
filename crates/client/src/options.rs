//! What a client may be told when it is made.

use std::{net::SocketAddr, time::Duration};

use crate::retry::OnRetry;

/// How a client reaches its server, and its limits. All have defaults.
#[derive(Debug, Clone)]
pub struct Options {
    /// The server's address, `http://host:port`, maybe with a path before `/v1`. Default `http://127.0.0.1:7171`.
    pub http: String,
    /// The address of its raw TCP port. Default none: following over [`crate::Transport::Tcp`] is then an error.
    pub tcp: Option<SocketAddr>,
    /// How frames travel over `stream`, `websocket` and `tcp`. Default [`Format::Json`].
    pub format: Format,
    /// The timers.
    pub timers: Timers,
    /// Told when a publish is about to be sent again. Default nobody.
    pub on_retry: Option<OnRetry>,
}

/// How frames travel where there is a choice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Format {
    /// JSON, one object each.
    #[default]
    Json,
    /// Length-prefixed, payloads as they are: less to move for binary data.
    Binary,
}

/// How long a client waits for what.
#[derive(Debug, Clone)]
pub struct Timers {
    /// For a connection and the first bytes over it. Default 10 s.
    pub connect: Duration,
    /// For the next byte, after the heartbeat that the server promised is overdue. Default 10 s: longer only delays the
    /// discovery of a dead connection, shorter drops ones that are slow.
    pub grace: Duration,
    /// The heartbeat until the server names its own. Default 25 s.
    pub heartbeat: Duration,
    /// For the answer to one attempt of a publish, to a history or to a read that fills a hole. Default 10 s.
    pub answer: Duration,
    /// How long a publish is sent again after attempts that failed, over lost answers and restarts of the server; a
    /// producer counts from its last acknowledgement. Zero: one attempt. Default 60 s: longer only keeps callers waiting
    /// for a server that does not come back, and 24 h is the most for which a server knows a publish again.
    pub publish: Duration,
    /// How long a long-poll lets itself be held, whole seconds. Default 25 s; some proxies cut at 30 s.
    pub wait: Duration,
    /// Between polls when there was news, unless the server says otherwise. Default 1 s.
    pub poll_least: Duration,
    /// Between polls when there was none for long, unless the server says otherwise. Default 30 s.
    pub poll_most: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            http: "http://127.0.0.1:7171".to_owned(),
            tcp: None,
            format: Format::default(),
            timers: Timers::default(),
            on_retry: None,
        }
    }
}

impl Default for Timers {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            grace: Duration::from_secs(10),
            heartbeat: Duration::from_secs(25),
            answer: Duration::from_secs(10),
            publish: Duration::from_secs(60),
            wait: Duration::from_secs(25),
            poll_least: Duration::from_secs(1),
            poll_most: Duration::from_secs(30),
        }
    }
}
