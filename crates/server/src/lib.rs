//! Options, the accept loop, composition, metrics, shutdown.
