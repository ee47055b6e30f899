//! What an application does about events that are gone. It has to say.

use std::fmt;

use sosik_wire::GapFrame;

/// What to do about a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GapPolicy {
    /// Deliver it in its place, as [`crate::Delivery::Gap`].
    Tell,
    /// Go on as if nothing were missing: for applications to whom only what comes matters, and for closures that have
    /// dealt with it.
    Skip,
    /// End with [`crate::Error::Gap`].
    Stop,
}

/// Asked at each gap, in its place in the order: after the events before it and before those after it.
///
/// A [`GapPolicy`] is one, and so is a closure that looks at the gap and answers with a policy.
pub trait OnGap: Send {
    /// What to do about `gap`.
    fn on_gap(&mut self, gap: &GapFrame) -> GapPolicy;
}

impl OnGap for GapPolicy {
    fn on_gap(&mut self, _: &GapFrame) -> GapPolicy {
        *self
    }
}

impl<F: FnMut(&GapFrame) -> GapPolicy + Send> OnGap for F {
    fn on_gap(&mut self, gap: &GapFrame) -> GapPolicy {
        self(gap)
    }
}

impl fmt::Debug for dyn OnGap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnGap")
    }
}
