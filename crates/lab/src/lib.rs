//! The laboratory: what puts faults between a client and a server, and what judges the outcome.
//!
//! Three rooms that know nothing of each other's insides:
//!
//! - [`proxy`]: a TCP proxy in front of one address whose faults are switched while it runs;
//! - [`raw`]: from the bytes of a connection to what was delivered in them, without the client under test;
//! - [`checker`]: from publishes and deliveries to the promises that were broken, pure and without a clock.

pub mod checker;
pub mod proxy;
pub mod raw;
