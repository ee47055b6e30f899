//! What was typed → what is used: resolved, in range, consistent. Past this nobody doubts.

use std::{ffi::OsString, net::SocketAddr, ops::RangeInclusive, path::PathBuf};

use sosik_core::{
    Capacity, Full, LogId, Namespace, Verb, Verbs,
    limits::{AGE_MAX_MS, BYTES_MAX, DISK_BYTES_MAX, EVENTS_MAX, IDEMPOTENCY_KEYS_MAX, MEMORY_BYTES_MAX},
    name::{RESERVED, is_namespace},
};
use sosik_store::disk::RESERVE_BYTES;
use sosik_transport::Settings;

use crate::{
    error::OptionsError,
    file::{self, Access, KindChoice, LogChoice, NamespaceTable},
    limits::Limits,
    options::ServeArgs,
    origin::Origin,
};

/// Options that can be used as they are.
#[derive(Debug, Clone)]
pub struct Checked {
    /// Where HTTP is served; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where the TCP transport is served; `None` for nowhere.
    pub tcp_listen: Option<SocketAddr>,
    /// The directory of the durable log. Not touched when `store` is memory.
    pub data: PathBuf,
    /// What the durable log stands on.
    pub store: StoreChoice,
    /// Bytes of its disk that events leave free.
    pub disk_reserve_bytes: u64,
    /// How much each log may hold, in the order of [`LogId::ALL`].
    pub capacities: [Capacity; 2],
    /// The addresses people use. Empty: `http://localhost:PORT`.
    pub public_urls: Vec<Origin>,
    /// Origins of pages elsewhere that may use this server.
    pub allow_origins: Vec<Origin>,
    /// The namespaces, and what anyone may do there.
    pub namespaces: Vec<Opened>,
    /// Whether the demo page is served.
    pub demo: bool,
    /// Whether what conformance suites need is served.
    pub lab: bool,
    /// Limits of the sockets.
    pub limits: Limits,
    /// Bytes of memory from which on new readers are refused; 0 for no ceiling, `None` for 80 % of what there is.
    pub process_bytes_max: Option<u64>,
    /// What the transports are told. Its `tcp` and `stall_ms` follow the other options when the server starts.
    pub settings: Settings,
}

/// What the durable log stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreChoice {
    /// A directory: an event is acknowledged once it is synced.
    Disk,
    /// Memory: for tests and demos, gone when the server stops. An event is acknowledged as `memory`.
    Memory,
}

/// A namespace and what anonymous callers may do in all of its channels.
#[derive(Debug, Clone)]
pub struct Opened {
    /// How its channels behave.
    pub namespace: Namespace,
    /// What anyone may do.
    pub anyone: Verbs,
}

