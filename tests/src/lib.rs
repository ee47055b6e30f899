//! Helpers of the tests that cross crates: where the repository lies, and the clients that are not ours.

pub mod foreign;
pub mod workspace;
