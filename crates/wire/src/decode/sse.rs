//! Server-sent events as a browser reads them (WHATWG HTML, sections 9.2.5 and 9.2.6).

use bytes::{Buf, BytesMut};

use super::{DecodeError, FRAME_BYTES_MAX, checked, object};
use crate::down::Down;

/// Reads an event stream. Lines end in CR, LF or both; a byte order mark at the start is skipped; what is not UTF-8
/// becomes U+FFFD. The cursor of a frame is the last `id:`.
#[derive(Debug)]
pub struct Sse {
    held: BytesMut,
    /// Bytes of `held` that are known to hold no line end.
    searched: usize,
    /// Whether a line feed that comes now belongs to the carriage return before it.
    after_return: bool,
    first_line: bool,
    data: String,
    last_id: String,
    retry_ms: Option<u64>,
    most: usize,
    failed: Option<DecodeError>,
}

impl Sse {
    /// Messages of at most [`FRAME_BYTES_MAX`].
    pub fn new() -> Self {
        Self::with_limit(FRAME_BYTES_MAX)
    }

    /// Lines and messages of at most `most` bytes.
    pub fn with_limit(most: usize) -> Self {
        Self {
            held: BytesMut::new(),
            searched: 0,
            after_return: false,
            first_line: true,
            data: String::new(),
            last_id: String::new(),
            retry_ms: None,
            most,
            failed: None,
        }
    }

    #[cfg(test)]
    pub(super) fn held_bytes(&self) -> usize {
        self.held.len() + self.data.len()
    }

    /// Takes what came.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.failed.is_none() {
            self.held.extend_from_slice(bytes);
        }
    }

    /// The next frame from a server, `None` until more is fed. A comment is a heartbeat.
    pub fn next_frame(&mut self) -> Result<Option<Down>, DecodeError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let next = self.next_message();
        if let Err(error) = &next {
            (self.held, self.data, self.failed) = (BytesMut::new(), String::new(), Some(error.clone()));
        }
        next
    }

    /// The last `id:`, empty before the first: what a browser would send as `Last-Event-ID`.
    pub fn last_id(&self) -> &str {
        &self.last_id
    }

    /// The last `retry:`, milliseconds.
    pub fn retry_ms(&self) -> Option<u64> {
        self.retry_ms
    }

    fn next_message(&mut self) -> Result<Option<Down>, DecodeError> {
        while let Some(line) = self.next_line()? {
            if line.is_empty() {
                if let Some(down) = self.dispatch()? {
                    return Ok(Some(down));
                }
            } else if line.starts_with(':') {
                return Ok(Some(Down::Heartbeat));
            } else {
                self.field(&line)?;
            }
        }
        Ok(None)
    }

    fn next_line(&mut self) -> Result<Option<String>, DecodeError> {
        if self.after_return && !self.held.is_empty() {
            if self.held[0] == b'\n' {
                self.held.advance(1);
            }
            self.after_return = false;
        }
        let rest = &self.held[self.searched..];
        let end = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')).map(|at| self.searched + at);
        self.searched = end.unwrap_or(self.held.len());
        if self.searched > self.most {
            return Err(DecodeError::TooLarge { bytes: self.searched, most: self.most });
        }
        let Some(end) = end else { return Ok(None) };
        let line = self.held.split_to(end);
        self.after_return = self.held[0] == b'\r';
        self.held.advance(1);
        self.searched = 0;
        let text = if std::mem::take(&mut self.first_line) {
            line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&line)
        } else {
            &line
        };
        Ok(Some(String::from_utf8_lossy(text).into_owned()))
    }

    /// One `name: value` line. The message's own name is not needed: its JSON says its type.
    fn field(&mut self, line: &str) -> Result<(), DecodeError> {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "data" => {
                let bytes = self.data.len() + value.len();
                if bytes > self.most {
                    return Err(DecodeError::TooLarge { bytes, most: self.most });
                }
                self.data.push_str(value);
                self.data.push('\n');
            }
            "id" if !value.contains('\0') => value.clone_into(&mut self.last_id),
            "retry" if value.bytes().all(|byte| byte.is_ascii_digit()) => {
                self.retry_ms = value.parse().ok().or(self.retry_ms);
            }
            _ => {}
        }
        Ok(())
    }

    /// The end of a message; one without data is none.
    fn dispatch(&mut self) -> Result<Option<Down>, DecodeError> {
        let data = std::mem::take(&mut self.data);
        if data.is_empty() {
            return Ok(None);
        }
        let mut down = object(data.as_bytes())?;
        if !self.last_id.is_empty() {
            down.put_cursor(&self.last_id);
        }
        checked(down).map(Some)
    }
}

impl Default for Sse {
    fn default() -> Self {
        Self::new()
    }
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
