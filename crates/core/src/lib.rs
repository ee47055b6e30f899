//! The rules of Sosik: channels, logs, cursors, readers. No socket, no HTTP, no JSON, no clock.
