//! Limits of the sockets: unit in the name, default, what they cost. Those of events and frames are `core`'s and `wire`'s.

/// What a connection may take of time and room. The defaults are in [`Limits::default`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most connections at a time, HTTP and TCP together; further ones are told to come back. Default 20,000.
    pub connections_max: u32,
    /// Most connections of one IPv4 address or one IPv6 /64 at a time, and how many new ones it may make at once; 0 for no
    /// limit. Default 256.
    pub connections_per_address_max: u32,
    /// How long it takes until an address that made that many new connections may do so again, milliseconds. Default 4,000:
    /// 64 a second.
    pub address_refill_ms: u64,
    /// How long a new HTTP connection may take to its first byte, milliseconds. Default 10,000.
    pub first_byte_ms: u64,
    /// How long a request's head may take from its first byte to its last, milliseconds. Default 10,000.
    pub head_ms: u64,
    /// How long an HTTP connection may be idle between two requests, milliseconds. Default 75,000.
    pub idle_ms: u64,
    /// How long a peer may take no byte while some wait for it, milliseconds. Default 30,000.
    pub stall_ms: u64,
    /// How long connections may take to end once the server stops, milliseconds. Default 10,000.
    pub drain_ms: u64,
    /// Most headers of a request. Default 100.
    pub headers_max: usize,
    /// Most bytes of a request's head. Default 64 KiB; the read buffer of a connection grows up to that.
    pub head_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 20_000,
            connections_per_address_max: 256,
            address_refill_ms: 4_000,
            first_byte_ms: 10_000,
            head_ms: 10_000,
            idle_ms: 75_000,
            stall_ms: 30_000,
            drain_ms: 10_000,
            headers_max: 100,
            head_bytes_max: 64 * 1024,
        }
    }
}
