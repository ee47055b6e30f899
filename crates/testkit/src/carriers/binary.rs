//! Length-prefixed frames as observations. The laboratory reads text only; these go through the decoder of `wire`, which
//! is not the client's own.

use sosik_lab::{
    checker::{CursorFrom, Event, Gap, Observed},
    raw::Torn,
};
use sosik_wire::{Data, Down, decode::Binary};

/// Frames out of bytes that are split anywhere.
#[derive(Debug, Default)]
pub(super) struct Frames(Binary);

impl Frames {
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<Vec<Observed>, Torn> {
        self.0.feed(bytes);
        let mut seen = Vec::new();
        while let Some(frame) = self.0.next_frame().map_err(|error| Torn { why: error.to_string() })? {
            seen.push(observed(frame));
        }
        Ok(seen)
    }
}

fn observed(frame: Down) -> Observed {
    let handed = |from, cursor| Observed::Cursor { from, cursor };
    match frame {
        Down::Event(event) => Observed::Event(Event {
            channel: event.channel,
            epoch: event.epoch,
            seq: event.seq,
            body: match event.data {
                Data::Json(bytes) | Data::Binary(bytes) => bytes.to_vec(),
            },
            cursor: Some(event.cursor),
        }),
        Down::Gap(gap) => Observed::Gap(Gap {
            reason: format!("{:?}", gap.reason).to_lowercase(),
            channel: gap.channel,
            epoch: gap.epoch,
            next_seq: gap.next_seq,
            lost: gap.lost,
            position: None,
            cursor: Some(gap.cursor),
        }),
        Down::CaughtUp(caught_up) => handed(CursorFrom::CaughtUp, caught_up.cursor),
        Down::Welcome(sosik_wire::Welcome { cursor: Some(cursor), .. }) => {
            handed(CursorFrom::Welcome, cursor)
        }
        Down::Ok(sosik_wire::OkFrame { channels: Some(_), cursor: Some(cursor), .. }) => {
            handed(CursorFrom::Subscribed, cursor)
        }
        Down::Heartbeat => Observed::Other { kind: "heartbeat".to_owned(), frame: String::new() },
        other => Observed::Other {
            kind: other.type_name().to_owned(),
            frame: serde_json::to_string(&other).unwrap(),
        },
    }
}
