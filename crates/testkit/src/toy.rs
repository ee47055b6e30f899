//! A toy dialect: another wire protocol over the pump and the core's operations, to prove that others will fit.
//!
//! Lines of text over TCP. `FOLLOW <after|now|start> <channel>…` is answered by `HERE <cursor>`, then come `EVENT <cursor>
//! <channel> <epoch> <seq> <json>`, `GAP <cursor> <channel> <epoch> <reason> <next seq, or 0>` and once `LIVE <cursor>`.
//! `PUBLISH <channel> <json>` is answered by `OK <seq>`. What is refused: `ERROR <code> <message>`.

mod talk;

use std::{
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use sosik_core::{ChannelName, Cursor, Data, Draft, Error, Event, Grant, Pattern, Reader, Start};
use sosik_transport::{
    Hub, Seat,
    form::Pieces,
    pump::{Encode, Outbox, Pumped, ROUNDS_MAX, Socket, Tally, pump},
};
use sosik_wire::{Down, Refused, normalise};
pub use talk::TOY;
use tokio::{
    io::{AsyncRead, ReadBuf},
    net::TcpStream,
};

/// Serves one connection to its end.
async fn serve(hub: Arc<Hub>, grant: Grant, socket: TcpStream) {
    let (seat, outbox) = (hub.sweep.sit(), Outbox::default());
    let mut toy = Toy { hub, grant, socket, seat, outbox, reader: None, input: Vec::new() };
    loop {
        match poll_fn(|cx| toy.step(cx)).await {
            Step::Line(line) => {
                let said =
                    toy.run(&line).await.unwrap_or_else(|r| format!("ERROR {} {}", r.code.name(), r.message));
                toy.outbox.push(pieces(said));
            }
            Step::Below => {
                let fetched = async { toy.reader.as_mut()?.fetch().await.ok() };
                if fetched.await.is_none() {
                    return;
                };
            }
            Step::Over => return,
        }
    }
}

struct Toy {
    hub: Arc<Hub>,
    grant: Grant,
    socket: TcpStream,
    seat: Seat,
    outbox: Outbox,
    reader: Option<Reader>,
    input: Vec<u8>,
}

enum Step {
    Line(String),
    Below,
    Over,
}

impl Toy {
    fn step(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        self.seat.register(cx);
        let (now, tally) = (self.hub.clock.wall_ms(), &mut Tally::default());
        let mut peer = Socket { io: &mut self.socket, cx };
        let stop = match &mut self.reader {
            Some(reader) => pump(reader, &mut self.outbox, &Lines, &mut peer, now, ROUNDS_MAX, tally),
            None => self.outbox.flush(&mut peer, tally).unwrap_or(Pumped::Idle),
        };
        match stop {
            Pumped::Idle | Pumped::Blocked | Pumped::Joined(..) => {}
            Pumped::Again => cx.waker().wake_by_ref(),
            Pumped::Below => return Poll::Ready(Step::Below),
            Pumped::Closed | Pumped::Over(_) => return Poll::Ready(Step::Over),
        }
        let due = self.reader.as_ref().and_then(Reader::due);
        self.seat.due(due.map_or(u64::MAX, |wall| self.hub.clock.steady_ms() + wall.saturating_sub(now)));
        loop {
            if let Some(end) = self.input.iter().position(|&byte| byte == b'\n') {
                let line: Vec<_> = self.input.drain(..=end).collect();
                return Poll::Ready(Step::Line(String::from_utf8_lossy(&line).trim_end().to_owned()));
            }
            let mut scratch = [0; 4096];
            let mut buffer = ReadBuf::new(&mut scratch);
            match Pin::new(&mut self.socket).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => self.input.extend(buffer.filled()),
                Poll::Ready(_) => return Poll::Ready(Step::Over),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    async fn run(&mut self, line: &str) -> Result<String, Refused> {
        let by_core = |error: Error| Refused::by_core(None, &error);
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let (first, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        let now = self.hub.clock.wall_ms();
        if word == "PUBLISH" {
            let channel = ChannelName::parse(first).map_err(|error| by_core(error.into()))?;
            let draft = Draft::json(channel, normalise(rest.as_bytes())?.into_owned());
            let published = self.hub.node.publish(&self.grant, vec![draft], now).await.map_err(by_core)?;
            return Ok(format!("OK {}", published[0].seq));
        }
        let start = Start::parse(Some(first), None).map_err(by_core)?;
        let set: Result<Vec<_>, _> = rest.split(' ').map(Pattern::parse).collect();
        let set = set.map_err(|error| by_core(error.into()))?;
        let reader = self.hub.node.read(self.grant.clone(), &set, start, now).await.map_err(by_core)?;
        self.seat.follow(reader.watches());
        let here = reader.cursor().unwrap_or_default();
        self.reader = Some(reader);
        Ok(format!("HERE {here}"))
    }
}

/// How the toy shows events and gaps.
struct Lines;

impl Encode for Lines {
    fn event(&self, event: &Event, cursor: Option<&Cursor>) -> Pieces {
        let cursor = cursor.cloned().unwrap_or_else(|| Cursor::new([event.part()]));
        let epoch = String::from_utf8_lossy(&event.epoch.short()).into_owned();
        let data = match &event.data {
            Data::Json(text) => String::from_utf8_lossy(text).into_owned(),
            Data::Binary(bytes) => format!("\"{} bytes that the toy has no word for\"", bytes.len()),
        };
        pieces(format!("EVENT {cursor} {} {epoch} {} {data}", event.channel, event.seq))
    }

    fn frame(&self, frame: &Down) -> Pieces {
        match frame {
            Down::CaughtUp(live) => pieces(format!("LIVE {}", live.cursor)),
            Down::Gap(gap) => {
                let (reason, next) = (format!("{:?}", gap.reason).to_lowercase(), gap.next_seq.unwrap_or(0));
                pieces(format!("GAP {} {} {} {reason} {next}", gap.cursor, gap.channel, gap.epoch))
            }
            _ => Pieces::new(),
        }
    }
}

fn pieces(line: String) -> Pieces {
    Pieces::from_iter([Bytes::from(line + "\n")])
}
