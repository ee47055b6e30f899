//! Interval poll.

use super::{Carrier, Manner, Place, Talk, http::Answers, one_shot::OneShot};

/// Interval poll.
pub const POLL: Poll = Poll;

/// See [`POLL`].
#[derive(Debug)]
pub struct Poll;

impl Carrier for Poll {
    fn name(&self) -> &'static str {
        "poll"
    }

    fn manner(&self) -> Manner {
        Manner::OneShot
    }

    fn talk(&self, place: &Place, _: u64) -> Box<dyn Talk> {
        Box::new(OneShot {
            path: "/v1/poll",
            host: place.http,
            held: false,
            asked: false,
            answers: Answers::default(),
        })
    }
}
