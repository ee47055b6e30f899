//! Frames of the protocol, out of the messages of a WebSocket.

use sosik_wire::{
    BODY_BYTES_MAX, Goodbye, GoodbyeFrame,
    decode::{Binary, json_body},
    websocket::{self, Decoder},
};

use super::hear::{Heard, hear};
use crate::{
    duplex::{Codec, Inbound},
    form::{Form, Pieces},
    http::bad,
};

/// What a client says after the handshake.
pub(super) struct Messages {
    decoder: Decoder,
    /// What the binary messages hold, when they were agreed on.
    frames: Option<Box<Binary>>,
}

impl Messages {
    pub(super) fn new(form: Form) -> Self {
        let frames = (form == Form::Message).then(|| Box::new(Binary::with_limit(BODY_BYTES_MAX)));
        Self { decoder: Decoder::with_limit(BODY_BYTES_MAX), frames }
    }

    /// The next frame of the binary messages that came.
    fn frame(&mut self) -> Option<Inbound> {
        let frames = self.frames.as_mut()?;
        loop {
            let body = match frames.next_body() {
                Ok(body) => body?,
                Err(_) => return Some(Inbound::Fatal(Goodbye::TooLarge)),
            };
            match json_body(&body) {
                Ok(Some(text)) => return Some(Inbound::Frame(text.to_owned())),
                Ok(None) => {}
                Err(error) => return Some(Inbound::Bad(bad(&error.to_string()))),
            }
        }
    }
}

impl Codec for Messages {
    fn feed(&mut self, bytes: &[u8]) {
        self.decoder.feed(bytes);
    }

    fn next(&mut self, control: &mut Vec<Pieces>) -> Option<Inbound> {
        loop {
            if let Some(inbound) = self.frame() {
                return Some(inbound);
            }
            return Some(match hear(&mut self.decoder, control)? {
                Heard::Text(text) => Inbound::Frame(text),
                Heard::Binary(bytes) => match &mut self.frames {
                    Some(frames) => {
                        frames.feed(&bytes);
                        continue;
                    }
                    None => Inbound::Bad(bad("binary messages need the subprotocol sosik.v1.bin")),
                },
                Heard::Closed => Inbound::Closed,
                // A limit of ours: our goodbye says the same, and clients know it.
                Heard::Broken(fault) if fault.code() == TOO_BIG => Inbound::Fatal(Goodbye::TooLarge),
                Heard::Broken(fault) => {
                    control.push(Pieces::from_iter([fault.close()]));
                    Inbound::Closed
                }
            });
        }
    }

    fn close(&self, goodbye: &GoodbyeFrame) -> Pieces {
        let known = Goodbye::from_number(goodbye.code).unwrap_or(Goodbye::Internal);
        Pieces::from_iter([websocket::close(known, &goodbye.name)])
    }

    fn listens_after_end(&self) -> bool {
        false
    }
}

/// RFC 6455 section 7.4.1.
const TOO_BIG: u16 = 1009;
