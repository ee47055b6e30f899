//! Lines of standard input: numbered by a producer, several on their way at a time.

use std::{collections::VecDeque, io};

use sosik_client::{Acknowledgement, Client, Published};
use tokio::io::{AsyncBufReadExt, BufReader, Split, Stdin, stdin};

use super::{PublishArgs, acknowledged, data, outage::Outage};
use crate::{failure::Failure, out::Out};

/// Publishes each line in its order. The first failure ends the reading; what was read before it is waited for.
pub(super) async fn publish(
    client: &Client,
    args: &PublishArgs,
    outage: &Outage,
    out: &mut Out,
) -> Result<(), Failure> {
    let producer = client.producer();
    let mut input = Input { lines: BufReader::new(stdin()).split(b'\n'), number: 0 };
    let mut on_their_way: VecDeque<(u64, Acknowledgement)> = VecDeque::new();
    let mut ended = None;
    let mut last = 0;
    loop {
        let may_read = ended.is_none() && on_their_way.len() < ON_THEIR_WAY_MAX;
        tokio::select! {
            published = first(&mut on_their_way), if !on_their_way.is_empty() => {
                let (number, published) = published?;
                last = number;
                outage.is_over();
                if !matches!(ended, Some(Err(Failure::Closed)))
                    && let Err(failure) = out.line(acknowledged(&args.channel, &published)).await
                {
                    ended = Some(Err(failure));
                }
            }
            line = input.next(args), if may_read => match line {
                Ok(Some((number, data))) => {
                    on_their_way.push_back((number, producer.send(&args.channel, &args.name, data).await?));
                }
                Ok(None) => ended = Some(Ok(())),
                Err(failure) => ended = Some(Err(failure)),
            },
            else => break,
        }
    }
    match ended {
        // The lines that are left would be lost without a word.
        Some(Err(Failure::Closed)) => {
            let told =
                format!("line {last} is published and nothing after it: the reader of the output went away");
            Err(Failure::Io(io::Error::other(told)))
        }
        ended => ended.unwrap_or(Ok(())),
    }
}

/// The oldest acknowledgement. Errors: its line was not stored, and so none behind it was.
async fn first(on_their_way: &mut VecDeque<(u64, Acknowledgement)>) -> Result<(u64, Published), Failure> {
    let Some((number, acknowledgement)) = on_their_way.front_mut() else {
        return std::future::pending().await;
    };
    let number = *number;
    let outcome = acknowledgement.await;
    on_their_way.pop_front();
    outcome.map(|published| (number, published)).map_err(|error| Failure::Line { number, error })
}

/// The lines that are left.
struct Input {
    lines: Split<BufReader<Stdin>>,
    number: u64,
}

impl Input {
    /// The next line that is not blank, with its number and as data. Dropped while it waits, it has lost nothing.
    async fn next(&mut self, args: &PublishArgs) -> Result<Option<(u64, sosik_client::Data)>, Failure> {
        while let Some(line) = self.lines.next_segment().await? {
            self.number += 1;
            let what = format!("line {}", self.number);
            let line = std::str::from_utf8(line.strip_suffix(b"\r").unwrap_or(&line)).map_err(|error| {
                Failure::Usage(format!("{what} cannot be published: {error}; each line is UTF-8"))
            })?;
            if args.text || !line.trim().is_empty() {
                return data(&args.channel, line, args.text, &what).map(|data| Some((self.number, data)));
            }
        }
        Ok(None)
    }
}

/// Lines that are read and not acknowledged yet.
const ON_THEIR_WAY_MAX: usize = 64;
