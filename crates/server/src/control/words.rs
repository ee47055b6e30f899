//! What the control socket is asked and answers, in JSON and for people.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sosik_store::disk::{self, Damage, Kept, Repaired, Report};

/// A question that says nothing more.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Nothing {}

/// How a running server and its durable log are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The version of the server.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// Whether it goes down.
    pub draining: bool,
    /// The code that a publish into the durable log is refused with; `None` while it is taken.
    pub refuses: Option<String>,
    /// Sockets that are open, HTTP and TCP.
    pub sockets: u64,
    /// Events in the durable log that were stored since the start.
    pub events: u64,
    /// Events that are kept in it.
    pub kept_events: u64,
    /// Bytes of their records.
    pub kept_bytes: u64,
    /// Bytes that the files take up.
    pub disk_bytes: u64,
    /// Bytes that are free where they lie; `None` when that could not be asked.
    pub free_bytes: Option<u64>,
    /// Damaged places found since the start.
    pub damaged: u64,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { version, pid, sockets, events, kept_events, damaged, .. } = self;
        let draining = if self.draining { ", going down" } else { "" };
        writeln!(f, "server    {version}, process {pid}{draining}")?;
        writeln!(
            f,
            "publishes {}",
            self.refuses.as_ref().map_or_else(|| "taken".into(), |code| format!("refused: {code}"))
        )?;
        writeln!(f, "sockets   {sockets} open")?;
        writeln!(
            f,
            "events    {events} stored since the start; {kept_events} kept, {}",
            bytes(self.kept_bytes)
        )?;
        let free = self.free_bytes.map_or_else(|| "unknown".into(), bytes);
        writeln!(f, "disk      {} used, {free} free", bytes(self.disk_bytes))?;
        write!(f, "damage    {} found since the start", counted(*damaged, "place"))
    }
}

/// What reading a log whole has found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// Whether nothing is wrong.
    pub whole: bool,
    /// Rows read, of all tables.
    pub rows: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Events that can be read.
    pub events: u64,
    /// Channels that have a record.
    pub channels: u64,
    /// What is wrong, by kind.
    pub damage: Vec<Found>,
}

/// Damage of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// What is wrong.
    pub kind: String,
    /// In how many places.
    pub count: u64,
    /// The first of them.
    pub first: Vec<String>,
}

impl From<&Report> for Verified {
    fn from(report: &Report) -> Self {
        let found = |damage: &Damage| Found {
            kind: damage.kind.to_string(),
            count: damage.count,
            first: damage.first.clone(),
        };
        Self {
            whole: report.is_whole(),
            rows: report.rows,
            bytes: report.bytes,
            events: report.events,
            channels: report.channels,
            damage: report.damage.iter().map(found).collect(),
        }
    }
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [rows, events, channels] =
            [(self.rows, "row"), (self.events, "event"), (self.channels, "channel")]
                .map(|(n, what)| counted(n, what));
        write!(f, "read {rows}, {}: {events} of {channels}", bytes(self.bytes))?;
        if self.whole {
            return write!(f, "\nnothing is damaged");
        }
        self.damage.iter().try_for_each(|Found { kind, count, first }| {
            let more = if *count > first.len() as u64 { ", …" } else { "" };
            write!(f, "\n{count} × {kind}: {}{more}", first.join(", "))
        })
    }
}

/// What a repair has done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mended {
    /// What was found before.
    pub found: Verified,
    /// Events that were there and are lost; readers are told a gap in their place.
    pub events_lost: u64,
    /// Records of channels that were made anew.
    pub records_rebuilt: u64,
    /// Where the log ends now.
    pub head: u64,
    /// Where the files from before are kept.
    pub old: PathBuf,
}

impl From<&Repaired> for Mended {
    fn from(repaired: &Repaired) -> Self {
        Self {
            found: (&repaired.found).into(),
            events_lost: repaired.events_lost,
            records_rebuilt: repaired.records_rebuilt,
            head: repaired.head.number(),
            old: repaired.old.clone(),
        }
    }
}

impl fmt::Display for Mended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { found, events_lost, records_rebuilt, old, .. } = self;
        writeln!(f, "{found}")?;
        let (lost, rebuilt) = (counted(*events_lost, "event"), counted(*records_rebuilt, "record"));
        writeln!(f, "repaired: {lost} lost, {rebuilt} of channels made anew")?;
        writeln!(f, "the log began a new epoch: readers with older cursors are told a gap")?;
        write!(f, "what was there before is kept in {}: delete it when nobody needs it", old.display())
    }
}

/// Where a backup goes, as an absolute path.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Backup {
    pub(crate) to: PathBuf,
}

/// A backup that was taken, or a log that was made of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copied {
    /// The directory that was written.
    pub to: PathBuf,
    /// The place of the last event in it.
    pub head: u64,
    /// Rows of all tables.
    pub rows: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Why opening the log for it began a new epoch: it had lost something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewed: Option<String>,
}

impl Copied {
    pub(crate) fn of(to: &Path, kept: &Kept) -> Self {
        let disk::Copied { rows, bytes, .. } = kept.copied;
        Self { to: to.into(), head: kept.head.number(), rows, bytes, renewed: None }
    }
}

impl fmt::Display for Copied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { to, head, rows, .. } = self;
        write!(f, "{}: {rows} rows, {}, up to position {head}", to.display(), bytes(self.bytes))?;
        self.renewed.as_ref().map_or(Ok(()), |why| write!(f, "\nattention: {why}"))
    }
}

/// Which channel is meant.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Named {
    pub(crate) channel: String,
}

/// Which of a channel's events go.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Trim {
    pub(crate) channel: String,
    pub(crate) cut: Cut,
}

/// Which of a channel's events go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cut {
    /// All but the newest so many.
    Keep(u64),
    /// All with a number below.
    Below(u64),
}

impl From<Cut> for sosik_core::Cut {
    fn from(cut: Cut) -> Self {
        match cut {
            Cut::Keep(count) => Self::Keep(count),
            Cut::Below(seq) => Self::Below(seq),
        }
    }
}

/// What was taken away of a channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    /// The channel.
    pub channel: String,
    /// How many events.
    pub events: u64,
    /// The number of the first event that is kept, or of the next one if none is; `None` when the channel was forgotten.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_seq: Option<u64>,
}

impl fmt::Display for Removed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { channel, events, next_seq } = self;
        write!(f, "{channel}: {} removed; ", counted(*events, "event"))?;
        match next_seq {
            Some(next_seq) => write!(f, "it goes on with {next_seq}"),
            None => f.write_str("its name begins anew"),
        }
    }
}

/// So many of something, `1 event`, `2 events`.
pub(crate) fn counted(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// A number of bytes as people read it, `1.5 MiB`.
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let unit = (bytes.max(1).ilog2() / 10).min(4);
    if unit == 0 {
        return format!("{bytes} B");
    }
    // Tenths, in whole numbers.
    let tenths = u128::from(bytes) * 10 / (1_u128 << (10 * unit));
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit as usize])
}

#[cfg(test)]
mod tests {
    use super::*;

    // Mutant: 1,000 for 1,024 -> `1023 B` differs.
    #[test]
    fn bytes_are_told_in_the_unit_that_fits() {
        for (number, text) in [
            (0, "0 B"),
            (1_023, "1023 B"),
            (1_024, "1.0 KiB"),
            (1_572_864, "1.5 MiB"),
            (u64::MAX, "16777215.9 TiB"),
        ] {
            assert_eq!(bytes(number), text);
        }
    }
}
