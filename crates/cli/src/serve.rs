//! `sosik serve`: runs the server.

use std::{ffi::OsString, io::IsTerminal};

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
    let filter = loudness(std::env::var_os("SOSIK_LOG")).map_err(Failure::Usage)?;
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

/// What `SOSIK_LOG` asks for; unset or empty is `info`.
fn loudness(said: Option<OsString>) -> Result<EnvFilter, String> {
    let said = said.unwrap_or_default();
    let Some(text) = said.to_str() else { return Err(format!("SOSIK_LOG is not text: {said:?}")) };
    if text.trim().is_empty() {
        return Ok(EnvFilter::new("info"));
    }
    // A word that is no level would be taken for a part of the program, all of which is logged, and nothing else.
    let is_other = |word: &&str| !word.contains(['=', '[']) && !LEVELS.contains(&&*word.to_ascii_lowercase());
    if let Some(word) = text.split(',').map(str::trim).find(is_other) {
        return Err(format!("SOSIK_LOG asks for {word:?}; {LEVELS_SAID}"));
    }
    EnvFilter::builder()
        .parse(text)
        .map_err(|error| format!("SOSIK_LOG={text} cannot be read: {error}; {LEVELS_SAID}"))
}

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
const LEVELS_SAID: &str = "it takes off, error, warn, info, debug or trace, or such a level for a part of the program: info,sosik_store=debug";

const AFTER_HELP: &str = "\
Examples:
  sosik serve --demo
  sosik serve --config sosik.toml --listen 0.0.0.0:7171 --public-url https://news.example.org
  sosik serve --demo --listen 127.0.0.1:0 --tcp-listen 127.0.0.1:0

When ready it prints one line on standard output: sosik listening http=ADDR tcp=ADDR
SOSIK_LOG says how much it logs to standard error: error, warn, info (default), debug, trace.";

#[cfg(test)]
mod tests {
    use super::*;

    // Mutants: what cannot be read taken for `info`; a word that is no level handed on -> each is not refused.
    #[test]
    fn a_loudness_that_makes_no_sense_is_refused_in_words() {
        for good in ["", " ", "info", "WARN", "off", "warn,sosik_store=debug", "sosik_server=trace, error"] {
            loudness(Some(good.into())).expect(good);
        }
        loudness(None).unwrap();
        for bad in ["loud", "warning", "info,verbose", "sosik_store=loud", "=", "info,,warn", "a=b=c"] {
            let said = loudness(Some(bad.into())).expect_err(bad);
            assert!(said.contains("SOSIK_LOG") && said.contains("error, warn, info"), "{bad}: {said}");
        }
    }
}
