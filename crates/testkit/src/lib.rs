//! Suites that every store and every transport must pass; development only.

pub mod faulty;
pub mod seed;
pub mod store_suite;
