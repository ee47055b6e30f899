//! The load: raw sockets, one thread that receives and one that publishes, no runtime and no JSON between them and the figures.
//!
//! Every event carries a [`Marker`] of fixed width. The receiving side finds it by its bytes, whatever transport is around it,
//! and counts per connection what is lost, repeated and out of order.

pub(crate) mod answers;
pub(crate) mod ask;
pub(crate) mod asker;
pub(crate) mod carrier;
pub(crate) mod clock;
pub(crate) mod connection;
pub(crate) mod crowd;
pub(crate) mod latency;
pub(crate) mod marker;
pub(crate) mod progress;
pub(crate) mod publish;
pub(crate) mod receive;
pub(crate) mod seen;

pub(crate) use self::{
    ask::{Asked, ask_all},
    asker::Asker,
    carrier::Carrier,
    crowd::{Crowd, Plan},
    latency::Latencies,
    marker::Marker,
    publish::{Pace, Publisher},
    seen::Tally,
};
