//! Which server a command talks to.

use std::net::{SocketAddr, ToSocketAddrs};

use sosik_client::{Client, Options};

use crate::failure::Failure;

/// The options that every command but `serve` has.
#[derive(Debug, clap::Args)]
pub(crate) struct ConnectArgs {
    /// The server's HTTP address
    #[arg(long, env = "SOSIK_SERVER", value_name = "URL", default_value = "http://127.0.0.1:7171")]
    server: String,
    /// The server's raw TCP address; only `--transport tcp` uses it
    #[arg(long, env = "SOSIK_TCP", value_name = "HOST:PORT", default_value = "127.0.0.1:7172")]
    tcp: String,
}

impl ConnectArgs {
    /// The client. `tcp` says whether the raw TCP address is needed; only then it is looked up.
    pub(crate) fn client(&self, tcp: bool) -> Result<Client, Failure> {
        let tcp = if tcp { Some(self.tcp_address()?) } else { None };
        Ok(Client::new(Options { http: self.server.clone(), tcp, ..Options::default() })?)
    }

    fn tcp_address(&self) -> Result<SocketAddr, Failure> {
        let wrong = |why: String| {
            Failure::Usage(format!("--tcp {:?}: {why}; it looks like 127.0.0.1:7172", self.tcp))
        };
        let mut found = self.tcp.to_socket_addrs().map_err(|error| wrong(error.to_string()))?;
        found.next().ok_or_else(|| wrong("no address".to_owned()))
    }
}
