//! `sosik restore`: makes a data directory of a backup.

use std::path::PathBuf;

use sosik_server::operate;

use crate::{data::DataArgs, failure::Failure};

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct RestoreArgs {
    #[command(flatten)]
    data: DataArgs,
    /// The backup: a directory that `sosik backup` has written
    #[arg(value_name = "BACKUP")]
    from: PathBuf,
}

/// Makes a data directory of a backup.
pub(crate) async fn run(args: RestoreArgs) -> Result<(), Failure> {
    let copied = operate::restore(&args.from, &args.data.data).await?;
    args.data.print(&copied).await
}

const AFTER_HELP: &str = "\
Examples:
  sosik restore /backups/sosik-monday --data /var/lib/sosik
  sosik serve --data /var/lib/sosik

The data directory must be missing or empty: stop the server and move the old one away. The log begins a new epoch, so that
readers of the old one are told a gap and never a wrong event. The backup stays as it is.";
