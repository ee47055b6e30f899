//! `sosik publish`: one event, or each line of standard input as one.

mod lines;
mod outage;

use std::{borrow::Cow, time::Duration};

use sosik_client::{Client, Data, PayloadError, Published, Timers, normalise};

use self::outage::Outage;
use crate::{connect::ConnectArgs, failure::Failure, out::Out};

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct PublishArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    /// The channel, such as demo:lobby
    channel: String,
    /// The data, as JSON; `-` publishes each line of standard input
    #[arg(allow_hyphen_values = true)]
    data: String,
    /// What kind of event it is
    #[arg(long, default_value = "")]
    name: String,
    /// Take the data as text and publish it as a JSON string
    #[arg(long)]
    text: bool,
    /// Store it once under this key, 1 to 64 visible ASCII characters: the same command again stores nothing more
    #[arg(long)]
    key: Option<String>,
    /// How long to try again when the server fails or is away; 0 is one attempt. Default 60, once it was reached
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(..=86_400))]
    retry_for: Option<u64>,
}

/// Publishes, and prints channel, number and durability of each event that is acknowledged.
pub(crate) async fn run(args: PublishArgs) -> Result<(), Failure> {
    let (outage, mut given_up) = Outage::watch(args.retry_for.is_some());
    let mut options = args.connect.options(None);
    if let Some(seconds) = args.retry_for {
        options.timers = Timers { publish: Duration::from_secs(seconds), ..options.timers };
    }
    options.on_retry = Some(outage.on_retry(options.timers.publish));
    let client = Client::new(options)?;
    tokio::select! {
        outcome = publish(&client, &args, &outage) => outcome,
        Some(error) = given_up.recv() => Err(error.into()),
        _ = tokio::signal::ctrl_c() => Err(Failure::Interrupted),
    }
}

async fn publish(client: &Client, args: &PublishArgs, outage: &Outage) -> Result<(), Failure> {
    let mut out = Out::new(false);
    match (&*args.data, &args.key) {
        ("-", Some(_)) => Err(Failure::Usage(KEY_FOR_LINES.to_owned())),
        ("-", None) => lines::publish(client, args, outage, &mut out).await,
        (text, key) => {
            let data = data(&args.channel, text, args.text, "DATA")?;
            let published = match key {
                Some(key) => client.publish_with_key(key, &args.channel, &args.name, data).await?,
                None => client.publish(&args.channel, &args.name, data).await?,
            };
            let stored_before = key.is_some() && published.duplicate;
            let line = acknowledged(&args.channel, &published);
            out.line(if stored_before { line + " duplicate" } else { line }).await
        }
    }
}

fn acknowledged(channel: &str, published: &Published) -> String {
    let durability = format!("{:?}", published.durability).to_lowercase();
    format!("{channel} {} {durability}", published.seq)
}

/// The payload. Errors: it is not JSON, and how to say it.
fn data(channel: &str, text: &str, is_text: bool, what: &str) -> Result<Data, Failure> {
    if is_text {
        return Ok(Data::Json(serde_json::Value::from(text).to_string().into()));
    }
    match normalise(text.as_bytes()) {
        Ok(json) => Ok(Data::Json(json.into_owned().into())),
        Err(error @ PayloadError::TooLarge { .. }) => {
            Err(Failure::Usage(format!("{what} cannot be published: {error}")))
        }
        Err(error) => Err(Failure::Usage(format!(
            "{what} {:?} cannot be published: {error}\n\
             Quote JSON for the shell:  sosik publish {channel} '{{\"text\":\"hello\"}}'\n\
             Or publish it as text:     sosik publish --text {channel} 'hello'",
            beginning(text)
        ))),
    }
}

/// Enough of `text` to know it again.
fn beginning(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text.into(),
    }
}

/// Characters of refused data that are shown.
const SHOWN_CHARS: usize = 60;

const KEY_FOR_LINES: &str =
    "--key is for one event; lines of standard input are numbered, and each is stored once without a key";

const AFTER_HELP: &str = "\
Examples:
  sosik publish demo:lobby '{\"text\":\"hello\"}'
  sosik publish --text demo:lobby 'hello'
  sosik publish demo:lobby 42 --name score
  sosik publish demo:lobby '{\"order\":17}' --key order-17
  tail -f app.log | sosik publish --text demo:lobby -

Prints channel, number and durability (memory or synced) of each event when the server has acknowledged it, and with
--key the word duplicate when it had been stored before.

Each event is stored once: what has no answer is sent again, over a restart of the server too, for --retry-for seconds.
A server that was never reached is not waited for unless --retry-for is given. With --key a script that ran half
can be run again: the server knows the key for 24 hours, or until a million newer ones came in the namespace. The same
key for other data is refused (exit code 3).

With - the lines are stored in their order. The first one that cannot be published ends the command, and so does a reader
of the output that goes away; the lines before it are published, and none after it.";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    // Mutant: bare words taken as text -> `sosik publish c 0123` publishes a string and `12` a number.
    #[test]
    fn data_that_is_not_json_is_refused_with_what_to_type() {
        let said = data("room:7", "{text:hello}", false, "DATA").unwrap_err().to_string();
        assert!(
            said.contains("sosik publish room:7 '{\"text\":\"hello\"}'") && said.contains("--text"),
            "{said}"
        );
        assert_eq!(data("room:7", " { \"a\" : 1 } ", false, "DATA").unwrap().bytes(), "{\"a\":1}");
        assert_eq!(data("room:7", "say \"hi\"", true, "DATA").unwrap().bytes(), r#""say \"hi\"""#);
    }
}
