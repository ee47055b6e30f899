//! Where a log lives: one file per engine.
