//! Ways to reach Sosik from raw bytes: one small file per transport, none of which uses the client.
//!
//! A [`Carrier`] names a way, a [`Talk`] is one conversation over it without any socket: what to write, and what the
//! bytes that came mean. [`Line`] puts a conversation on a socket, and [`Publisher`] sends.

#![allow(clippy::unwrap_used, reason = "a suite fails by panicking")]

mod ask;
mod binary;
mod endless;
pub mod http;
mod line;
mod long_poll;
mod one_shot;
mod poll;
mod publisher;
mod sse;
mod stream;
mod tcp;
mod transcript;
mod two_way;
mod websocket;

use std::{fmt, net::SocketAddr, sync::Arc};

pub use ask::{Ask, Begin};
pub use line::{Line, News, WITHIN};
pub use long_poll::LONG_POLL;
pub use poll::POLL;
pub use publisher::{Publisher, Stored};
use sosik_lab::{checker::Observed, raw::Torn};
use sosik_transport::Hub;
pub use sse::SSE;
pub use stream::{STREAM, STREAM_BINARY};
pub use tcp::{TCP, TCP_BINARY, hello};
use tokio::task::JoinSet;
pub use transcript::Transcript;
pub use websocket::{WEBSOCKET, WEBSOCKET_BINARY, masked, upgrade};

/// Every carrier of the product: the six transports in all their forms.
pub const ALL: [&dyn Carrier; 9] =
    [&POLL, &LONG_POLL, &STREAM, &STREAM_BINARY, &SSE, &WEBSOCKET, &WEBSOCKET_BINARY, &TCP, &TCP_BINARY];

/// The six transports, each in its first form.
pub const SIX: [&dyn Carrier; 6] = [&POLL, &LONG_POLL, &STREAM, &SSE, &WEBSOCKET, &TCP];

/// A way to reach Sosik.
pub trait Carrier: fmt::Debug + Send + Sync {
    /// Its transport's name, and its form where there are several.
    fn name(&self) -> &'static str;
    /// How it behaves.
    fn manner(&self) -> Manner;
    /// Which of the addresses of a place it goes to.
    fn addr(&self, place: &Place) -> SocketAddr {
        place.http
    }
    /// Starts what the product does not bring along, a dialect's listener; answers where it listens.
    fn listen(&self, _: &Arc<Hub>, _: &mut JoinSet<()>) -> Option<SocketAddr> {
        None
    }
    /// A new conversation; `seed` draws what may be drawn, such as masks.
    fn talk(&self, place: &Place, seed: u64) -> Box<dyn Talk>;
}

/// How a carrier behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// One answer per request, at once or held; sends by its own requests.
    OneShot,
    /// One answer without end; sends by requests beside it.
    Endless,
    /// Frames both ways on one connection.
    TwoWay,
}

/// Where a server, or a proxy before it, is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The HTTP transports.
    pub http: SocketAddr,
    /// The TCP transport.
    pub tcp: SocketAddr,
    /// Where a dialect listens, if one does.
    pub dialect: Option<SocketAddr>,
}

/// One conversation, without its socket.
pub trait Talk: Send {
    /// The bytes that ask for a feed; over one-shot carriers said again for each answer.
    fn ask(&mut self, ask: &Ask) -> Vec<u8>;
    /// What the bytes complete, in their order.
    ///
    /// # Errors
    /// [`Torn`] when they are nothing of this protocol.
    fn read(&mut self, bytes: &[u8]) -> Result<Vec<Heard>, Torn>;
    /// The bytes that carry a frame up; only over two-way carriers.
    fn say(&mut self, frame: &str) -> Vec<u8> {
        unreachable!("{frame} is not said over a one-way carrier")
    }
    /// The bytes that publish `data` (its JSON text) in the conversation; only over two-way carriers.
    fn publish(&mut self, id: u64, channel: &str, data: &str) -> Vec<u8> {
        self.say(&format!(r#"{{"type":"publish","id":{id},"channel":{channel:?},"data":{data}}}"#))
    }
    /// The last bytes of a polite end.
    fn farewell(&mut self) -> Vec<u8> {
        Vec::new()
    }
}

/// What bytes from the server mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// Something was seen.
    Seen(Observed),
    /// A one-shot answer is complete.
    Answered {
        /// Whether asking again at once pays.
        more: bool,
    },
    /// The request was refused with a problem document (RFC 9457).
    Refused(Refusal),
}

/// A refusal, alike over every carrier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The code's name.
    pub code: String,
    /// What people are told.
    pub message: String,
    /// The HTTP status; 0 in frames.
    pub status: u16,
}

impl Refusal {
    /// What an `error` or `goodbye` frame says.
    pub fn of(kind: &str, frame: &str) -> Option<Self> {
        let frame: serde_json::Value = serde_json::from_str(frame).ok()?;
        let text = |key: &str| frame[key].as_str().unwrap_or_default().to_owned();
        match kind {
            "error" => Some(Self { code: text("code"), message: text("message"), status: 0 }),
            "goodbye" => Some(Self { code: text("name"), message: String::new(), status: 0 }),
            _ => None,
        }
    }
}
