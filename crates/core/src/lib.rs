//! The rules of Sosik: channels, logs, cursors, readers.
//!
//! The core answers one question: *what follows this cursor?* It never pushes and keeps no queue per reader: the log is
//! the queue. It knows no socket, no HTTP, no JSON and no clock; time and randomness are arguments.

pub mod cursor;
pub mod error;
pub mod event;
pub mod grant;
pub mod limits;
pub mod name;
pub mod record;
pub mod store;

pub use cursor::{Cursor, Epoch, LogId, Part, Position};
pub use error::Error;
pub use event::{Data, Draft, Event, Gap, GapReason};
pub use grant::{Grant, Verb, Verbs};
pub use name::{ChannelName, Pattern};
