//! The client against peers that are played by the test: real sockets, bytes from the product's own encoders.

#![allow(clippy::unwrap_used)]

mod change;
mod gaps;
mod holes;
mod once;
mod peer;
mod producer;
mod publish;
mod reconnect;
mod transports;
