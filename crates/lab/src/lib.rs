//! The laboratory: fault proxy and history checker.
