//! Every option of `sosik serve`, each defined once: flag, variable, file key, value, default, help.
//!
//! One struct is all three layers: the command line fills it by clap, the environment by [`ServeArgs::from_env`], the
//! file by serde. What they say together is looked at in `checked.rs`; here everything is still text.

use std::ffi::OsString;

use serde::Deserialize;

use crate::{error::OptionsError, file::NamespaceTable};

/// One row per option: help, key (`tcp_listen` is also `--tcp-listen`), kind, variable, value, default.
macro_rules! options {
    ($($(#[doc = $help:literal])+ $key:ident: $kind:ty, $env:literal, $value:literal, $default:literal
        $(, $arg:ident = $set:expr)*;)*) => {
        /// What was typed: the options of `sosik serve`, from one source or from several laid over each other.
        #[allow(rustdoc::bare_urls, reason = "the text is also the help of the command line")]
        #[derive(Debug, Clone, Default, clap::Args, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct ServeArgs {
            $(
                $(#[doc = $help])+
                #[arg(
                    long,
                    value_name = $value,
                    help = concat!($($help,)+ " [env: ", $env, "] [default: ", $default, "]").trim_start(),
                    $($arg = $set,)*
                )]
                pub $key: $kind,
            )*
            /// The namespaces that exist. Only in the file: `[[namespace]]`.
            #[arg(skip)]
            pub namespace: Vec<NamespaceTable>,
        }

        impl ServeArgs {
            /// Every option, in the order of the help.
            pub const ALL: &'static [OptionInfo] = &[$(OptionInfo {
                key: stringify!($key),
                env: $env,
                value: $value,
                default: $default,
                help: concat!($($help),+),
            }),*];

            /// What the environment says; `variable` looks one up. An empty variable says nothing.
            pub fn from_env(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, OptionsError> {
                Ok(Self { $($key: read($env, variable($env))?,)* namespace: Vec::new() })
            }

            /// What `self` leaves unsaid is taken from `lower`. A list is taken whole.
            pub fn over(self, lower: Self) -> Self {
                Self {
                    $($key: self.$key.or_lower(lower.$key),)*
                    namespace: if self.namespace.is_empty() { lower.namespace } else { self.namespace },
                }
            }
        }
    };
}

options! {
    /// Address of the HTTP server, IP:PORT; port 0 takes a free one.
    listen: Option<String>, "SOSIK_LISTEN", "ADDR", "127.0.0.1:7171";
    /// Address of the TCP transport, IP:PORT, or off.
    tcp_listen: Option<String>, "SOSIK_TCP_LISTEN", "ADDR", "127.0.0.1:7172";
    /// Directory of the durable log, made when it is missing. One server at a time uses it.
    data: Option<String>, "SOSIK_DATA", "DIR", "sosik-data";
    /// Where events live: disk, synced before they are acknowledged; or memory, gone when the server stops.
    store: Option<String>, "SOSIK_STORE", "NAME", "disk";
    /// Bytes of the disk that events leave free, so that it does not fill up: publishes are refused before. 0 to leave none.
    disk_reserve_bytes: Option<u64>, "SOSIK_DISK_RESERVE_BYTES", "N", "268435456";
    /// Bytes that the durable log may hold, 8 MiB to 1 PiB: records, and 160 bytes for each event. With --store memory a
    /// tenth of the default.
    store_bytes_max: Option<u64>, "SOSIK_STORE_BYTES_MAX", "N", "10737418240";
    /// What happens when it holds that much: refuse publishes until room is made, or trim the oldest events of all channels.
    full: Option<String>, "SOSIK_FULL", "NAME", "refuse";
    /// Bytes that the log in memory may hold, 8 MiB to 1 PiB, counted alike; then its oldest events are trimmed.
    memory_bytes_max: Option<u64>, "SOSIK_MEMORY_BYTES_MAX", "N", "1073741824";
    /// Configuration file, and the only place of namespaces. The default file may be missing.
    config: Option<String>, "SOSIK_CONFIG", "FILE", "sosik.toml";
    /// Address that people use, such as https://chat.example: allowed as Host and as Origin. Repeatable; the first one
    /// is printed.
    public_url: Vec<String>, "SOSIK_PUBLIC_URL", "URL", "http://localhost:PORT";
    /// Origin whose pages may use this server from elsewhere, such as https://app.example. Repeatable.
    allow_origin: Vec<String>, "SOSIK_ALLOW_ORIGIN", "ORIGIN", "none";
    /// Open the namespace demo to anyone and serve the demo page. Only on loopback addresses.
    demo: Option<bool>, "SOSIK_DEMO", "BOOL", "false",
        num_args = 0..=1, require_equals = true, default_missing_value = "true";
    /// Serve /lab/echo, a WebSocket that sends everything back, for conformance suites. Only on loopback addresses.
    lab: Option<bool>, "SOSIK_LAB", "BOOL", "false",
        num_args = 0..=1, require_equals = true, default_missing_value = "true";
    /// Most connections at a time, HTTP and TCP together, 1 to 1,000,000; each takes a file descriptor and 1 to 20 KiB.
    connections_max: Option<u32>, "SOSIK_CONNECTIONS_MAX", "N", "20000";
    /// Most connections of one address at a time, to 1,000,000; an IPv6 /64 is one. As many new ones at once, then a
    /// quarter of that each second. 0 for no limit: behind a proxy, which is one address.
    connections_per_address_max: Option<u32>, "SOSIK_CONNECTIONS_PER_ADDRESS_MAX", "N", "256";
    /// Bytes of memory of this process from which on new readers are refused; publishes and those who read go on. 0 for no
    /// ceiling.
    process_bytes_max: Option<u64>, "SOSIK_PROCESS_BYTES_MAX", "N", "80 % of the machine or its control group";
}

