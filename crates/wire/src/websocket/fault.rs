//! What a client can break, and how its connection is failed for it.

use bytes::{BufMut, Bytes, BytesMut};

use super::{CLOSE, message};

/// What a client has broken. The connection is to be failed (RFC 6455 section 7.1.7): [`Fault::close`] is the last frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// Section 5.2: an opcode that nothing was agreed on for.
    #[error("opcode 0x{0:X} is reserved")]
    Opcode(u8),
    /// Section 5.1: a frame without a mask.
    #[error("frames of a client must be masked")]
    Unmasked,
    /// Section 5.2: a reserved bit, and no extension was agreed on.
    #[error("reserved bits are set and no extension was negotiated")]
    ReservedBits,
    /// Section 5.5: a control frame that is not final.
    #[error("a control frame must not be fragmented")]
    FragmentedControl,
    /// Section 5.5: a control frame of more than 125 bytes.
    #[error("a control frame has at most 125 bytes")]
    LongControl,
    /// Section 5.4: a message that begins before the one before it has ended.
    #[error("a message began inside another; its next fragment is a continuation")]
    Interrupted,
    /// Section 5.4: a continuation, and no message has begun.
    #[error("a continuation came and no message had begun")]
    Unbegun,
    /// Section 5.2: a length in more bytes than it needs, or of more than 63 bits.
    #[error("a length must be written in the fewest bytes")]
    Length,
    /// Section 5.5.1: a close of one byte, which is half a code.
    #[error("a close has no payload, or a code of two bytes first")]
    CloseLength,
    /// Section 7.4: a close with a code that nobody may send.
    #[error("close code {0} must not be sent")]
    CloseCode(u16),
    /// Section 8.1: text, or the reason of a close, that is not UTF-8.
    #[error("not UTF-8")]
    NotUtf8,
    /// A message above the decoder's limit; found before its bytes have come.
    #[error("a message has at most {most} bytes")]
    TooLarge {
        /// The limit, bytes.
        most: u32,
    },
    /// A message of more than [`FRAGMENTS_MAX`](super::FRAGMENTS_MAX) fragments.
    #[error("a message has at most 1024 fragments")]
    TooManyFragments,
}

impl Fault {
    /// The status code for it: 1002, 1007 or 1009 (section 7.4.1).
    pub const fn code(self) -> u16 {
        match self {
            Self::NotUtf8 => 1007,
            Self::TooLarge { .. } | Self::TooManyFragments => 1009,
            _ => 1002,
        }
    }

    /// The close frame that says it: the code, and the fault in words.
    pub fn close(self) -> Bytes {
        let mut payload = BytesMut::with_capacity(CLOSE_BYTES);
        payload.put_u16(self.code());
        payload.put_slice(self.to_string().as_bytes());
        message(CLOSE, &payload)
    }
}

/// What the longest of the texts above needs.
const CLOSE_BYTES: usize = 80;