impl Checked {
    /// Lays the command line over the environment over the file, and checks the whole. `variable` looks up one
    /// environment variable. Errors: [`OptionsError`], with what to write instead.
    pub fn load(args: ServeArgs, variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, OptionsError> {
        let typed = args.over(ServeArgs::from_env(variable)?);
        let file = match &typed.config {
            Some(path) => file::read(path.as_ref(), true)?,
            None => file::read(CONFIG.as_ref(), false)?,
        };
        Self::new(typed.over(file.unwrap_or_default()))
    }

    /// Checks options that no further layer lies under.
    pub fn new(args: ServeArgs) -> Result<Self, OptionsError> {
        let listen = address("listen", args.listen.as_deref().unwrap_or(LISTEN))?;
        let tcp_listen = match args.tcp_listen.as_deref().unwrap_or(TCP_LISTEN) {
            "off" => None,
            text => Some(address("tcp_listen", text)?),
        };
        let store = store(args.store.as_deref())?;
        let limits = limits(&args)?;
        let capacities = capacities(&args, store)?;
        let demo = args.demo.unwrap_or(false);
        let lab = args.lab.unwrap_or(false);
        if let Some(addr) = Some(listen).filter(|_| lab).filter(is_beyond_loopback) {
            return Err(OptionsError::LabBeyondLoopback { addr });
        }
        let mut namespaces = namespaces(&args.namespace)?;
        if demo {
            only_loopback([("listen", Some(listen)), ("tcp_listen", tcp_listen)])?;
            namespaces.push(demo_namespace(&namespaces)?);
        }
        Ok(Self {
            listen,
            tcp_listen,
            data: args.data.unwrap_or_else(|| DATA.into()).into(),
            store,
            disk_reserve_bytes: args.disk_reserve_bytes.unwrap_or(RESERVE_BYTES),
            capacities,
            public_urls: origins("public_url", &args.public_url)?,
            allow_origins: origins("allow_origin", &args.allow_origin)?,
            namespaces,
            demo,
            lab,
            limits,
            process_bytes_max: args.process_bytes_max,
            settings: Settings::default(),
        })
    }
}

fn limits(args: &ServeArgs) -> Result<Limits, OptionsError> {
    let default = Limits::default();
    let number = |option, said: Option<u32>, least, default| match said.unwrap_or(default) {
        number if (least..=CONNECTIONS_MOST).contains(&number) => Ok(number),
        number => {
            let want = format!("write a number from {least} to {CONNECTIONS_MOST}");
            Err(OptionsError::Value { option, value: number.to_string(), want })
        }
    };
    Ok(Limits {
        connections_max: number("connections_max", args.connections_max, 1, default.connections_max)?,
        connections_per_address_max: number(
            "connections_per_address_max",
            args.connections_per_address_max,
            0,
            default.connections_per_address_max,
        )?,
        ..default
    })
}

fn address(option: &'static str, text: &str) -> Result<SocketAddr, OptionsError> {
    text.parse().map_err(|_| {
        let off = if option == "tcp_listen" { ", or off" } else { "" };
        let want = format!("write an IP address and a port, such as 127.0.0.1:7171 or [::1]:0{off}");
        OptionsError::Value { option, value: text.into(), want }
    })
}

fn store(text: Option<&str>) -> Result<StoreChoice, OptionsError> {
    match text {
        None | Some("disk") => Ok(StoreChoice::Disk),
        Some("memory") => Ok(StoreChoice::Memory),
        Some(other) => {
            let want = "write disk, or memory for a server that forgets".into();
            Err(OptionsError::Value { option: "store", value: other.into(), want })
        }
    }
}

fn capacities(args: &ServeArgs, store: StoreChoice) -> Result<[Capacity; 2], OptionsError> {
    let full = match args.full.as_deref() {
        None | Some("refuse") => Full::Refuse,
        Some("trim") => Full::Trim,
        Some(other) => {
            let want = "write refuse, or trim to let the oldest events go".into();
            return Err(OptionsError::Value { option: "full", value: other.into(), want });
        }
    };
    let bytes = |option, said: Option<u64>, default| match said.unwrap_or(default) {
        bytes if CAPACITY_BYTES.contains(&bytes) => Ok(bytes),
        bytes => {
            let want = format!("write bytes from {} to {}", CAPACITY_BYTES.start(), CAPACITY_BYTES.end());
            Err(OptionsError::Value { option, value: bytes.to_string(), want })
        }
    };
    let default = match store {
        StoreChoice::Disk => DISK_BYTES_MAX,
        StoreChoice::Memory => MEMORY_BYTES_MAX,
    };
    Ok([
        Capacity { bytes_max: bytes("store_bytes_max", args.store_bytes_max, default)?, full },
        Capacity {
            bytes_max: bytes("memory_bytes_max", args.memory_bytes_max, MEMORY_BYTES_MAX)?,
            full: Full::Trim,
        },
    ])
}

fn origins(option: &'static str, texts: &[String]) -> Result<Vec<Origin>, OptionsError> {
    let origin = |text: &String| {
        // People copy addresses as browsers show them, with a last slash.
        text.strip_suffix('/').unwrap_or(text).parse().map_err(|error| OptionsError::Origin {
            option,
            value: text.clone(),
            error,
        })
    };
    texts.iter().map(origin).collect()
}

fn only_loopback(listeners: [(&'static str, Option<SocketAddr>); 2]) -> Result<(), OptionsError> {
    for (option, addr) in listeners {
        if let Some(addr) = addr.filter(is_beyond_loopback) {
            return Err(OptionsError::DemoBeyondLoopback { option, addr });
        }
    }
    Ok(())
}

fn is_beyond_loopback(addr: &SocketAddr) -> bool {
    !addr.ip().is_loopback()
}

fn namespaces(tables: &[NamespaceTable]) -> Result<Vec<Opened>, OptionsError> {
    let mut all: Vec<Opened> = Vec::with_capacity(tables.len());
    for table in tables {
        let fault = |fault: String| OptionsError::Namespace { name: table.name.clone(), fault };
        all.push(namespace(table, &all).map_err(fault)?);
    }
    Ok(all)
}

/// `earlier` are those above it in the file.
fn namespace(table: &NamespaceTable, earlier: &[Opened]) -> Result<Opened, String> {
    let name = table.name.as_str();
    named(name)?;
    if earlier.iter().any(|other| &*other.namespace.name == name) {
        return Err("is declared twice; keep one [[namespace]] of that name".into());
    }
    let signal = table.kind == Some(KindChoice::Signal);
    let log = match (table.log, signal) {
        (Some(LogChoice::Disk), true) => {
            return Err("kind = \"signal\" needs log = \"memory\": signals are never on disk".into());
        }
        (Some(LogChoice::Memory), _) | (None, true) => LogId::Memory,
        (Some(LogChoice::Disk) | None, false) => LogId::Disk,
    };
    let namespace = kept(table, Namespace { log, signal, ..Namespace::new(name) })?;
    Ok(Opened { namespace, anyone: anyone(table)? })
}

/// How long and how much is kept.
fn kept(table: &NamespaceTable, namespace: Namespace) -> Result<Namespace, String> {
    let number = |key, said: Option<u64>, range: RangeInclusive<u64>, default: u64| match said {
        Some(_) if namespace.signal => Err(format!(
            "{key} means nothing with kind = \"signal\", which keeps events for 10 s; leave it out"
        )),
        Some(said) if !range.contains(&said) => {
            let for_ever = if key == "age_max_s" { ", or 0 for ever" } else { "" };
            Err(format!("{key} = {said}: write a number from {} to {}{for_ever}", range.start(), range.end()))
        }
        said => Ok(said.unwrap_or(default)),
    };
    let age_max_s = match table.age_max_s {
        Some(0) if !namespace.signal => None,
        said => Some(number("age_max_s", said, AGE_S, AGE_MAX_MS / 1_000)?),
    };
    let forget_after_s = match table.forget_after_s {
        None => None,
        said => Some(number("forget_after_s", said, FORGET_AFTER_S, 0)?),
    };
    Ok(Namespace {
        events_max: number("events_max", table.events_max, 1..=EVENTS_MOST, EVENTS_MAX)?,
        bytes_max: number("bytes_max", table.bytes_max, CHANNEL_BYTES, BYTES_MAX)?,
        age_max_ms: age_max_s.map(|seconds| seconds * 1_000),
        forget_after_ms: forget_after_s.map(|seconds| seconds * 1_000),
        forgettable: forget_after_s.is_some(),
        idempotency_keys_max: number(
            "idempotency_keys_max",
            table.idempotency_keys_max,
            0..=KEYS_MOST,
            IDEMPOTENCY_KEYS_MAX,
        )?,
        ..namespace
    })
}

/// Whether an operator may declare a namespace of this name.
fn named(name: &str) -> Result<(), String> {
    if name.starts_with('$') {
        return Err("names that begin with $ belong to the server; choose another name".into());
    }
    if RESERVED.contains(&name) {
        return Err(format!(
            "is reserved for the applications, as are {}; choose another name",
            RESERVED.join(", ")
        ));
    }
    if !is_namespace(name) {
        return Err("a namespace is a to z first, then up to 31 of a to z, 0 to 9, _ and -; \
                    write it without the colon"
            .into());
    }
    Ok(())
}

fn anyone(table: &NamespaceTable) -> Result<Verbs, String> {
    let said = [
        (Verb::Read, table.read),
        (Verb::Publish, table.publish),
        (Verb::History, table.history),
        (Verb::Presence, table.presence),
    ];
    if let Some((verb, _)) = said.iter().find(|(_, access)| *access == Some(Access::Token)) {
        return Err(format!(
            "{verb} = \"token\" comes with tokens, which this version does not have; write anyone or nobody"
        ));
    }
    Ok(said.into_iter().filter(|(_, access)| *access == Some(Access::Anyone)).map(|(verb, _)| verb).collect())
}

/// What `--demo` opens: a namespace like any other, for anyone.
fn demo_namespace(declared: &[Opened]) -> Result<Opened, OptionsError> {
    if declared.iter().any(|other| &*other.namespace.name == DEMO) {
        return Err(OptionsError::Namespace {
            name: DEMO.into(),
            fault: "is opened by --demo; leave out --demo or the [[namespace]]".into(),
        });
    }
    let anyone = [Verb::Read, Verb::Publish, Verb::History, Verb::Presence].into_iter().collect();
    Ok(Opened { namespace: Namespace { log: LogId::Disk, ..Namespace::new(DEMO) }, anyone })
}

const LISTEN: &str = "127.0.0.1:7171";
const TCP_LISTEN: &str = "127.0.0.1:7172";
const DATA: &str = "sosik-data";
const CONFIG: &str = "sosik.toml";
const CONNECTIONS_MOST: u32 = 1_000_000;
const EVENTS_MOST: u64 = 10_000_000;
const KEYS_MOST: u64 = 100_000_000;
/// 1 MiB, so that the largest event is less than the tenth that may be kept above it, to 1 TiB.
const CHANNEL_BYTES: RangeInclusive<u64> = 1 << 20..=1 << 40;
/// 8 MiB, so that room can be made for any publish, to 1 PiB.
const CAPACITY_BYTES: RangeInclusive<u64> = 8 << 20..=1 << 50;
/// A minute to 100 years.
const AGE_S: RangeInclusive<u64> = 60..=100 * 31_536_000;
/// A minute to a year.
const FORGET_AFTER_S: RangeInclusive<u64> = 60..=31_536_000;
const DEMO: &str = "demo";
