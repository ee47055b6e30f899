//! `sosik verify`: reads a log whole and says what is damaged; with `--repair` makes it whole again.

use sosik_server::operate;

use crate::{data::DataArgs, failure::Failure};

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    data: DataArgs,
    /// Rebuild the log from what can be read; the server must be stopped
    #[arg(long)]
    repair: bool,
}

/// Verifies or repairs. Damage that is left is [`Failure::Damaged`].
pub(crate) async fn run(args: VerifyArgs) -> Result<(), Failure> {
    if args.repair {
        let mended = operate::repair(&args.data.data).await?;
        return args.data.print(&mended).await;
    }
    let verified = operate::verify(&args.data.data).await?;
    args.data.print(&verified).await?;
    if verified.whole { Ok(()) } else { Err(Failure::Damaged) }
}

const AFTER_HELP: &str = "\
Examples:
  sosik verify
  sosik verify --data /var/lib/sosik --json
  sosik verify --data /var/lib/sosik --repair

A running server reads its own log and goes on meanwhile; without one the directory is opened. Nothing is changed, unless
with --repair: then what can be read is kept, readers are told a gap in place of what cannot, and the log begins a new
epoch; a log of which nothing is damaged is left as it is, with exit code 3. Make a copy of the directory first. Exit code 5
says that there is damage.";
