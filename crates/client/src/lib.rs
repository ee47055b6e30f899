//! The Rust client: six transports, resume, dedupe, change of transport.
