//! Suites that every store and every transport must pass; development only.

pub mod carriers;
pub mod faulty;
pub mod scratch;
pub mod seed;
pub mod store_suite;
pub mod toy;
pub mod transport_suite;

pub use scratch::Scratch;
pub use sosik_store::{Disk, Memory};
