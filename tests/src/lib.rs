//! Helpers of the tests that cross crates: where the repository lies, a server to try, and the clients that are not ours.

pub mod foreign;
pub mod process;
pub mod scratch;
pub mod server;
pub mod small_disk;
pub mod sosik;
pub mod strace;
pub mod workspace;
