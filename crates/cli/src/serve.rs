//! `sosik serve`: runs the server.

use std::io::IsTerminal;

use sosik_server::{ServeArgs, ServeError};
use tracing_subscriber::EnvFilter;

use crate::failure::Failure;

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct ServeCommand {
    #[command(flatten)]
    args: ServeArgs,
}

/// Serves until SIGTERM or Ctrl-C. Logs go to standard error, as loud as `SOSIK_LOG` says.
pub(crate) async fn run(command: ServeCommand) -> Result<(), Failure> {
    let filter = EnvFilter::try_from_env("SOSIK_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    sosik_server::run(command.args).await.map_err(|error| match error {
        ServeError::Options(error) => Failure::Usage(error.to_string()),
        error @ ServeError::Data { .. } => Failure::Data(error.to_string()),
        error => Failure::Serve(error.to_string()),
    })
}

const AFTER_HELP: &str = "\
Examples:
  sosik serve --demo
  sosik serve --config sosik.toml --listen 0.0.0.0:7171 --public-url https://news.example.org
  sosik serve --demo --listen 127.0.0.1:0 --tcp-listen 127.0.0.1:0

When ready it prints one line on standard output: sosik listening http=ADDR tcp=ADDR
SOSIK_LOG says how much it logs to standard error: error, warn, info (default), debug, trace.";
