//! Long-poll.

use super::{Carrier, Manner, Place, Talk, http::Answers, one_shot::OneShot};

/// Long-poll.
pub const LONG_POLL: LongPoll = LongPoll;

/// See [`LONG_POLL`].
#[derive(Debug)]
pub struct LongPoll;

impl Carrier for LongPoll {
    fn name(&self) -> &'static str {
        "long_poll"
    }

    fn manner(&self) -> Manner {
        Manner::OneShot
    }

    fn talk(&self, place: &Place, _: u64) -> Box<dyn Talk> {
        Box::new(OneShot {
            path: "/v1/long-poll",
            host: place.http,
            held: true,
            asked: false,
            answers: Answers::default(),
        })
    }
}
