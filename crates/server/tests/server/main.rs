//! The server through its front door: real sockets on port 0, bytes as they stand in the standards.

#![allow(clippy::unwrap_used)]

mod addresses;
mod door;
mod guard;
mod health;
mod limits;
mod options;
mod paths;
mod short;
mod shutdown;
