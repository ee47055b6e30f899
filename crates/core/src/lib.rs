//! The rules of Sosik: channels, logs, cursors, readers.
//!
//! The core answers one question: *what follows this cursor?* It never pushes and keeps no queue per reader: the log is
//! the queue. It knows no socket, no HTTP, no JSON and no clock; time and randomness are arguments.

mod aging;
mod append;
mod capacity;
mod channel;
pub mod cursor;
pub mod error;
pub mod event;
mod fetch;
pub mod figures;
pub mod grant;
mod half;
pub mod herald;
pub mod history;
mod idle;
mod life;
pub mod limits;
mod log;
mod member;
pub mod name;
mod newest;
mod node;
mod oldest;
pub mod once;
mod operations;
mod page;
mod question;
pub mod reader;
mod reads;
pub mod record;
mod removal;
mod retention;
mod space;
mod start;
mod steady;
pub mod store;

pub use append::Published;
pub use capacity::{Capacity, Full};
pub use cursor::{Cursor, Epoch, LogId, Part, Position};
pub use error::Error;
pub use event::{Data, Draft, Event, Gap, GapReason};
pub use grant::{Grant, Verb, Verbs};
pub use herald::{Herald, WatchId};
pub use history::{History, Side};
pub use log::{Log, LogFigures};
pub use name::{ChannelName, Pattern};
pub use node::{Node, NodeOptions};
pub use once::{Key, Once, Producer, Publish};
pub use operations::{Cut, Removed};
pub use page::{Budget, Item, Page, What};
pub use question::{Asked, Moment, Question};
pub use reader::{Joined, Look, Reader};
pub use space::Namespace;
pub use start::Start;
pub use store::Store;
