//! `sosik status`: how a running server and its log are.

use sosik_server::operate;

use crate::{data::DataArgs, failure::Failure};

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    data: DataArgs,
}

/// Asks the server that has the directory open.
pub(crate) async fn run(args: StatusArgs) -> Result<(), Failure> {
    let status = operate::status(&args.data.data).await?;
    args.data.print(&status).await
}

const AFTER_HELP: &str = "\
Examples:
  sosik status
  sosik status --data /var/lib/sosik --json | jq .free_bytes

Only the user who runs the server can ask. Exit code 1 says that no server runs there. More figures are on its /metrics.";
