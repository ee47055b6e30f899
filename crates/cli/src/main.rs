//! The `sosik` binary: one file per command.
fn main() {}