/// One option, for help, documents and tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OptionInfo {
    /// Its key in `sosik.toml`; with `-` for `_` and `--` before it, its flag.
    pub key: &'static str,
    /// Its environment variable.
    pub env: &'static str,
    /// What stands for its value in the help.
    pub value: &'static str,
    /// What holds when nobody says anything.
    pub default: &'static str,
    /// What it does, with unit and range.
    pub help: &'static str,
}

fn read<T: Kind>(name: &'static str, value: Option<OsString>) -> Result<T, OptionsError> {
    let Some(value) = value.filter(|value| !value.is_empty()) else { return Ok(T::default()) };
    let read = value.to_str().and_then(|text| T::from_variable(text.trim()));
    read.ok_or_else(|| OptionsError::Variable { name, value: value.to_string_lossy().into(), want: T::WANT })
}

/// One kind of value: how it is written in a variable, and how two layers lie over each other.
trait Kind: Default {
    /// What a variable must hold.
    const WANT: &'static str;
    fn from_variable(text: &str) -> Option<Self>;
    fn or_lower(self, lower: Self) -> Self;
}

impl Kind for Option<String> {
    const WANT: &'static str = "UTF-8 text";
    fn from_variable(text: &str) -> Option<Self> {
        Some(Some(text.into()))
    }
    fn or_lower(self, lower: Self) -> Self {
        self.or(lower)
    }
}

impl Kind for Option<bool> {
    const WANT: &'static str = "true or false";
    fn from_variable(text: &str) -> Option<Self> {
        match text {
            "true" | "1" => Some(Some(true)),
            "false" | "0" => Some(Some(false)),
            _ => None,
        }
    }
    fn or_lower(self, lower: Self) -> Self {
        self.or(lower)
    }
}

impl Kind for Option<u32> {
    const WANT: &'static str = "a whole number";
    fn from_variable(text: &str) -> Option<Self> {
        text.parse().ok().map(Some)
    }
    fn or_lower(self, lower: Self) -> Self {
        self.or(lower)
    }
}

impl Kind for Option<u64> {
    const WANT: &'static str = "a whole number";
    fn from_variable(text: &str) -> Option<Self> {
        text.parse().ok().map(Some)
    }
    fn or_lower(self, lower: Self) -> Self {
        self.or(lower)
    }
}

impl Kind for Vec<String> {
    const WANT: &'static str = "UTF-8 text, several values with commas between";
    fn from_variable(text: &str) -> Option<Self> {
        Some(text.split(',').map(str::trim).filter(|one| !one.is_empty()).map(Into::into).collect())
    }
    fn or_lower(self, lower: Self) -> Self {
        if self.is_empty() { lower } else { self }
    }
}
