//! `sosik history`: prints events of a channel that the server still has.

use sosik_client::{Client, History};

use crate::{
    connect::ConnectArgs,
    failure::Failure,
    out::{Out, note},
};

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct HistoryArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    /// The channel
    channel: String,
    /// Only events before this cursor
    #[arg(long, value_name = "CURSOR")]
    before: Option<String>,
    /// At most this many events, 1 to 256
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: u64,
    /// Print frames as they came, one JSON object per line
    #[arg(long)]
    json: bool,
}

/// Prints one page, oldest first, and on standard error how to see the page before it.
pub(crate) async fn run(args: HistoryArgs) -> Result<(), Failure> {
    let client = args.connect.client(None)?;
    tokio::select! {
        outcome = print(&client, &args) => outcome,
        _ = tokio::signal::ctrl_c() => Err(Failure::Interrupted),
    }
}

async fn print(client: &Client, args: &HistoryArgs) -> Result<(), Failure> {
    let from = args.before.clone().map_or(History::Newest, History::Before);
    let page = client.history(&args.channel, from, args.limit).await?;
    let mut out = Out::new(args.json);
    if let Some(gap) = page.gap {
        out.gap(gap).await?;
    }
    for event in page.events {
        out.event(event).await?;
    }
    if page.more {
        note(format_args!("there is more: --before {}", page.cursor));
    }
    Ok(())
}

const AFTER_HELP: &str = "\
Examples:
  sosik history demo:lobby
  sosik history demo:lobby --limit 10 --json | jq .data

Prints the newest events, oldest first. If there are older ones, standard error says how to see them.";
