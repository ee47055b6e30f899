//! `sosik publish`: one event, or each line of standard input as one.

use std::{borrow::Cow, io};

use sosik_client::{Client, Data, PayloadError, normalise};
use tokio::io::{AsyncBufReadExt, BufReader, stdin};

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
}

/// Publishes, and prints channel, number and durability of each event that is acknowledged.
pub(crate) async fn run(args: PublishArgs) -> Result<(), Failure> {
    let client = args.connect.client(None)?;
    tokio::select! {
        outcome = publish(&client, &args) => outcome,
        _ = tokio::signal::ctrl_c() => Err(Failure::Interrupted),
    }
}

async fn publish(client: &Client, args: &PublishArgs) -> Result<(), Failure> {
    let mut out = Out::new(false);
    if args.data != "-" {
        return one(client, args, &args.data, "DATA", &mut out).await;
    }
    let mut lines = BufReader::new(stdin()).split(b'\n');
    let mut number = 0;
    while let Some(line) = lines.next_segment().await? {
        number += 1;
        let what = format!("line {number}");
        let line = std::str::from_utf8(line.strip_suffix(b"\r").unwrap_or(&line)).map_err(|error| {
            Failure::Usage(format!("{what} cannot be published: {error}; each line is UTF-8"))
        })?;
        if args.text || !line.trim().is_empty() {
            match one(client, args, line, &what, &mut out).await {
                // The lines that are left would be lost without a word.
                Err(Failure::Closed) => {
                    let told = format!(
                        "{what} is published and nothing after it: the reader of the output went away"
                    );
                    return Err(Failure::Io(io::Error::other(told)));
                }
                outcome => outcome?,
            }
        }
    }
    Ok(())
}

async fn one(
    client: &Client,
    args: &PublishArgs,
    text: &str,
    what: &str,
    out: &mut Out,
) -> Result<(), Failure> {
    let data = data(&args.channel, text, args.text, what)?;
    let published = client.publish(&args.channel, &args.name, data).await?;
    let durability = format!("{:?}", published.durability).to_lowercase();
    out.line(format!("{} {} {durability}", args.channel, published.seq)).await
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

const AFTER_HELP: &str = "\
Examples:
  sosik publish demo:lobby '{\"text\":\"hello\"}'
  sosik publish --text demo:lobby 'hello'
  sosik publish demo:lobby 42 --name score
  tail -f app.log | sosik publish --text demo:lobby -

Prints channel, number and durability (memory or synced) of each event when the server has acknowledged it.
With - the first line that cannot be published ends the command, and so does a reader of the output that goes away;
the lines before it are published.";

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
