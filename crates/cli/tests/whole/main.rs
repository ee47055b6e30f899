//! The binary as people run it, and its server under the client.

#![allow(clippy::unwrap_used)]

mod changes;
mod commands;
mod damaged;
mod health;
mod operators;
mod publishes;
mod server;
