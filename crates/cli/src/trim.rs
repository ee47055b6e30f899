//! `sosik trim`: takes the oldest events of a channel away.

use clap::ArgGroup;
use sosik_server::operate::{self, Cut};

use crate::{data::DataArgs, failure::Failure};

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP, group(ArgGroup::new("cut").required(true).args(["keep", "below"])))]
pub(crate) struct TrimArgs {
    #[command(flatten)]
    data: DataArgs,
    /// The channel
    channel: String,
    /// Keep the newest so many events
    #[arg(long, value_name = "N")]
    keep: Option<u64>,
    /// Take away the events with a number below
    #[arg(long, value_name = "SEQ")]
    below: Option<u64>,
}

/// Takes the oldest events of a channel away.
pub(crate) async fn run(args: TrimArgs) -> Result<(), Failure> {
    let cut = match (args.keep, args.below) {
        (Some(count), _) => Cut::Keep(count),
        (None, below) => Cut::Below(below.unwrap_or_default()),
    };
    let removed = operate::trim(&args.data.data, &args.channel, cut).await?;
    args.data.print(&removed).await
}

const AFTER_HELP: &str = "\
Examples:
  sosik trim news:today --keep 100
  sosik trim news:today --below 5000 --data /var/lib/sosik

Asks the running server. Readers are told a gap in place of what is gone; the room on the disk comes back little by little.";
