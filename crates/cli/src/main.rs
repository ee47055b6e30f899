//! The `sosik` binary: one file per command.

mod backup;
mod connect;
mod data;
mod delete;
mod failure;
mod follow;
mod forget;
mod history;
mod out;
mod publish;
mod restore;
mod serve;
mod status;
mod trim;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use rustix::fs::Mode;

use crate::failure::Failure;

/// News from your application to everyone who waits for it, over whatever the network lets through.
#[derive(Debug, Parser)]
#[command(name = "sosik", version, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Publish one event, or each line of standard input as one
    Publish(publish::PublishArgs),
    /// Print the events of channels as they come
    Follow(follow::FollowArgs),
    /// Print events of a channel that the server still has
    History(history::HistoryArgs),
    /// Run the server
    Serve(serve::ServeCommand),
    /// Say how a running server and its log are
    Status(status::StatusArgs),
    /// Write a copy of a log
    Backup(backup::BackupArgs),
    /// Make a data directory of a backup
    Restore(restore::RestoreArgs),
    /// Take the oldest events of a channel away
    Trim(trim::TrimArgs),
    /// Take all events of a channel away; its numbers go on
    Delete(delete::DeleteArgs),
    /// Remove a channel with its record, so that its name begins anew
    Forget(forget::ForgetArgs),
    /// Read a log whole and say what is damaged, or repair it
    Verify(verify::VerifyArgs),
}

#[tokio::main]
async fn main() -> ExitCode {
    // What is written below a data directory or a backup is for its user alone, also what the engine makes by itself.
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    let outcome = match Cli::parse().command {
        Command::Publish(args) => publish::run(args).await,
        Command::Follow(args) => follow::run(args).await,
        Command::History(args) => history::run(args).await,
        Command::Serve(args) => serve::run(args).await,
        Command::Status(args) => status::run(args).await,
        Command::Backup(args) => backup::run(args).await,
        Command::Restore(args) => restore::run(args).await,
        Command::Trim(args) => trim::run(args).await,
        Command::Delete(args) => delete::run(args).await,
        Command::Forget(args) => forget::run(args).await,
        Command::Verify(args) => verify::run(args).await,
    };
    let code = match outcome {
        Ok(()) | Err(Failure::Closed) => 0,
        Err(failure) => {
            out::note(&failure);
            failure.exit_code()
        }
    };
    // Whoever reads our output or writes our input may be stuck; nothing that is worth waiting for is.
    std::process::exit(code.into())
}

const AFTER_HELP: &str = "\
Examples:
  sosik serve --demo
  sosik follow demo:lobby
  sosik publish demo:lobby '{\"text\":\"hello\"}'
  sosik history demo:lobby --limit 10

Exit codes:
  0    done; also when nobody reads the output of follow or history any more, and when a follow is ended by Ctrl-C
  1    the network or the server failed, or whether a publish was stored is not known
  2    the command line, the configuration or the data makes no sense; it was not sent
  3    the server refused, or there is nothing to repair
  4    the data directory cannot be used: it is in use, not Sosik's, of another version, not writable, or cannot be opened
  5    sosik verify has found damage
  130  ended by Ctrl-C, but follow";

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    // Mutant: two arguments with one name, or an example left out of a command -> fails.
    #[test]
    fn the_command_line_is_consistent_and_every_command_has_examples() {
        let mut command = Cli::command();
        command.clone().debug_assert();
        for sub in command.get_subcommands_mut() {
            let name = sub.get_name().to_owned();
            let help = sub.render_long_help().to_string();
            assert!(help.contains("Examples:") && help.contains(&format!("sosik {name}")), "{name}: {help}");
        }
    }
}
