//! What a close says, and how it is answered.

use bytes::Bytes;

use super::{CLOSE, Fault, message};

/// The close of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closing {
    /// Why, as a number (RFC 6455 section 7.4); `None` when it says nothing, which APIs show as 1005.
    pub code: Option<u16>,
    /// Why, in words; often empty.
    pub reason: String,
}

impl Closing {
    /// Reads the payload of a close frame. Errors: half a code, a reason that is not UTF-8, a code that nobody may send.
    pub(super) fn parse(payload: &[u8]) -> Result<Self, Fault> {
        let Some((code, reason)) = payload.split_first_chunk() else {
            let silent = Self { code: None, reason: String::new() };
            return if payload.is_empty() { Ok(silent) } else { Err(Fault::CloseLength) };
        };
        let code = u16::from_be_bytes(*code);
        let reason = std::str::from_utf8(reason).map_err(|_| Fault::NotUtf8)?;
        if !may_be_sent(code) {
            return Err(Fault::CloseCode(code));
        }
        Ok(Self { code: Some(code), reason: reason.to_owned() })
    }

    /// The close frame that answers it: the same code, as section 5.5.1 has it.
    pub fn answer(&self) -> Bytes {
        match self.code {
            Some(code) => message(CLOSE, &code.to_be_bytes()),
            None => message(CLOSE, &[]),
        }
    }
}

/// Sections 7.4.1 and 7.4.2, and what was registered since (1012 to 1014). 1004 was never defined; 1005, 1006 and 1015 are
/// what APIs say where nothing was sent.
fn may_be_sent(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}
