//! `sosik forget`: removes a channel with its record.

use sosik_server::operate;

use crate::{data::DataArgs, failure::Failure};

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct ForgetArgs {
    #[command(flatten)]
    data: DataArgs,
    /// The channel
    channel: String,
}

/// Removes a channel with its record.
pub(crate) async fn run(args: ForgetArgs) -> Result<(), Failure> {
    let removed = operate::forget(&args.data.data, &args.channel).await?;
    args.data.print(&removed).await
}

const AFTER_HELP: &str = "\
Examples:
  sosik forget login:4711
  sosik forget login:4711 --data /var/lib/sosik

Asks the running server. Only for namespaces with forget_after_s in sosik.toml: the name begins anew, and readers that come
back to it are told a gap.";
