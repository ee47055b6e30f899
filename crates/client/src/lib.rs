//! The Rust client: one stream of events over any of six transports.
//!
//! [`Client::follow`] gives the events of a set of channels in order and each once, over disconnects and changes of
//! transport. What to do about events that are gone has to be said when it is called ([`OnGap`]).
//!
//! Inside, each connection is a task of its own (`line.rs`) around a transport (`transports/`), and [`Following`]
//! merges what one or two of them bring: it drops repeats (`dedupe.rs`), fills holes (`heal.rs`) and comes back after
//! an end (`backoff.rs`). Publishing (`publish.rs`, `uplink.rs`) is sent again until it is answered (`retry.rs`), with a key or, where
//! the order matters, with a number (`producer.rs`).

mod backoff;
mod client;
mod dedupe;
mod delivery;
mod error;
mod following;
mod gap;
mod heal;
mod http;
mod line;
mod options;
mod producer;
mod publish;
mod retry;
mod start;
mod target;
mod transports;
mod uplink;

pub use client::{Client, History, HistoryPage};
pub use delivery::{Counts, Delivery, Interruption};
pub use error::{Error, Fault, Refusal};
pub use following::Following;
pub use gap::{GapPolicy, OnGap};
pub use options::{Format, Options, Timers};
pub use producer::{Acknowledgement, CHANNELS_MAX, Producer, WAITING_MAX};
pub use publish::Published;
pub use retry::OnRetry;
pub use sosik_wire::{
    CaughtUp, Code, Data, Down, Durability, EventFrame, GapFrame, GapReason, GoodbyeFrame, PayloadError,
    TransportName as Transport, UnknownTransport, normalise,
};
pub use start::Start;
pub use uplink::Uplink;
