//! What clients send, found in the bytes as they come.

use bytes::{Buf, BytesMut};

use super::{
    CLOSE, Closing, Fault, PING, TEXT,
    head::{CONTINUATION, Head},
    mask::{turned, unmask},
};

/// Splits what a client sends into messages and control frames: unmasked, put together, text proven.
///
/// It holds what was fed last and what has come of a message, at most twice its limit, and takes no memory for what was
/// only announced. Between two messages it holds nothing: a connection at rest costs the 80 bytes of this. After a close or
/// a fault it takes nothing more.
#[derive(Debug)]
pub struct Decoder {
    held: BytesMut,
    /// The message that has begun, unmasked.
    message: Vec<u8>,
    /// Bytes that the data frame at hand still lacks.
    left: u32,
    /// For the next of them.
    mask: [u8; 4],
    /// Most bytes of a message.
    most: u32,
    /// Frames of the message so far; 0 when none has begun.
    fragments: u16,
    /// Bytes at the end of a text that a next one may make a character of: at most 3.
    unproven: u8,
    text: bool,
    /// Whether the data frame at hand is the last of its message.
    last: bool,
    ended: bool,
}

/// One thing from a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// A whole text message.
    Text(String),
    /// A whole binary message.
    Binary(Vec<u8>),
    /// A ping; the pong has the same payload. Of several only the latest has to be answered (RFC 6455 section 5.5.3).
    Ping(Vec<u8>),
    /// A pong.
    Pong(Vec<u8>),
    /// The client has sent its last frame.
    Close(Closing),
}

impl Decoder {
    /// Messages of at most `most` bytes, fragments together; below 4 GiB.
    pub fn with_limit(most: usize) -> Self {
        Self {
            held: BytesMut::new(),
            message: Vec::new(),
            left: 0,
            mask: [0; 4],
            most: u32::try_from(most).unwrap_or(u32::MAX),
            fragments: 0,
            unproven: 0,
            text: false,
            last: false,
            ended: false,
        }
    }

    /// Takes what came.
    pub fn feed(&mut self, bytes: &[u8]) {
        if !self.ended {
            self.held.extend_from_slice(bytes);
        }
    }

    /// The next thing in what was fed, `None` until more is fed.
    /// Errors: [`Fault`], at the first byte that no other can make good; then, as after a close, `None` for ever.
    pub fn next_received(&mut self) -> Result<Option<Received>, Fault> {
        let next = self.advance();
        self.ended |= matches!(next, Err(_) | Ok(Some(Received::Close(_))));
        if self.ended {
            self.message = Vec::new();
        }
        if self.ended || self.held.is_empty() {
            self.held = BytesMut::new();
        }
        next
    }

    /// Heap that it holds, bytes.
    #[cfg(test)]
    pub(super) fn heap_bytes(&self) -> usize {
        self.held.capacity() + self.message.capacity()
    }

    fn advance(&mut self) -> Result<Option<Received>, Fault> {
        loop {
            if self.left == 0 {
                let head = Head::parse(&self.held, self.fragments > 0)?;
                let Some(head) = head else { return Ok(None) };
                if head.is_control() {
                    return self.control(head);
                }
                self.begin(head)?;
            }
            self.take()?;
            if self.left > 0 {
                return Ok(None);
            }
            if self.last {
                return self.finish().map(Some);
            }
        }
    }

    /// A control frame, once it is whole.
    fn control(&mut self, head: Head) -> Result<Option<Received>, Fault> {
        let end = head.bytes + head.length as usize;
        let Some(payload) = self.held.get(head.bytes..end) else { return Ok(None) };
        let mut payload = payload.to_vec();
        unmask(&mut payload, head.mask);
        self.held.advance(end);
        Ok(Some(match head.opcode {
            CLOSE => Received::Close(Closing::parse(&payload)?),
            PING => Received::Ping(payload),
            _ => Received::Pong(payload),
        }))
    }

    /// A data frame begins: its payload may still be to come.
    fn begin(&mut self, head: Head) -> Result<(), Fault> {
        if head.length > u64::from(self.most) - self.message.len() as u64 {
            return Err(Fault::TooLarge { most: self.most });
        }
        if self.fragments == FRAGMENTS_MAX {
            return Err(Fault::TooManyFragments);
        }
        self.fragments += 1;
        if head.opcode != CONTINUATION {
            self.text = head.opcode == TEXT;
        }
        (self.left, self.mask, self.last) = (head.length as u32, head.mask, head.last);
        self.held.advance(head.bytes);
        Ok(())
    }

    /// Moves what has come of the payload into the message.
    fn take(&mut self) -> Result<(), Fault> {
        let count = self.held.len().min(self.left as usize);
        let start = self.message.len();
        match start {
            0 => self.message = self.held[..count].to_vec(),
            _ => self.message.extend_from_slice(&self.held[..count]),
        }
        unmask(&mut self.message[start..], self.mask);
        self.held.advance(count);
        self.left -= count as u32;
        self.mask = turned(self.mask, count);
        // A text that came in one piece is proven as a whole, once.
        let whole = start == 0 && self.left == 0 && self.last;
        if self.text && !whole { self.prove(start) } else { Ok(()) }
    }

    /// Looks at the text from `start` on, and at what was left open before it.
    fn prove(&mut self, start: usize) -> Result<(), Fault> {
        let from = start - usize::from(self.unproven);
        self.unproven = match std::str::from_utf8(&self.message[from..]) {
            Ok(_) => 0,
            Err(error) if error.error_len().is_some() => return Err(Fault::NotUtf8),
            Err(error) => (self.message.len() - from - error.valid_up_to()) as u8,
        };
        Ok(())
    }

    fn finish(&mut self) -> Result<Received, Fault> {
        self.fragments = 0;
        let message = std::mem::take(&mut self.message);
        if self.text {
            String::from_utf8(message).map(Received::Text).map_err(|_| Fault::NotUtf8)
        } else {
            Ok(Received::Binary(message))
        }
    }
}

/// Most fragments of a message: a client that sends empty ones for ever costs only time, and is told to stop.
pub const FRAGMENTS_MAX: u16 = 1_024;
