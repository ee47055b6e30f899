//! Frames and their encodings, and the one goodbye table: pure functions.
