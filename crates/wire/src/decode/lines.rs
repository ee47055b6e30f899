//! Lines: JSON over TCP and over the HTTP stream, in either direction.

use bytes::{Buf, Bytes, BytesMut};

use super::{DecodeError, FRAME_BYTES_MAX, json};
use crate::down::Down;

/// Splits a stream into lines at line feeds; a carriage return before one goes with it.
#[derive(Debug)]
pub struct Lines {
    held: BytesMut,
    /// Bytes of `held` that are known to hold no line feed.
    searched: usize,
    most: usize,
    failed: Option<DecodeError>,
}

impl Lines {
    /// Lines of at most [`FRAME_BYTES_MAX`].
    pub fn new() -> Self {
        Self::with_limit(FRAME_BYTES_MAX)
    }

    /// Lines of at most `most` bytes without their end.
    pub fn with_limit(most: usize) -> Self {
        Self { held: BytesMut::new(), searched: 0, most, failed: None }
    }

    #[cfg(test)]
    pub(super) fn held_bytes(&self) -> usize {
        self.held.len()
    }

    #[cfg(test)]
    pub(super) fn held_room(&self) -> usize {
        self.held.capacity()
    }

    /// Takes what came.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.failed.is_none() {
            self.held.extend_from_slice(bytes);
        }
    }

    /// The next line without its end, `None` until more is fed. An empty line is a heartbeat.
    /// Errors: [`DecodeError::TooLarge`], as soon as that much has come without a line feed.
    pub fn next_line(&mut self) -> Result<Option<Bytes>, DecodeError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let end =
            self.held[self.searched..].iter().position(|&byte| byte == b'\n').map(|at| self.searched + at);
        self.searched = end.unwrap_or(self.held.len());
        if self.searched > self.most {
            let error = DecodeError::TooLarge { bytes: self.searched, most: self.most };
            (self.held, self.failed) = (BytesMut::new(), Some(error.clone()));
            return Err(error);
        }
        let Some(end) = end else {
            if self.held.is_empty() {
                // A connection at rest keeps no buffer.
                self.held = BytesMut::new();
            }
            return Ok(None);
        };
        let mut line = self.held.split_to(end).freeze();
        self.held.advance(1);
        self.searched = 0;
        if line.ends_with(b"\r") {
            line.truncate(line.len() - 1);
        }
        Ok(Some(line))
    }

    /// The next frame from a server, `None` until more is fed.
    pub fn next_frame(&mut self) -> Result<Option<Down>, DecodeError> {
        self.next_line()?.map(|line| json(&line)).transpose()
    }
}

impl Default for Lines {
    fn default() -> Self {
        Self::new()
    }
}
