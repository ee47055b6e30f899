//! The pump and the six transports.
