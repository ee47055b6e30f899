//! `sosik delete`: takes all events of a channel away.

use sosik_server::operate;

use crate::{data::DataArgs, failure::Failure};

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct DeleteArgs {
    #[command(flatten)]
    data: DataArgs,
    /// The channel
    channel: String,
}

/// Takes all events of a channel away; its numbers go on.
pub(crate) async fn run(args: DeleteArgs) -> Result<(), Failure> {
    let removed = operate::delete(&args.data.data, &args.channel).await?;
    args.data.print(&removed).await
}

const AFTER_HELP: &str = "\
Examples:
  sosik delete news:today
  sosik delete news:today --data /var/lib/sosik --json

Asks the running server. The channel stays: readers are told a gap in place of what was there, and the next event has the
next number.";
