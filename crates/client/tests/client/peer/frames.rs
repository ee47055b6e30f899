//! Frames as the peer reads and writes them.

use sosik_client::{Data, GapReason};
use sosik_wire::{CaughtUp, Down, Encoding, EventFrame, GapFrame, decode};

/// The decoder of a two-way connection.
pub(super) enum Frames {
    Lines(decode::Lines),
    Binary(decode::Binary),
}

impl Frames {
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        match self {
            Self::Lines(lines) => lines.feed(bytes),
            Self::Binary(binary) => binary.feed(bytes),
        }
    }

    pub(super) fn next(&mut self) -> Option<String> {
        match self {
            Self::Lines(lines) => {
                lines.next_line().unwrap().map(|line| String::from_utf8(line.to_vec()).unwrap())
            }
            Self::Binary(binary) => {
                let body = binary.next_body().unwrap()?;
                Some(decode::json_body(&body).unwrap().unwrap().to_owned())
            }
        }
    }
}

pub(crate) fn event(channel: &str, seq: u64, cursor: &str) -> Down {
    Down::Event(EventFrame {
        channel: channel.into(),
        epoch: "aaaaaa".into(),
        seq,
        time: 1_760_000_000_000,
        name: "say".into(),
        data: Data::Json(format!("{{\"n\":{seq}}}").into()),
        from: "alice".into(),
        signal: false,
        cursor: cursor.into(),
    })
}

/// Events of `room:1` whose cursors are `c` and their number.
pub(crate) fn events(seqs: impl IntoIterator<Item = u64>) -> Vec<Down> {
    seqs.into_iter().map(|seq| event("room:1", seq, &format!("c{seq}"))).collect()
}

pub(crate) fn gap(next_seq: u64, cursor: &str) -> Down {
    Down::Gap(GapFrame {
        channel: "room:1".into(),
        reason: GapReason::Trimmed,
        epoch: "aaaaaa".into(),
        next_seq: Some(next_seq),
        lost: None,
        cursor: cursor.into(),
    })
}

pub(crate) fn caught_up(cursor: &str) -> Down {
    Down::CaughtUp(CaughtUp { cursor: cursor.into() })
}

pub(crate) fn text(frame: &Down) -> String {
    let line = Encoding::JsonLine.frame(frame);
    std::str::from_utf8(line.trim_ascii_end()).unwrap().to_owned()
}

pub(crate) fn page(frames: &[Down], cursor: &str, more: bool) -> String {
    let frames: Vec<_> = frames.iter().map(text).collect();
    format!("{{\"frames\":[{}],\"cursor\":\"{cursor}\",\"more\":{more}}}\n", frames.join(","))
}
