//! `sosik follow`: prints the events of channels as they come.

use std::time::Duration;

use sosik_client::{Delivery, Down, Following, GapPolicy, Start, Transport};

use crate::{
    connect::{ConnectArgs, TcpArgs},
    failure::{Failure, advice},
    out::{Out, note},
};

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct FollowArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    #[command(flatten)]
    tcp: TcpArgs,
    /// Channels, or all under a prefix such as 'match:*'
    #[arg(required = true, value_name = "CHANNEL")]
    channels: Vec<String>,
    /// How: poll, long_poll, stream, sse, websocket or tcp
    #[arg(long, value_name = "NAME", default_value_t = Transport::Sse)]
    transport: Transport,
    /// Begin after this cursor, or with `start` (all that is kept) or `now`
    #[arg(long, value_name = "CURSOR", conflicts_with = "last")]
    after: Option<String>,
    /// Begin with this many events from before, at most 1000
    #[arg(long, value_name = "N")]
    last: Option<u64>,
    /// Print frames as they came, one JSON object per line, gaps among them
    #[arg(long)]
    json: bool,
}

impl FollowArgs {
    fn start(&self) -> Start {
        match (self.after.as_deref(), self.last) {
            (Some("start"), _) => Start::Start,
            (Some("now"), _) | (None, None) => Start::Now,
            (Some(cursor), _) => Start::After(cursor.to_owned()),
            (None, Some(count)) => Start::Last(count),
        }
    }
}

/// Follows until Ctrl-C, which is its good end.
pub(crate) async fn run(args: FollowArgs) -> Result<(), Failure> {
    let tcp = (args.transport == Transport::Tcp).then(|| args.tcp.address()).transpose()?;
    let client = args.connect.client(tcp)?;
    let mut following = client.follow(&args.channels, args.start(), args.transport, GapPolicy::Tell)?;
    let mut out = Out::new(args.json);
    let outcome = tokio::select! {
        outcome = print_all(&mut following, &mut out) => outcome,
        _ = tokio::signal::ctrl_c() => Ok(()),
    };
    if let (Ok(()), Some(cursor)) = (&outcome, following.cursor()) {
        note(format_args!("go on from here with --after {cursor}"));
    }
    following.close().await;
    outcome
}

async fn print_all(following: &mut Following, out: &mut Out) -> Result<(), Failure> {
    let mut advised = false;
    loop {
        match following.next().await? {
            Delivery::Event(event) => out.event(event).await?,
            Delivery::Gap(gap) => out.gap(gap).await?,
            Delivery::CaughtUp(frame) => out.other(Down::CaughtUp(frame)).await?,
            Delivery::Connected(transport) => {
                advised = true;
                note(format_args!("connected over {transport}"));
            }
            Delivery::Interrupted(told) => {
                let advice = if advised { "" } else { advice(&told.error) };
                advised = true;
                note(format_args!("{}; again in {}{advice}", told.error, human(told.again_in)));
            }
            _ => {}
        }
    }
}

fn human(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

const AFTER_HELP: &str = "\
Examples:
  sosik follow demo:lobby
  sosik follow room:7 'match:*' --transport websocket
  sosik follow demo:lobby --last 20 --json | jq .data
  sosik follow demo:lobby --after start

Prints channel, number, name and data of each event. Lost connections are made again and told on standard error, and so
are gaps: events that the server no longer has. Ctrl-C ends it and prints the cursor to go on from.";
