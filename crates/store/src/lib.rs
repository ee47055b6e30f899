//! Where a log lives: one file per engine, and what several engines need in `held`.

pub mod disk;
mod held;
pub mod memory;

pub use disk::Disk;
pub use memory::Memory;
