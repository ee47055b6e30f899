//! The HTTP stream, as JSON lines and as length-prefixed frames.

use sosik_lab::raw::JsonLines;

use super::{Carrier, Manner, Place, Talk, binary::Frames, endless::Endless};

/// The HTTP stream of JSON lines.
pub const STREAM: Stream = Stream { binary: false };
/// The HTTP stream of length-prefixed frames.
pub const STREAM_BINARY: Stream = Stream { binary: true };

/// See [`STREAM`] and [`STREAM_BINARY`].
#[derive(Debug)]
pub struct Stream {
    binary: bool,
}

impl Carrier for Stream {
    fn name(&self) -> &'static str {
        if self.binary { "stream.binary" } else { "stream" }
    }

    fn manner(&self) -> Manner {
        Manner::Endless
    }

    fn talk(&self, place: &Place, _: u64) -> Box<dyn Talk> {
        match self.binary {
            true => Box::new(Endless::<Frames>::new(PATH, "application/octet-stream", place.http)),
            false => Box::new(Endless::<JsonLines>::new(PATH, "application/x-ndjson", place.http)),
        }
    }
}

const PATH: &str = "/v1/stream";
