//! Server-sent events.

use sosik_lab::raw;

use super::{Carrier, Manner, Place, Talk, endless::Endless};

/// Server-sent events.
pub const SSE: Sse = Sse;

/// See [`SSE`].
#[derive(Debug)]
pub struct Sse;

impl Carrier for Sse {
    fn name(&self) -> &'static str {
        "sse"
    }

    fn manner(&self) -> Manner {
        Manner::Endless
    }

    fn talk(&self, place: &Place, _: u64) -> Box<dyn Talk> {
        Box::new(Endless::<raw::Sse>::new("/v1/sse", "text/event-stream", place.http))
    }
}
