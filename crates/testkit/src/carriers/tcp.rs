//! Raw TCP, as JSON lines and as length-prefixed frames.

use std::net::SocketAddr;

use sosik_lab::raw::{JsonLines, Torn};
use sosik_wire::binary::wrap_json;

use super::{
    Ask, Carrier, Heard, Manner, Place, Talk,
    binary::Frames,
    endless::Decode,
    two_way::{HELLO, subscribe},
};

/// TCP with JSON lines.
pub const TCP: Tcp = Tcp { binary: false };
/// TCP with length-prefixed frames.
pub const TCP_BINARY: Tcp = Tcp { binary: true };

/// See [`TCP`] and [`TCP_BINARY`].
#[derive(Debug)]
pub struct Tcp {
    binary: bool,
}

/// The bytes of a hello as a JSON line.
pub fn hello() -> Vec<u8> {
    format!("{HELLO}\n").into_bytes()
}

impl Carrier for Tcp {
    fn name(&self) -> &'static str {
        if self.binary { "tcp.binary" } else { "tcp" }
    }

    fn manner(&self) -> Manner {
        Manner::TwoWay
    }

    fn addr(&self, place: &Place) -> SocketAddr {
        place.tcp
    }

    fn talk(&self, _: &Place, _: u64) -> Box<dyn Talk> {
        match self.binary {
            true => Box::new(Both { decoder: Frames::default(), greeted: false, line: frame }),
            false => Box::new(Both { decoder: JsonLines::default(), greeted: false, line }),
        }
    }
}

struct Both<D> {
    decoder: D,
    greeted: bool,
    line: fn(&str) -> Vec<u8>,
}

impl<D: Decode> Talk for Both<D> {
    fn ask(&mut self, ask: &Ask) -> Vec<u8> {
        let subscribe = subscribe(ask);
        self.say(&subscribe)
    }

    fn read(&mut self, bytes: &[u8]) -> Result<Vec<Heard>, Torn> {
        Ok(self.decoder.decode(bytes)?.into_iter().map(Heard::Seen).collect())
    }

    fn say(&mut self, text: &str) -> Vec<u8> {
        let greeting =
            if std::mem::replace(&mut self.greeted, true) { Vec::new() } else { (self.line)(HELLO) };
        [greeting, (self.line)(text)].concat()
    }
}

fn line(text: &str) -> Vec<u8> {
    format!("{text}\n").into_bytes()
}

fn frame(text: &str) -> Vec<u8> {
    wrap_json(text.as_bytes()).to_vec()
}
