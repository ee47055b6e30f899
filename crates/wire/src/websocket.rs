//! WebSocket (RFC 6455) as a server speaks it: what clients send is read by [`Decoder`]; what servers send is one final,
//! unmasked frame per message, made in `encoding/websocket.rs`.

mod closing;
mod decoder;
mod fault;
mod head;
mod mask;

pub use self::{
    closing::Closing,
    decoder::{Decoder, FRAGMENTS_MAX, Received},
    fault::Fault,
};
pub use crate::encoding::websocket::{BINARY, CLOSE, PING, PONG, TEXT, close, header, message, wrap_binary};

#[cfg(test)]
mod tests;
