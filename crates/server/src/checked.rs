//! What was typed → what is used: resolved, in range, consistent. Past this nobody doubts.

use std::{ffi::OsString, net::SocketAddr, path::PathBuf};

use sosik_core::{
    LogId, Namespace, Verb, Verbs,
    limits::EVENTS_MAX,
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
    /// The addresses people use. Empty: `http://localhost:PORT`.
    pub public_urls: Vec<Origin>,
    /// Origins of pages elsewhere that may use this server.
    pub allow_origins: Vec<Origin>,
    /// The namespaces, and what anyone may do there.
    pub namespaces: Vec<Opened>,
    /// Whether the demo page is served.
    pub demo: bool,
    /// Limits of the sockets.
    pub limits: Limits,
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
        let connections_max = args.connections_max.unwrap_or_else(|| Limits::default().connections_max);
        if !(1..=CONNECTIONS_MOST).contains(&connections_max) {
            let want = format!("write a number from 1 to {CONNECTIONS_MOST}");
            let value = connections_max.to_string();
            return Err(OptionsError::Value { option: "connections_max", value, want });
        }
        let demo = args.demo.unwrap_or(false);
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
            public_urls: origins("public_url", &args.public_url)?,
            allow_origins: origins("allow_origin", &args.allow_origin)?,
            namespaces,
            demo,
            limits: Limits { connections_max, ..Limits::default() },
            settings: Settings::default(),
        })
    }
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
        if let Some(addr) = addr.filter(|addr| !addr.ip().is_loopback()) {
            return Err(OptionsError::DemoBeyondLoopback { option, addr });
        }
    }
    Ok(())
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
    let events_max = match table.events_max {
        Some(_) if signal => {
            return Err("events_max means nothing with kind = \"signal\", which keeps events for 10 s; \
                        leave it out"
                .into());
        }
        Some(events) if !(1..=EVENTS_MOST).contains(&events) => {
            return Err(format!("events_max = {events}: write a number from 1 to {EVENTS_MOST}"));
        }
        said => said.unwrap_or(EVENTS_MAX),
    };
    let namespace = Namespace { log, signal, events_max, ..Namespace::new(name) };
    Ok(Opened { namespace, anyone: anyone(table)? })
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
const DEMO: &str = "demo";
