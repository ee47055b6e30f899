//! Why the server did not start, or stopped.

use std::{io, net::SocketAddr};

use sosik_store::disk::OpenError;

use crate::origin::NotAnOrigin;

/// Options that cannot be used. Each text names the option, what was written, and what to write instead.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OptionsError {
    /// The configuration file cannot be read.
    #[error("cannot read {path}: {error}; name another file with --config")]
    Unreadable {
        /// The file.
        path: String,
        /// What the system said.
        error: io::Error,
    },
    /// The configuration file is no TOML, or a value has the wrong form.
    #[error("in {path}: {error}")]
    Syntax {
        /// The file.
        path: String,
        /// Where and what.
        error: toml::de::Error,
    },
    /// A key that no option has.
    #[error("{path} line {line}: unknown key {key}{}; known keys: {known}",
        nearest.as_ref().map(|near| format!(", did you mean {near}?")).unwrap_or_default())]
    UnknownKey {
        /// The file.
        path: String,
        /// Its line, from 1.
        line: usize,
        /// The key as written, behind the table it stands in.
        key: String,
        /// A known key that is like it.
        nearest: Option<String>,
        /// All keys that may stand there.
        known: String,
    },
    /// An environment variable of the wrong form.
    #[error("{name}={value:?}: the variable must hold {want}")]
    Variable {
        /// The variable.
        name: &'static str,
        /// What it holds.
        value: String,
        /// What it should hold.
        want: &'static str,
    },
    /// A value that does not fit its option.
    #[error("{option} = {value:?}: {want}")]
    Value {
        /// The option's key.
        option: &'static str,
        /// What was written.
        value: String,
        /// What to write.
        want: String,
    },
    /// A public URL or an allowed origin that is none.
    #[error("{option} = {value:?}: {error}")]
    Origin {
        /// The option's key.
        option: &'static str,
        /// What was written.
        value: String,
        /// What to write.
        error: NotAnOrigin,
    },
    /// A namespace that cannot be as it is declared.
    #[error("namespace {name:?}: {fault}")]
    Namespace {
        /// Its name as written.
        name: String,
        /// What is wrong, and what to do.
        fault: String,
    },
    /// The demo on an address that others can reach.
    #[error(
        "--demo lets anyone read and publish, so it needs loopback addresses, but {option} = {addr}; \
         use 127.0.0.1, or leave --demo out and declare the namespaces in sosik.toml"
    )]
    DemoBeyondLoopback {
        /// The listener's option.
        option: &'static str,
        /// Its address.
        addr: SocketAddr,
    },
    /// The laboratory on an address that others can reach.
    #[error(
        "--lab sends back 16 MiB to anyone who sends it, so it needs a loopback address, but listen = {addr}; \
         use 127.0.0.1, or leave --lab out"
    )]
    LabBeyondLoopback {
        /// The address.
        addr: SocketAddr,
    },
}

/// Why the server could not start, or had to stop.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// Options that cannot be used.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// An address that cannot be listened on.
    #[error("cannot listen on {option} = {addr}: {error}; is another server running? choose another address")]
    Listen {
        /// The listener's option.
        option: &'static str,
        /// Its address.
        addr: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
    /// A data directory that cannot be used. Another start does not help before somebody has looked at it.
    #[error("the data directory {error}{}", advice(.error))]
    Data {
        /// What was found there.
        #[from]
        error: OpenError,
    },
    /// A store that did not open.
    #[error("cannot open the store: {0}")]
    Store(#[from] sosik_core::store::StoreError),
    /// The system gave no random bits.
    #[error("the system gives no random bits: {0}")]
    Random(#[from] getrandom::Error),
    /// The system does not deliver signals, or standard output is closed.
    #[error("{0}")]
    System(#[from] io::Error),
    /// A part that must never end has ended; the rest is of no use without it.
    #[error("{0}, a fault of the server, which cannot go on without it")]
    Broken(String),
    /// A second signal came before the connections had ended.
    #[error("stopped at once by a second signal")]
    Interrupted,
}

/// What the store, which knows no options, cannot say.
fn advice(error: &OpenError) -> &'static str {
    match error {
        OpenError::InUse(_) | OpenError::Foreign(_) => " with --data or SOSIK_DATA",
        _ => "",
    }
}
