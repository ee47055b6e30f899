//! Which server a command talks to.

use std::net::{SocketAddr, ToSocketAddrs};

use sosik_client::{Client, Options};

use crate::failure::Failure;

/// The option of every command that talks to a server as its clients do.
#[derive(Debug, clap::Args)]
pub(crate) struct ConnectArgs {
    /// The server's HTTP address
    #[arg(long, env = "SOSIK_SERVER", value_name = "URL", default_value = "http://127.0.0.1:7171")]
    server: String,
}

impl ConnectArgs {
    /// The client; `tcp` is the raw TCP address, for commands that use it.
    pub(crate) fn client(&self, tcp: Option<SocketAddr>) -> Result<Client, Failure> {
        Ok(Client::new(self.options(tcp))?)
    }

    /// The client's options, for commands that change them.
    pub(crate) fn options(&self, tcp: Option<SocketAddr>) -> Options {
        Options { http: self.server.clone(), tcp, ..Options::default() }
    }
}

/// Where raw TCP is, for commands that choose their transport.
#[derive(Debug, clap::Args)]
pub(crate) struct TcpArgs {
    /// The server's raw TCP address; only `--transport tcp` uses it
    #[arg(long, env = "SOSIK_TCP", value_name = "HOST:PORT", default_value = "127.0.0.1:7172")]
    tcp: String,
}

impl TcpArgs {
    /// Looks the address up.
    pub(crate) fn address(&self) -> Result<SocketAddr, Failure> {
        let wrong = |why: String| {
            Failure::Usage(format!("--tcp {:?}: {why}; it looks like 127.0.0.1:7172", self.tcp))
        };
        let mut found = self.tcp.to_socket_addrs().map_err(|error| wrong(error.to_string()))?;
        found.next().ok_or_else(|| wrong("no address".to_owned()))
    }
}
