//! `sosik backup`: writes a copy of a log.

use std::path::PathBuf;

use sosik_server::operate;

use crate::{data::DataArgs, failure::Failure};

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct BackupArgs {
    #[command(flatten)]
    data: DataArgs,
    /// The directory to write, missing or empty
    #[arg(value_name = "TO")]
    to: PathBuf,
}

/// Writes a copy of a log.
pub(crate) async fn run(args: BackupArgs) -> Result<(), Failure> {
    let copied = operate::backup(&args.data.data, &args.to).await?;
    args.data.print(&copied).await
}

const AFTER_HELP: &str = "\
Examples:
  sosik backup /backups/sosik-monday
  sosik backup /backups/sosik-monday --data /var/lib/sosik --json

A running server writes it as its own user, and goes on meanwhile; without one the directory is opened. The copy shows the log
at one moment, and each row was held against its checksum. `sosik restore` makes a data directory of it.";
