//! What is printed: events for people, frames for programs.

use std::{
    fmt::{Display, Write},
    io::{self, Write as _, stderr},
};

use serde::Serialize;
use sosik_client::{Data, Down, EventFrame, GapFrame, GapReason};
use tokio::io::{AsyncWriteExt, Stdout, stdout};

use crate::failure::Failure;

/// Standard output, line by line. A reader that went away is [`Failure::Closed`].
#[derive(Debug)]
pub(crate) struct Out {
    stdout: Stdout,
    json: bool,
}

impl Out {
    /// For people, or with `json` for programs.
    pub(crate) fn new(json: bool) -> Self {
        Self { stdout: stdout(), json }
    }

    /// An event.
    pub(crate) async fn event(&mut self, event: EventFrame) -> Result<(), Failure> {
        if self.json { self.json(&Down::Event(event)).await } else { self.line(human(&event)).await }
    }

    /// A gap: among the frames for programs, on standard error for people.
    pub(crate) async fn gap(&mut self, gap: GapFrame) -> Result<(), Failure> {
        if self.json {
            return self.json(&Down::Gap(gap)).await;
        }
        note(human_gap(&gap));
        Ok(())
    }

    /// Any other frame: for programs only.
    pub(crate) async fn other(&mut self, frame: Down) -> Result<(), Failure> {
        if self.json { self.json(&frame).await } else { Ok(()) }
    }

    /// A line as it is.
    pub(crate) async fn line(&mut self, mut line: String) -> Result<(), Failure> {
        line.push('\n');
        self.stdout.write_all(line.as_bytes()).await?;
        Ok(self.stdout.flush().await?)
    }

    /// A line of JSON.
    pub(crate) async fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        self.line(serde_json::to_string(value).map_err(io::Error::from)?).await
    }
}

/// A line for people on standard error. Whether anybody reads it changes nothing.
pub(crate) fn note(text: impl Display) {
    let _ = writeln!(stderr(), "sosik: {text}");
}

/// Channel, number, name if there is one, data. Control characters are escaped: a terminal obeys them, whoever sent them.
fn human(event: &EventFrame) -> String {
    let mut line = String::new();
    put(&mut line, &event.channel);
    let _ = write!(line, " {} ", event.seq);
    if !event.name.is_empty() {
        put(&mut line, &event.name);
        line.push(' ');
    }
    match &event.data {
        Data::Json(text) => put(&mut line, &String::from_utf8_lossy(text)),
        Data::Binary(bytes) => {
            let _ = write!(line, "({} bytes)", bytes.len());
        }
    }
    line
}

fn human_gap(gap: &GapFrame) -> String {
    let mut line = "gap: ".to_owned();
    match gap.lost {
        Some(lost) => {
            let _ = write!(line, "{lost} events of ");
        }
        None => line.push_str("events of "),
    }
    put(&mut line, &gap.channel);
    // Another life of the log may hold all that the reader has seen: nobody knows.
    let fate =
        if gap.reason == GapReason::Epoch && gap.lost.is_none() { "may be missing" } else { "are gone" };
    let _ = write!(line, " {fate} ({})", format!("{:?}", gap.reason).to_lowercase());
    if let Some(next) = gap.next_seq {
        let _ = write!(line, "; it goes on with {next}");
    }
    line
}

fn put(line: &mut String, text: &str) {
    for char in text.chars() {
        if char.is_control() || OVERRIDES.contains(&char) {
            let _ = write!(line, "\\u{:04x}", u32::from(char));
        } else {
            line.push(char);
        }
    }
}

/// Characters that turn the direction of what follows.
const OVERRIDES: std::ops::RangeInclusive<char> = '\u{202a}'..='\u{202e}';

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn event(name: &str, data: Data) -> EventFrame {
        EventFrame {
            channel: "room:7".into(),
            epoch: "aaaaaa".into(),
            seq: 812,
            time: 0,
            name: name.into(),
            data,
            from: String::new(),
            signal: false,
            cursor: "c".into(),
        }
    }

    // Mutant: text written as it is -> a publisher moves the cursor of whoever reads.
    #[test]
    fn people_see_channel_number_name_and_data_without_control_characters() {
        let json = Data::Json("{\"a\":\"\u{9b}2J소\u{202e}\"}".into());
        assert_eq!(human(&event("say\u{1b}", json)), "room:7 812 say\\u001b {\"a\":\"\\u009b2J소\\u202e\"}");
        assert_eq!(human(&event("", Data::Binary(vec![1, 2, 3].into()))), "room:7 812 (3 bytes)");
    }

    // Mutant: an epoch told as a loss -> fails.
    #[test]
    fn a_gap_says_what_is_gone_and_what_comes() {
        let gap = GapFrame {
            channel: "room:7".into(),
            reason: GapReason::Trimmed,
            epoch: "aaaaaa".into(),
            next_seq: Some(13),
            lost: Some(12),
            cursor: "c".into(),
        };
        assert_eq!(human_gap(&gap), "gap: 12 events of room:7 are gone (trimmed); it goes on with 13");
        let gap = GapFrame { channel: "match:*".into(), next_seq: None, lost: None, ..gap };
        assert_eq!(human_gap(&gap), "gap: events of match:* are gone (trimmed)");
        let gap = GapFrame { reason: GapReason::Epoch, ..gap };
        assert_eq!(human_gap(&gap), "gap: events of match:* may be missing (epoch)");
    }
}
