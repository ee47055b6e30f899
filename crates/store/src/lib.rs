//! Where a log lives: one file per engine.

pub mod memory;

pub use memory::Memory;
