//! The head of a frame: what comes before its payload (RFC 6455 section 5.2).

use super::{BINARY, CLOSE, Fault, PING, PONG, TEXT};

/// A head that broke no rule.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    /// Whether it is the last frame of its message.
    pub(super) last: bool,
    /// 0 (a continuation), or one of the five.
    pub(super) opcode: u8,
    /// Of the payload.
    pub(super) length: u64,
    pub(super) mask: [u8; 4],
    /// Of the head itself.
    pub(super) bytes: usize,
}

impl Head {
    /// Reads the head at the start of `bytes`, `None` until all of it has come. `open` says whether a message has begun.
    /// Errors: what it breaks, as soon as that can be seen.
    pub(super) fn parse(bytes: &[u8], open: bool) -> Result<Option<Self>, Fault> {
        let [first, second, rest @ ..] = bytes else { return Ok(None) };
        let (last, opcode) = (first & FIN != 0, first & OPCODE);
        let short = second & LENGTH;
        match opcode {
            CONTINUATION | TEXT | BINARY | CLOSE | PING | PONG => {}
            opcode => return Err(Fault::Opcode(opcode)),
        }
        if second & MASKED == 0 {
            return Err(Fault::Unmasked);
        }
        if first & RESERVED != 0 {
            return Err(Fault::ReservedBits);
        }
        match opcode {
            CLOSE.. if !last => return Err(Fault::FragmentedControl),
            CLOSE.. if short > CONTROL_BYTES_MAX => return Err(Fault::LongControl),
            CONTINUATION if !open => return Err(Fault::Unbegun),
            TEXT | BINARY if open => return Err(Fault::Interrupted),
            _ => {}
        }
        let (length, rest) = match short {
            126 => match rest.split_first_chunk() {
                Some((length, rest)) => (u64::from(u16::from_be_bytes(*length)), rest),
                None => return Ok(None),
            },
            127 => match rest.split_first_chunk() {
                Some((length, rest)) => (u64::from_be_bytes(*length), rest),
                None => return Ok(None),
            },
            short => (u64::from(short), rest),
        };
        let least = match short {
            126 => 126,
            127 => 0x1_0000,
            _ => 0,
        };
        if !(least..=i64::MAX as u64).contains(&length) {
            return Err(Fault::Length);
        }
        let mask = rest.first_chunk();
        let bytes = bytes.len() - rest.len() + MASK_BYTES;
        Ok(mask.map(|&mask| Self { last, opcode, length, mask, bytes }))
    }

    /// Whether it is a close, a ping or a pong.
    pub(super) fn is_control(&self) -> bool {
        self.opcode >= CLOSE
    }
}

/// The opcode of all fragments of a message but the first.
pub(super) const CONTINUATION: u8 = 0x0;
const FIN: u8 = 0x80;
const RESERVED: u8 = 0x70;
const OPCODE: u8 = 0x0f;
const MASKED: u8 = 0x80;
const LENGTH: u8 = 0x7f;
const MASK_BYTES: usize = 4;
const CONTROL_BYTES_MAX: u8 = 125;
